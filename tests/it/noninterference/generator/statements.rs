//! Statements of all kinds, and the commands of Flight SQL.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, ProstMessageExt,
};
use prost::Message;

use super::{Ask, Generator, Scope, Ty};
use crate::noninterference::mesh::{Role, TABLES};

impl Generator<'_> {
    /// Anything that can be asked.
    pub(super) fn statement(&mut self) -> Ask {
        match self.rng.below(100) {
            0..=4 => {
                Ask::Sql(format!("EXPLAIN {}{}", if self.rng.once_in(4) { "VERBOSE " } else { "" }, self.query().sql))
            }
            5..=18 => Ask::Sql(self.oracle()),
            19..=30 => Ask::Sql(self.functions()),
            31..=34 => Ask::Sql(self.metadata()),
            35..=38 => self.prepared(),
            39..=40 => self.command(),
            41..=45 => Ask::Sql(self.elsewhere()),
            46..=47 => Ask::Sql(self.refused()),
            _ => Ask::Sql(self.query().sql),
        }
    }

    fn scan(&mut self) -> (String, Scope) {
        let mut table = self.table();
        while TABLES[table].index("id").is_none() {
            table = self.table();
        }
        (TABLES[table].full_name(), Scope { columns: self.columns(table, "t") })
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
            matches!(table.role, Role::Locked | Role::Hidden | Role::Withheld | Role::Broken | Role::Empty)
        });
        let mut names: Vec<String> = unread.map(|table| table.full_name()).collect();
        names.extend(["ghost.only", "ghost.nothing", "shop.Events", "shop.broken", "shop.broken"].map(str::to_owned));
        let name = self.rng.pick(&names).clone();
        match self.rng.below(6) {
            0 => format!("SELECT count(*) FROM {name}"),
            1 => format!("SELECT secret FROM {name} WHERE level > 3"),
            2 => format!("SELECT t.id FROM shop.events AS t WHERE t.id IN (SELECT id FROM {name})"),
            3 => format!("SELECT max(level) FROM {name}"),
            4 => "SELECT nosuch FROM shop.events".into(),
            _ => format!("SELECT * FROM {name} ORDER BY level LIMIT 3"),
        }
    }

    /// What is not served.
    fn refused(&mut self) -> String {
        let inner = self.query().sql;
        match self.rng.below(8) {
            0 => format!("CREATE VIEW v AS {inner}"),
            1 => format!("COPY ({inner}) TO 'out.parquet'"),
            2 => format!("EXPLAIN ANALYZE {inner}"),
            3 => "SELECT * FROM 'lake/shop/events/data/00001-0.parquet'".into(),
            4 => format!("INSERT INTO shop.bare {inner}"),
            5 => format!("{inner} FOR UPDATE"),
            6 => inner.chars().take(inner.len() / 2).collect(),
            _ => "SET purpose = 'audit'".into(),
        }
    }

    fn prepared(&mut self) -> Ask {
        let (from, scope) = self.scan();
        let text = self.literal(Ty::Text).trim_matches('\'').to_owned();
        let number = self.rng.range(-2, 200);
        let columns: Vec<(&str, ArrayRef)> =
            vec![("1", Arc::new(StringArray::from(vec![text]))), ("2", Arc::new(Int64Array::from(vec![number])))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let (left, int) = (self.expr(Ty::Text, &scope, 3), self.expr(Ty::Int, &scope, 3));
        let sql = match self.rng.below(4) {
            0 => format!("SELECT t.id, {left} AS x FROM {from} AS t WHERE {left} = $1 OR {int} > $2"),
            1 => format!("SELECT count(*) FROM {from} AS t WHERE {left} LIKE $1 OR CAST({left} AS BIGINT) = $2"),
            2 => format!("SELECT {int} / $2 AS x, {left} || $1 AS y FROM {from} AS t"),
            _ => format!(
                "SELECT {left} AS x, count(*) FROM {from} AS t WHERE {int} >= $2 GROUP BY 1 HAVING max({left}) <> $1"
            ),
        };
        Ask::Prepared(sql, batch)
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
