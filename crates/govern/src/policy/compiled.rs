//! Tables as decisions need them: their entities, and which of their columns are alike.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use cedar_policy::{Entities, EntityUid, Schema};
use portcullis_contract::{Field, Masking};

use super::cedar_schema::{PolicyTable, column_tags};
use super::decision::Disclosure;
use super::entities::{self, EntityData, Reason};
use super::partial::Rows;

/// A table with its entities, made once for each snapshot.
#[derive(Debug)]
pub(crate) struct CompiledTable {
    pub(crate) policy_table: PolicyTable,
    /// The table and its domain.
    pub(crate) entities: Vec<EntityData>,
    /// One for each declared column, in order.
    pub(super) columns: Vec<EntityData>,
    /// Its columns by kind, for policies that tell none by its name.
    pub(super) kinds: Kinds,
    /// The table, its domain and a column of each kind, as the schema accepts them: made when they are first asked for.
    accepted: OnceLock<Result<Entities, Reason>>,
    rows: OnceLock<Result<Rows, Reason>>,
    /// The table, its domain and its columns.
    pub(super) scope: HashSet<EntityUid>,
}

impl CompiledTable {
    pub(crate) fn new(policy_table: PolicyTable) -> Result<Self, Reason> {
        let entities = entities::table(&policy_table)?;
        let fields = policy_table.table.fields();
        let columns = fields.iter().map(|f| entities::column(&policy_table, f)).collect::<Result<Vec<_>, _>>()?;
        let scope = entities.iter().chain(&columns).map(|e| e.uid.clone()).collect();
        let kinds = Kinds::of(fields, |_| false);
        Ok(CompiledTable {
            policy_table,
            entities,
            columns,
            kinds,
            accepted: OnceLock::new(),
            rows: OnceLock::new(),
            scope,
        })
    }

    /// The table, its domain and the first column of each kind.
    pub(super) fn described<'a>(&'a self, kinds: &'a Kinds) -> impl Iterator<Item = &'a EntityData> {
        self.entities.iter().chain(kinds.first.iter().filter_map(|at| self.columns.get(*at)))
    }

    pub(super) fn accepted(&self, schema: &Schema) -> Result<&Entities, Reason> {
        let accept = || accepted(self.described(&self.kinds), schema);
        self.accepted.get_or_init(accept).as_ref().map_err(Clone::clone)
    }

    /// Its rows, made when they are first asked for.
    pub(super) fn rows(&self, schema: &Schema) -> Result<&Rows, Reason> {
        let make = || Rows::new(&self.policy_table.row_type, &self.entities, schema);
        self.rows.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

/// The columns of a table by all that tells them apart in decisions: those of a kind are decided once.
#[derive(Debug, Clone)]
pub(crate) struct Kinds {
    /// The position of each kind's first column.
    pub(super) first: Vec<usize>,
    /// The kind of each column.
    pub(super) of: Vec<usize>,
}

impl Kinds {
    /// `is_told`: whether policies can tell the column at a position from others like it.
    pub(super) fn of(fields: &[Field], is_told: impl Fn(usize) -> bool) -> Self {
        let (mut seen, mut kinds) = (HashMap::new(), Kinds { first: vec![], of: Vec::with_capacity(fields.len()) });
        for (at, field) in fields.iter().enumerate() {
            // Levels that keep the column's type.
            let levels: Vec<_> =
                Disclosure::LADDER.into_iter().filter(|level| level.applies_to(&field.data_type)).collect();
            let told = is_told(at).then_some(at);
            let kind = *seen
                .entry((field.classification, column_tags(field), ceiling(field), levels, told))
                .or_insert(kinds.first.len());
            if kind == kinds.first.len() {
                kinds.first.push(at);
            }
            kinds.of.push(kind);
        }
        kinds
    }
}

/// Entities that the schema accepts, together with the actions.
pub(super) fn accepted<'e>(
    entities: impl Iterator<Item = &'e EntityData>,
    schema: &Schema,
) -> Result<Entities, Reason> {
    let all = entities.map(EntityData::concrete).collect::<Result<Vec<_>, _>>()?;
    Entities::from_entities(all, Some(schema)).map_err(|e| explain(&e))
}

/// The most that a contract shows of a column: `pii` without a mask is redacted.
pub(crate) fn ceiling(field: &Field) -> Masking {
    field.masking.unwrap_or(if field.pii { Masking::Redact } else { Masking::None })
}

/// An error with its causes: Cedar keeps the telling part in the source.
pub(super) fn explain(e: &dyn std::error::Error) -> Reason {
    let causes = std::iter::successors(e.source(), |cause| cause.source());
    causes.fold(e.to_string(), |text, cause| format!("{text}: {cause}"))
}
