//! Queries: from, where, group by, having, windows, order by, limit, set operations, common table expressions, subqueries.

use super::{Col, Generator, SCALARS, Scope, Ty};
use crate::noninterference::tables::TABLES;

/// A query, and what its columns are called and of which type.
pub(super) struct Query {
    pub sql: String,
    pub columns: Vec<(String, Ty)>,
}

impl Generator<'_> {
    /// Any query.
    pub(super) fn query(&mut self) -> Query {
        self.depth += 1;
        let query = match self.rng.below(20) {
            0 | 1 => self.with(),
            2 | 3 => self.set_operation(),
            4 => self.recursive(),
            _ => self.select(None),
        };
        self.depth -= 1;
        query
    }

    /// A SELECT; its items have these types, if they are given.
    pub(super) fn select(&mut self, types: Option<&[Ty]>) -> Query {
        let (from, scope) = self.from();
        let filter = match self.rng.below(2) {
            0 => String::new(),
            _ => format!(" WHERE {}", self.predicate(&scope, 0)),
        };
        if self.rng.once_in(3) {
            return self.grouped(&from, &filter, &scope, types);
        }
        let wanted: Vec<Ty> = match types {
            Some(types) => types.to_vec(),
            None => (0..1 + self.rng.below(4)).map(|_| self.of_scope(&scope)).collect(),
        };
        let mut items = Vec::new();
        let mut columns = Vec::new();
        for ty in wanted {
            let name = self.alias("c");
            let item = match self.rng.below(9) {
                0 if types.is_none() && !self.common => self.window(&scope),
                1 if types.is_none() && !self.common => self.call(None, &scope, 1),
                2 if !self.common && self.rng.once_in(4) => {
                    self.fallible(ty, &scope, 1).unwrap_or_else(|| self.expr(ty, &scope, 0))
                }
                _ => self.expr(ty, &scope, 1),
            };
            items.push(format!("{item} AS {name}"));
            columns.push((name, ty));
        }
        if types.is_none() && !self.common && self.rng.once_in(12) && scope.matched.is_empty() {
            items = vec!["*".to_owned()];
            columns = Vec::new();
        }
        let distinct = if self.rng.once_in(8) { "DISTINCT " } else { "" };
        let order = match distinct.is_empty() {
            true => self.order(&scope),
            false => self.order_by_position(items.len()),
        };
        let limit = self.limit();
        Query { sql: format!("SELECT {distinct}{} FROM {from}{filter}{order}{limit}", items.join(", ")), columns }
    }

    fn grouped(&mut self, from: &str, filter: &str, scope: &Scope, types: Option<&[Ty]>) -> Query {
        let keys: Vec<(String, Ty)> = (0..self.rng.below(3))
            .map(|_| {
                let ty = self.of_scope(scope);
                (named(self.expr(ty, scope, 2)), ty)
            })
            .collect();
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        match types {
            Some(types) => {
                for ty in types {
                    let name = self.alias("c");
                    let aggregate = if self.rng.once_in(2) { "min" } else { "max" };
                    items.push(format!("{aggregate}({}) AS {name}", self.expr(*ty, scope, 2)));
                    columns.push((name, *ty));
                }
            }
            None => {
                for (key, ty) in &keys {
                    let name = self.alias("c");
                    items.push(format!("{key} AS {name}"));
                    columns.push((name, *ty));
                }
                for _ in 0..1 + self.rng.below(2) {
                    let name = self.alias("c");
                    let aggregate = if self.common { self.common_aggregate(scope) } else { self.aggregate(scope) };
                    items.push(format!("{aggregate} AS {name}"));
                }
            }
        }
        let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
        let group = match (keys.is_empty(), self.rng.below(6)) {
            (true, _) => String::new(),
            (_, 0) if !self.common => format!(" GROUP BY ROLLUP ({})", keys.join(", ")),
            (_, 1) if !self.common => format!(" GROUP BY CUBE ({})", keys.join(", ")),
            (_, 2) if !self.common => format!(" GROUP BY GROUPING SETS (({}), ())", keys.join(", ")),
            _ => format!(" GROUP BY {}", keys.join(", ")),
        };
        let having = match self.rng.below(6) {
            0 if self.common => format!(" HAVING count(*) > {}", self.small()),
            0 => format!(
                " HAVING {} IS NOT NULL AND max({}) >= {}",
                self.aggregate(scope),
                self.expr(Ty::Int, scope, 2),
                self.small()
            ),
            _ => String::new(),
        };
        let order = self.order_by_position(items.len());
        let limit = self.limit();
        Query { sql: format!("SELECT {} FROM {from}{filter}{group}{having}{order}{limit}", items.join(", ")), columns }
    }

    /// Aggregates whose answer does not hang on the order of rows, nor on how numbers are rounded.
    fn common_aggregate(&mut self, scope: &Scope) -> String {
        match self.rng.below(5) {
            0 => "count(*)".to_owned(),
            1 => format!("sum({})", self.expr(Ty::Dec, scope, 4)),
            2 => format!("count(DISTINCT {})", self.of_any(scope)),
            _ => {
                let ty = *self.rng.pick(&[Ty::Int, Ty::Text, Ty::Date, Ty::Dec]);
                format!("{}({})", self.rng.clone().pick(&["min", "max", "count"]), self.expr(ty, scope, 2))
            }
        }
    }

    fn order(&mut self, scope: &Scope) -> String {
        if self.common || !self.rng.once_in(3) {
            return String::new();
        }
        let ty = self.of_scope(scope);
        let first = named(match self.rng.once_in(3) {
            true => self.fallible(ty, scope, 2).unwrap_or_else(|| self.expr(ty, scope, 2)),
            false => self.expr(ty, scope, 2),
        });
        format!(" ORDER BY {first}{}", self.rng.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]))
    }

    pub(super) fn order_by_position(&mut self, items: usize) -> String {
        match self.common || items == 0 || !self.rng.once_in(3) {
            true => String::new(),
            false => format!(" ORDER BY {}{}", 1 + self.rng.below(items), self.rng.pick(&["", " DESC"])),
        }
    }

    pub(super) fn limit(&mut self) -> String {
        if self.common || !self.rng.once_in(4) {
            return String::new();
        }
        let offset = if self.rng.once_in(3) { format!(" OFFSET {}", self.rng.below(20)) } else { String::new() };
        format!(" LIMIT {}{offset}", 1 + self.rng.below(60))
    }

    /// What is read, and the columns that it has.
    fn from(&mut self) -> (String, Scope) {
        let (mut from, mut scope) = self.relation();
        let joins = match self.rng.below(8) {
            0..=4 => 0,
            5 | 6 => 1,
            _ => 2,
        };
        for _ in 0..joins {
            let (right, columns) = self.relation();
            let kind = match self.common {
                true => *self.rng.pick(&["JOIN", "LEFT JOIN"]),
                false => *self.rng.pick(&[
                    "JOIN",
                    "JOIN",
                    "LEFT JOIN",
                    "RIGHT JOIN",
                    "FULL JOIN",
                    "LEFT SEMI JOIN",
                    "LEFT ANTI JOIN",
                ]),
            };
            let on = self.join_condition(&scope, &columns);
            from = format!("{from} {kind} {right} ON {on}");
            if !matches!(kind, "LEFT SEMI JOIN" | "LEFT ANTI JOIN") {
                scope.and(columns);
            }
        }
        if !self.common && self.depth < 2 && self.rng.once_in(20) {
            let (lateral, name) = (self.correlated(&scope), self.alias("l"));
            from = format!("{from}, LATERAL ({}) AS {name}", lateral.sql);
            scope.columns.extend(lateral.columns.into_iter().map(|(c, ty)| Col { sql: format!("{name}.{c}"), ty }));
        }
        (from, scope)
    }

    /// An equality, so that joins stay small; other conditions beside it.
    fn join_condition(&mut self, left: &Scope, right: &Scope) -> String {
        let pairs = self.pairs(left, right, |ty| matches!(ty, Ty::Int | Ty::Text | Ty::Date | Ty::Dec));
        let on = match pairs.is_empty() {
            true => "1 = 0".to_owned(),
            false => {
                let (a, b) = *self.rng.pick(&pairs);
                match self.rng.below(8) {
                    0 if a.ty == Ty::Text && !self.common => {
                        format!("CAST({} AS BIGINT) = CAST({} AS BIGINT)", a.sql, b.sql)
                    }
                    1 if a.ty == Ty::Int && !self.common => format!("100 / {} = {}", a.sql, b.sql),
                    _ => format!("{} = {}", a.sql, b.sql),
                }
            }
        };
        let mut both = left.clone();
        both.and(right.clone());
        match self.rng.below(4) {
            0 => format!("{on} AND {}", self.predicate(&both, 2)),
            _ => on,
        }
    }

    fn relation(&mut self) -> (String, Scope) {
        let nested = self.depth < 3;
        match self.rng.below(14) {
            0 | 1 if nested => {
                let query = self.query();
                if query.columns.is_empty() {
                    return self.base();
                }
                let name = self.alias("q");
                let columns = query.columns.into_iter().map(|(c, ty)| Col { sql: format!("{name}.{c}"), ty }).collect();
                (format!("({}) AS {name}", query.sql), Scope::of(columns))
            }
            2 => {
                let name = self.alias("v");
                let rows: Vec<String> =
                    (0..3).map(|_| format!("({}, {})", self.literal(Ty::Text), self.small())).collect();
                let columns =
                    vec![Col { sql: format!("{name}.x"), ty: Ty::Text }, Col { sql: format!("{name}.y"), ty: Ty::Int }];
                (format!("(VALUES {}) AS {name} (x, y)", rows.join(", ")), Scope::of(columns))
            }
            3 if !self.common => {
                let name = self.alias("g");
                let series = format!("generate_series({}, {}) AS {name} (n)", self.small(), 10 + self.rng.below(20));
                (series, Scope::of(vec![Col { sql: format!("{name}.n"), ty: Ty::Int }]))
            }
            4 if !self.common => {
                let name = self.alias("u");
                let table = TABLES.iter().position(|table| table.name == "people").unwrap_or(0);
                let alias = self.alias("t");
                let columns = self.columns(table, &alias);
                let lists: Vec<&Col> = columns.iter().filter(|c| matches!(c.ty, Ty::Longs | Ty::Texts)).collect();
                if lists.is_empty() {
                    return self.base();
                }
                let list = (*self.rng.pick(&lists)).clone();
                let ty = if list.ty == Ty::Longs { Ty::Int } else { Ty::Text };
                let sql = format!("(SELECT unnest({}) AS x FROM shop.people AS {alias}) AS {name}", list.sql);
                (sql, Scope::of(vec![Col { sql: format!("{name}.x"), ty }]))
            }
            5 if !self.common && nested => {
                let name = self.alias("m");
                let query = self.aggregated();
                let columns = query.columns.into_iter().map(|(c, ty)| Col { sql: format!("{name}.{c}"), ty }).collect();
                (format!("({}) AS {name}", query.sql), Scope::of(columns))
            }
            _ => self.base(),
        }
    }

    pub(super) fn base(&mut self) -> (String, Scope) {
        let (table, alias) = (self.table(), self.alias("t"));
        (format!("{} AS {alias}", self.version_of(table)), self.scope(table, &alias))
    }

    /// A query of one row and column.
    pub(super) fn scalar_query(&mut self, ty: Ty, scope: &Scope) -> String {
        self.depth += 1;
        let (from, mut inner) = self.base();
        let own = inner.clone();
        inner.columns.extend(scope.columns.iter().cloned());
        let filter = match self.rng.below(3) {
            0 => String::new(),
            1 => format!(" WHERE {}", self.predicate(&own, 2)),
            _ => format!(" WHERE {}", self.correlation(&own, scope)),
        };
        let ty = if matches!(ty, Ty::Longs | Ty::Texts | Ty::Place | Ty::Tags | Ty::Interval) { Ty::Int } else { ty };
        let aggregate = *self.rng.pick(&["min", "max"]);
        let value = if ty == Ty::Bool {
            format!("bool_or({})", self.expr(ty, &own, 3))
        } else {
            format!("{aggregate}({})", self.expr(ty, &own, 3))
        };
        self.depth -= 1;
        format!("(SELECT {value} FROM {from}{filter})")
    }

    /// Columns of one type on both sides: those that can only be matched where there are some, those of one name more often than
    /// not, for they have values in common.
    pub(super) fn pairs<'s>(
        &mut self,
        left: &'s Scope,
        right: &'s Scope,
        fits: fn(Ty) -> bool,
    ) -> Vec<(&'s Col, &'s Col)> {
        let of = |left: &'s [Col], right: &'s [Col]| -> Vec<(&'s Col, &'s Col)> {
            let each = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
            each.filter(|(a, b)| a.ty == b.ty && fits(a.ty)).collect()
        };
        let matched = of(&left.matched, &right.matched);
        if !matched.is_empty() && self.rng.once_in(2) {
            return matched;
        }
        let all = of(&left.columns, &right.columns);
        let named = |col: &Col| col.sql.rsplit('.').next().map(str::to_owned);
        let alike: Vec<_> = all.iter().copied().filter(|(a, b)| named(a) == named(b)).collect();
        if alike.is_empty() || self.rng.once_in(8) { all } else { alike }
    }

    /// An equality of a column within and a column without.
    fn correlation(&mut self, own: &Scope, outer: &Scope) -> String {
        let pairs = self.pairs(own, outer, |ty| !matches!(ty, Ty::Tags | Ty::Place));
        if pairs.is_empty() {
            return self.predicate(own, 2);
        }
        let (a, b) = *self.rng.pick(&pairs);
        match self.rng.below(6) {
            0 if a.ty == Ty::Text => format!("CAST({} AS INT) = CAST({} AS INT)", a.sql, b.sql),
            _ => format!("{} = {}", a.sql, b.sql),
        }
    }

    fn correlated(&mut self, outer: &Scope) -> Query {
        let (from, own) = self.base();
        let (ty, name) = (self.of_scope(&own), self.alias("c"));
        let sql =
            format!("SELECT {} AS {name} FROM {from} WHERE {}", self.leaf_of(ty, &own), self.correlation(&own, outer));
        Query { sql, columns: vec![(name, ty)] }
    }

    fn leaf_of(&mut self, ty: Ty, scope: &Scope) -> String {
        self.expr(ty, scope, 9)
    }

    /// EXISTS, IN or a comparison with a subquery.
    pub(super) fn query_predicate(&mut self, scope: &Scope) -> String {
        self.depth += 1;
        let (from, own) = self.base();
        let not = *self.rng.pick(&["", "NOT "]);
        let text = match self.rng.below(4) {
            0 | 1 => {
                let correlation = self.correlation(&own, scope);
                let more =
                    if self.rng.once_in(2) { format!(" AND {}", self.predicate(&own, 2)) } else { String::new() };
                format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {correlation}{more})")
            }
            _ => {
                let ty = *self.rng.pick(&[Ty::Int, Ty::Text, Ty::Date]);
                let (left, right) = match (scope.matched.first(), own.matched.first()) {
                    (Some(left), Some(right)) if self.rng.once_in(2) => (left.sql.clone(), right.sql.clone()),
                    _ => (self.expr(ty, scope, 3), self.expr(ty, &own, 2)),
                };
                format!("{left} {not}IN (SELECT {right} FROM {from} WHERE {})", self.predicate(&own, 2))
            }
        };
        self.depth -= 1;
        text
    }

    fn set_operation(&mut self) -> Query {
        let types: Vec<Ty> = (0..1 + self.rng.below(2)).map(|_| *self.rng.pick(SCALARS)).collect();
        let (left, right) = (self.select(Some(&types)), self.select(Some(&types)));
        let operator = *self.rng.pick(&["UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT"]);
        let order = self.order_by_position(types.len());
        let sql =
            format!("(SELECT * FROM ({}) AS s1) {operator} (SELECT * FROM ({}) AS s2){order}", left.sql, right.sql);
        Query { sql, columns: left.columns }
    }

    fn with(&mut self) -> Query {
        let mut common = self.select(None);
        for _ in 0..3 {
            if !common.columns.is_empty() {
                break;
            }
            common = self.select(None);
        }
        if common.columns.is_empty() {
            return common;
        }
        let (name, a, b) = (self.alias("w"), self.alias("a"), self.alias("b"));
        let (column, ty) = self.rng.pick(&common.columns).clone();
        let scope = Scope::of(vec![Col { sql: format!("{a}.{column}"), ty }]);
        let body = match self.rng.below(3) {
            0 => format!("SELECT count(*) AS c FROM {name} AS {a} WHERE {}", self.predicate(&scope, 2)),
            1 => format!(
                "SELECT {a}.{column} AS c FROM {name} AS {a} LEFT JOIN {name} AS {b} ON {a}.{column} = {b}.{column} LIMIT 100"
            ),
            _ => format!(
                "SELECT {a}.{column} AS c FROM {name} AS {a} WHERE {a}.{column} IN (SELECT {column} FROM {name})"
            ),
        };
        Query { sql: format!("WITH {name} AS ({}) {body}", common.sql), columns: vec![("c".to_owned(), ty)] }
    }

    fn recursive(&mut self) -> Query {
        if self.common {
            return self.select(None);
        }
        let (table, name) = (self.table(), self.alias("r"));
        let columns = self.columns(table, "t");
        let scope = Scope::of(columns.clone());
        let start = self.expr(Ty::Int, &scope, 2);
        let step = self.rng.range(1, 9);
        let from = self.version_of(table);
        let sql = format!(
            "WITH RECURSIVE {name} (n) AS (SELECT CAST({start} AS BIGINT) FROM {from} AS t WHERE {} UNION ALL SELECT {name}.n + {step} FROM {name} WHERE {name}.n BETWEEN 0 AND 30) SELECT n AS c, count(*) AS k FROM {name} GROUP BY n ORDER BY 1",
            self.predicate(&scope, 2)
        );
        Query { sql, columns: vec![("c".to_owned(), Ty::Int)] }
    }

    /// A query for every engine.
    pub(super) fn common_query(&mut self) -> String {
        self.select(None).sql
    }
}

/// A bare number after GROUP BY and ORDER BY is a position.
fn named(expr: String) -> String {
    match expr.parse::<i128>() {
        Ok(_) => format!("({expr} + 0)"),
        Err(_) => expr,
    }
}
