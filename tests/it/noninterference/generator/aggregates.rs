//! Queries over tables of which only aggregates may be seen.
//!
//! Nothing of a group that is too small leaves. What a statement over larger groups tells of small ones (a total less its parts) is
//! not prevented, so tables whose groups are large by region are always grouped by it; one that is too small as a whole may be
//! asked anything.

use super::clauses::Query;
use super::{Col, Generator, Scope, Ty};
use crate::noninterference::tables::{Role, TABLES};

impl Generator<'_> {
    /// An aggregate that the planner lets pass, mostly; what stands above the groups is as free as anywhere.
    pub(super) fn aggregated(&mut self) -> Query {
        let role = if self.rng.once_in(4) { Role::Tiny } else { Role::Grouped };
        let table = TABLES.iter().position(|table| table.role == role).unwrap_or(0);
        let alias = self.alias("t");
        let own = self.scope(table, &alias);
        // There are no earlier versions of such tables: seldom is one asked for.
        let named = if self.rng.once_in(12) { self.version_of(table) } else { TABLES[table].full_name() };
        let mut from = format!("{named} AS {alias}");
        let mut scope = own.clone();
        if self.rng.once_in(4) {
            let (right, columns) = self.base();
            let pairs = self.pairs(&own, &columns, |ty| matches!(ty, Ty::Int | Ty::Text | Ty::Date));
            if !pairs.is_empty() {
                let (a, b) = *self.rng.pick(&pairs);
                from = format!("{from} JOIN {right} ON {} = {}", a.sql, b.sql);
                scope.and(columns.clone());
            }
        }
        let mut keys: Vec<(String, Ty)> = Vec::new();
        if role == Role::Grouped {
            keys.push((format!("{alias}.region"), Ty::Text));
        }
        for _ in 0..self.rng.below(3) {
            let key = self.key(&scope);
            keys.push(key);
        }
        let filter = match self.rng.below(3) {
            0 => String::new(),
            _ => format!(" WHERE {}", self.total(&scope)),
        };
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for (key, ty) in &keys {
            let name = self.alias("c");
            items.push(format!("{key} AS {name}"));
            columns.push((name, *ty));
        }
        for _ in 0..1 + self.rng.below(3) {
            let (call, ty) = self.blend(&scope);
            let name = self.alias("c");
            items.push(format!("{call} AS {name}"));
            columns.push((name, ty));
        }
        let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
        let group = match (keys.is_empty(), self.rng.below(40)) {
            (true, _) => String::new(),
            (_, 0) => format!(" GROUP BY ROLLUP ({})", keys.join(", ")),
            _ => format!(" GROUP BY {}", keys.join(", ")),
        };
        let having = match self.rng.below(4) {
            0 => format!(" HAVING {}", self.of_groups(&scope)),
            _ => String::new(),
        };
        let (order, limit) = (self.order_by_position(items.len()), self.limit());
        Query { sql: format!("SELECT {} FROM {from}{filter}{group}{having}{order}{limit}", items.join(", ")), columns }
    }

    fn comparable<'s>(&mut self, scope: &'s Scope) -> Option<&'s Col> {
        let fits = |col: &&Col| matches!(col.ty, Ty::Int | Ty::Text | Ty::Dec | Ty::Date | Ty::Dbl);
        let of: Vec<&Col> = scope.columns.iter().filter(fits).collect();
        (!of.is_empty()).then(|| *self.rng.pick(&of))
    }

    fn key(&mut self, scope: &Scope) -> (String, Ty) {
        let Some(col) = self.comparable(scope) else { return ("1".to_owned(), Ty::Int) };
        let sql = &col.sql;
        match col.ty {
            Ty::Text if self.rng.once_in(3) => (format!("lower({sql})"), Ty::Text),
            Ty::Date if self.rng.once_in(2) => (format!("date_part('year', {sql})"), Ty::Int),
            ty => (sql.clone(), ty),
        }
    }

    /// A condition that cannot fail.
    fn total(&mut self, scope: &Scope) -> String {
        let Some(col) = self.comparable(scope) else { return "TRUE".to_owned() };
        let (sql, ty) = (col.sql.clone(), col.ty);
        match self.rng.below(7) {
            0 => format!("{sql} IS NOT NULL"),
            1 => format!("{sql} BETWEEN {} AND {}", self.literal(ty), self.literal(ty)),
            2 if ty == Ty::Text => format!("{sql} LIKE '%{}%'", self.rng.pick(&["a", "1", "E"])),
            3 => format!("({} OR {})", self.total(scope), self.total(scope)),
            4 => format!("({} AND {})", self.total(scope), self.total(scope)),
            _ => format!("{sql} {} {}", self.comparison(), self.literal(ty)),
        }
    }

    /// A function that blends values; now and then one that shows single ones, and is refused.
    fn blend(&mut self, scope: &Scope) -> (String, Ty) {
        let Some(col) = self.comparable(scope) else { return ("count(*)".to_owned(), Ty::Int) };
        let sql = &col.sql;
        match (self.rng.below(24), col.ty) {
            (0..=4, _) => ("count(*)".to_owned(), Ty::Int),
            (5..=7, _) => (format!("count({sql})"), Ty::Int),
            (8..=10, _) => (format!("count(DISTINCT {sql})"), Ty::Int),
            (11, ty) => (format!("max({sql})"), ty),
            (12, _) => (format!("count(*) FILTER (WHERE {sql} IS NULL)"), Ty::Int),
            (_, Ty::Int | Ty::Dec | Ty::Dbl) if self.rng.once_in(2) => {
                let function = *self.rng.pick(&["avg", "stddev", "var", "stddev_pop", "var_pop"]);
                (format!("CAST({function}({sql}) AS DOUBLE)"), Ty::Dbl)
            }
            (_, ty @ (Ty::Int | Ty::Dec | Ty::Dbl)) => (format!("sum({sql})"), ty),
            _ => (format!("count({sql})"), Ty::Int),
        }
    }

    /// A condition on groups, which may fail on those that are too small.
    fn of_groups(&mut self, scope: &Scope) -> String {
        let (call, ty) = self.blend(scope);
        let small = self.small();
        match self.rng.below(3) {
            0 => format!("100 / (count(*) - {small}) >= 0"),
            1 => format!("CAST({call} AS TINYINT) IS NOT NULL"),
            _ => format!("{call} {} {}", self.comparison(), self.literal(ty)),
        }
    }
}
