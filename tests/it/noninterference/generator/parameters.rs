//! Prepared statements, with parameters of every type.

use arrow::array::{ArrayRef, RecordBatch};

use super::{Ask, Generator, Ty};
use crate::noninterference::mesh::Shown;
use crate::noninterference::tables::TABLES;
use crate::noninterference::values::{Kind, Value, array};
use crate::noninterference::worlds::{tame, wild};

impl Generator<'_> {
    /// A statement with up to three parameters, each of the type of a column that it is compared with.
    pub(super) fn prepared(&mut self) -> Ask {
        let (table, from) = self.scanned();
        let scope = self.scope(table, "t");
        let shown = TABLES[table].columns.iter().zip(&self.principal.shown[table]);
        let usable = shown.filter(|(_, shown)| !matches!(shown, Shown::Denied | Shown::JoinOnly));
        let usable: Vec<(&str, Kind)> = usable.map(|(column, _)| *column).collect();
        let mut bound: Vec<(String, ArrayRef)> = Vec::new();
        let mut bind = |generator: &mut Self, kind: Kind| {
            let value = match generator.rng.below(6) {
                0 => Value::Null,
                1 => wild(kind, &mut generator.rng),
                _ => tame(kind, &mut generator.rng),
            };
            bound.push(((bound.len() + 1).to_string(), array(kind, &[&value])));
            format!("${}", bound.len())
        };
        let (name, kind) = *self.rng.pick(&usable);
        let column = format!("t.{name}");
        let sql = match self.rng.below(9) {
            0 => {
                let parameter = bind(self, kind);
                format!("SELECT t.id, {column} IS NOT DISTINCT FROM {parameter} AS x FROM {from} AS t")
            }
            1 => {
                let (other, its) = *self.rng.pick(&usable);
                let (one, two) = (bind(self, kind), bind(self, its));
                format!("SELECT count(*) FROM {from} AS t WHERE {column} <> {one} OR t.{other} = {two}")
            }
            2 => {
                let (one, two) = (bind(self, kind), bind(self, kind));
                format!("SELECT t.id FROM {from} AS t WHERE {column} NOT IN ({one}, {two}) ORDER BY 1")
            }
            3 => {
                let parameter = bind(self, kind);
                format!("SELECT coalesce({column}, {parameter}) AS x, count(*) FROM {from} AS t GROUP BY 1 ORDER BY 2")
            }
            4 => {
                let (parameter, limit) = (bind(self, kind), bind(self, Kind::Long));
                format!("SELECT t.id FROM {from} AS t WHERE {column} IS DISTINCT FROM {parameter} LIMIT {limit}")
            }
            5 => {
                let (text, int) = (self.expr(Ty::Text, &scope, 3), self.expr(Ty::Int, &scope, 3));
                let (one, two) = (bind(self, Kind::Text), bind(self, Kind::Long));
                format!("SELECT {int} / {two} AS x, {text} || {one} AS y FROM {from} AS t")
            }
            6 => {
                let text = self.expr(Ty::Text, &scope, 3);
                let (one, two) = (bind(self, Kind::Text), bind(self, Kind::Long));
                format!("SELECT count(*) FROM {from} AS t WHERE {text} LIKE {one} OR CAST({text} AS BIGINT) = {two}")
            }
            7 => {
                let parameter = bind(self, kind);
                format!(
                    "SELECT t.id FROM {from} AS t WHERE EXISTS (SELECT 1 FROM ref.codes AS c WHERE c.n = t.id AND {column} = {parameter})"
                )
            }
            _ => {
                let (one, two, three) = (bind(self, kind), bind(self, kind), bind(self, kind));
                format!("SELECT CASE WHEN {column} = {one} THEN {two} ELSE {three} END AS x FROM {from} AS t")
            }
        };
        Ask::Prepared(sql, RecordBatch::try_from_iter(bound).unwrap())
    }
}
