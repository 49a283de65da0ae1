//! Statements of all kinds, and the commands of Flight SQL.

use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, ProstMessageExt,
};
use prost::Message;

use super::{Ask, Generator, Scope, Ty};
use crate::noninterference::tables::{Role, TABLES};

impl Generator<'_> {
    /// Anything that can be asked.
    pub(super) fn statement(&mut self) -> Ask {
        match self.rng.below(100) {
            0..=6 => {
                let how = *self.rng.pick(&["", "", "VERBOSE ", "ANALYZE "]);
                let query = if self.rng.once_in(3) { self.any_query() } else { self.matched_by_id() };
                Ask::Sql(format!("EXPLAIN {how}{query}"))
            }
            7 => Ask::Sql(format!("EXPLAIN ACCESS {}", self.any_query())),
            8..=17 => Ask::Sql(self.oracle()),
            18..=27 => Ask::Sql(self.functions()),
            28..=31 => Ask::Sql(self.metadata()),
            32..=36 => self.prepared(),
            37..=38 => self.command(),
            39..=42 => Ask::Sql(self.elsewhere()),
            43..=44 => Ask::Sql(self.refused()),
            45..=51 => Ask::Sql(self.aggregated().sql),
            52 => Ask::Schema(self.any_query()),
            _ => Ask::Sql(self.query().sql),
        }
    }

    fn any_query(&mut self) -> String {
        match self.rng.below(8) {
            0 => self.aggregated().sql,
            1 => self.elsewhere(),
            _ => self.query().sql,
        }
    }

    /// A table that has ids, and its name in FROM.
    pub(super) fn scanned(&mut self) -> (usize, String) {
        let mut table = self.table();
        while TABLES[table].index("id").is_none() {
            table = self.table();
        }
        (table, self.version_of(table))
    }

    fn scan(&mut self) -> (String, Scope) {
        let (table, from) = self.scanned();
        (from, self.scope(table, "t"))
    }

    /// One expression that may fail, in every place where expressions stand.
    fn oracle(&mut self) -> String {
        let (from, scope) = self.scan();
        let ty = *self.rng.pick(&[Ty::Int, Ty::Int, Ty::Int, Ty::Dbl, Ty::Dec, Ty::Date]);
        let bad = self.fallible(ty, &scope, 4).unwrap_or_default();
        let test = format!("{bad} {} {}", self.comparison(), self.literal(ty));
        let safe = self.predicate(&scope, 3);
        let key = self.of_any(&scope);
        match self.rng.below(16) {
            0 => format!("SELECT t.id FROM {from} AS t WHERE {test}"),
            1 => format!("SELECT t.id FROM {from} AS t WHERE {safe} AND {test}"),
            2 => format!("SELECT count(*) FROM {from} AS t WHERE CASE WHEN {safe} THEN {bad} END IS NOT NULL"),
            3 => format!("SELECT count(*) FILTER (WHERE {test}) FROM {from} AS t"),
            4 => format!("SELECT {key}, count(*) FROM {from} AS t GROUP BY {key} HAVING max({bad}) IS NOT NULL"),
            5 => format!("SELECT {key} FROM {from} AS t ORDER BY {bad} LIMIT {}", 1 + self.rng.below(9)),
            6 => format!("SELECT t.id, {bad} AS x FROM {from} AS t LIMIT {}", 1 + self.rng.below(30)),
            7 => format!("SELECT a.n FROM ref.codes AS a JOIN {from} AS t ON a.n = t.id AND {test}"),
            8 => format!("SELECT count(*) FROM ref.codes AS a LEFT JOIN {from} AS t ON a.n = CAST({bad} AS BIGINT)"),
            9 => format!(
                "SELECT t.id, sum(CAST({bad} AS BIGINT)) OVER (ORDER BY t.id ROWS 3 PRECEDING) FROM {from} AS t"
            ),
            10 => format!(
                "SELECT a.n FROM ref.codes AS a WHERE EXISTS (SELECT 1 FROM {from} AS t WHERE t.id = a.n AND {test})"
            ),
            11 => format!(
                "SELECT a.n FROM ref.codes AS a WHERE a.n NOT IN (SELECT CAST({bad} AS BIGINT) FROM {from} AS t)"
            ),
            12 => format!("SELECT min({bad}), max({bad}) FROM {from} AS t WHERE {safe}"),
            13 => format!("SELECT {bad} AS x FROM {from} AS t GROUP BY ROLLUP ({bad})"),
            14 => format!("SELECT DISTINCT {bad} AS x FROM {from} AS t WHERE {safe} ORDER BY 1"),
            _ => format!(
                "SELECT x FROM (SELECT {bad} AS x, {key} AS k FROM {from} AS t) AS q WHERE x IS NOT NULL AND k IS NOT NULL"
            ),
        }
    }

    /// A call of any function over a table.
    fn functions(&mut self) -> String {
        let (from, scope) = self.scan();
        match self.rng.below(10) {
            0..=2 => format!("SELECT t.id, {} AS x FROM {from} AS t", self.call(None, &scope, 1)),
            3 => format!("SELECT count(*) FROM {from} AS t WHERE {} IS NOT NULL", self.call(None, &scope, 1)),
            4 => format!(
                "SELECT t.id FROM {from} AS t ORDER BY CAST({} AS VARCHAR), t.id LIMIT 7",
                self.call(None, &scope, 1)
            ),
            5 => format!("SELECT {} AS x FROM {from} AS t", self.aggregate(&scope)),
            6 => {
                let key = self.of_any(&scope);
                format!("SELECT {key} AS k, {} AS x FROM {from} AS t GROUP BY {key}", self.aggregate(&scope))
            }
            7 | 8 => format!("SELECT t.id, {} AS x FROM {from} AS t", self.window(&scope)),
            _ => format!(
                "SELECT {} AS x, {} AS y FROM {from} AS t",
                self.call(None, &scope, 2),
                self.call(None, &scope, 2)
            ),
        }
    }

    fn any_name(&mut self) -> String {
        match self.rng.below(5) {
            0 => (*self.rng.pick(&[
                "ghost.only",
                "ghost.nothing",
                "shop.nothing",
                "system.access_log",
                "system.policies",
            ]))
            .to_owned(),
            _ => self.rng.pick(TABLES).full_name(),
        }
    }

    fn metadata(&mut self) -> String {
        let name = self.any_name();
        let domain = *self.rng.pick(&["shop", "ref", "vault", "ghost", "system", "information_schema"]);
        match self.rng.below(12) {
            0 => "SHOW TABLES".into(),
            1 => format!("SHOW TABLES FROM {domain}"),
            2 => "SHOW SCHEMAS".into(),
            3 => format!("SHOW COLUMNS FROM {name}"),
            4 | 5 => format!("DESCRIBE {name}"),
            6 => "SELECT * FROM information_schema.tables".into(),
            7 => format!("SELECT * FROM information_schema.columns WHERE table_schema = '{domain}'"),
            8 => "SELECT * FROM system.products".into(),
            9 => "SELECT * FROM system.columns ORDER BY 1, 2, 4".into(),
            10 => "SELECT * FROM system.findings".into(),
            _ => "SELECT count(*) FROM information_schema.columns AS c JOIN information_schema.tables AS t ON c.table_name = t.table_name".into(),
        }
    }

    /// Tables that cannot be read, or are not there.
    fn elsewhere(&mut self) -> String {
        let unread = TABLES.iter().filter(|table| {
            matches!(
                table.role,
                Role::Locked
                    | Role::Hidden
                    | Role::Withheld
                    | Role::Broken
                    | Role::Empty
                    | Role::Purposed
                    | Role::Sealed
                    | Role::Grouped
                    | Role::Tiny
            )
        });
        let mut names: Vec<String> = unread.map(|table| table.full_name()).collect();
        names.extend(["ghost.only", "ghost.nothing", "shop.Events", "shop.broken", "shop.broken"].map(str::to_owned));
        let name = self.rng.pick(&names).clone();
        let is_grouped = TABLES.iter().any(|table| table.role == Role::Grouped && table.full_name() == name);
        match self.rng.below(8) {
            // The total of a table less its large groups tells of the small ones, and is not prevented.
            0 if !is_grouped => format!("SELECT count(*) FROM {name}"),
            1 => format!("SELECT secret FROM {name} WHERE level > 3"),
            2 => format!("SELECT t.id FROM shop.events AS t WHERE t.id IN (SELECT id FROM {name})"),
            3 => format!("SELECT max(level) FROM {name}"),
            4 => "SELECT nosuch FROM shop.events".into(),
            5 => format!("SELECT level, id FROM {name} WHERE id > {}", self.small()),
            6 => format!("SELECT a.level FROM {name} AS a JOIN shop.plain AS b ON a.id = b.id"),
            _ => format!("SELECT * FROM {name} ORDER BY level LIMIT 3"),
        }
    }

    /// Which side of a join comes first tells of the sizes of both.
    fn matched_by_id(&mut self) -> String {
        let mut query = format!("SELECT t0.id FROM {} AS t0", self.scanned().1);
        for at in 1..4 {
            query += &format!(" JOIN {} AS t{at} ON t{}.id = t{at}.id", self.scanned().1, at - 1);
        }
        query
    }

    /// What is not served.
    fn refused(&mut self) -> String {
        let inner = self.query().sql;
        let (table, from) = self.scanned();
        if let Some(only) = self.scope(table, "t").matched.first() {
            return match self.rng.below(5) {
                0 => format!("SELECT {} FROM {from} AS t", only.sql),
                1 => format!("SELECT t.id FROM {from} AS t WHERE {} > 'B-1'", only.sql),
                2 => format!("SELECT count(*) FROM {from} AS t GROUP BY {}", only.sql),
                3 => format!("SELECT t.id FROM {from} AS t ORDER BY {} LIMIT 1", only.sql),
                _ => format!("SELECT t.id FROM {from} AS t JOIN (VALUES ('B-1')) AS v (x) ON {} = v.x", only.sql),
            };
        }
        match self.rng.below(7) {
            0 => format!("CREATE VIEW v AS {inner}"),
            1 => format!("COPY ({inner}) TO 'out.parquet'"),
            2 => "SELECT * FROM 'lake/shop/events/data/00001-0.parquet'".into(),
            3 => format!("INSERT INTO shop.bare {inner}"),
            4 => format!("{inner} FOR UPDATE"),
            5 => inner.chars().take(inner.len() / 2).collect(),
            _ => "SET purpose = 'audit'".into(),
        }
    }

    fn command(&mut self) -> Ask {
        let name = self.any_name();
        let (schema, table) = name.split_once('.').unwrap_or(("", ""));
        let pattern = self.rng.pick(&["%", "%e%", "only", "keys", table]).to_string();
        let key = (Some(schema.to_owned()), table.to_owned());
        let filtered = self.rng.once_in(2).then_some(pattern.clone());
        fn of(command: &impl ProstMessageExt) -> Any {
            command.as_any()
        }
        let (name, any) = match self.rng.below(11) {
            0 => ("GetCatalogs".to_owned(), of(&CommandGetCatalogs {})),
            1 => (
                format!("GetDbSchemas {filtered:?}"),
                of(&CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: filtered }),
            ),
            2..=4 => (
                format!("GetTables {filtered:?}"),
                of(&CommandGetTables {
                    catalog: None,
                    db_schema_filter_pattern: None,
                    table_name_filter_pattern: filtered,
                    table_types: Vec::new(),
                    include_schema: !self.rng.once_in(3),
                }),
            ),
            5 => ("GetTableTypes".to_owned(), of(&CommandGetTableTypes {})),
            6 => ("GetSqlInfo".to_owned(), of(&CommandGetSqlInfo { info: Vec::new() })),
            7 => ("GetXdbcTypeInfo".to_owned(), of(&CommandGetXdbcTypeInfo { data_type: None })),
            8 => (
                format!("GetPrimaryKeys {key:?}"),
                of(&CommandGetPrimaryKeys { catalog: None, db_schema: key.0, table: key.1 }),
            ),
            9 => (
                format!("GetExportedKeys {key:?}"),
                of(&CommandGetExportedKeys { catalog: None, db_schema: key.0, table: key.1 }),
            ),
            _ if self.rng.once_in(2) => (
                format!("GetImportedKeys {key:?}"),
                of(&CommandGetImportedKeys { catalog: None, db_schema: key.0, table: key.1 }),
            ),
            _ => (
                format!("GetCrossReference {key:?}"),
                of(&CommandGetCrossReference {
                    pk_catalog: None,
                    pk_db_schema: key.0.clone(),
                    pk_table: key.1.clone(),
                    fk_catalog: None,
                    fk_db_schema: key.0,
                    fk_table: key.1,
                }),
            ),
        };
        Ask::Command(name, any.encode_to_vec())
    }
}
