//! The only file that uses Cedar's experimental type-aware partial evaluation.
//!
//! The row is an entity with a known type, id and ancestors and unknown attributes; everything else is concrete. What
//! remains of a policy then speaks of the row's attributes only.

use cedar_policy::pst::{Clause, Expr as Cedar};
use cedar_policy::{
    Context, Effect, EntityUid, PartialEntities, PartialEntity, PartialEntityUid, PartialRequest, PolicySet, Schema,
};

use super::entities::{EntityData, Reason, uid};
use super::translate::ANY_ROW;

/// What partial evaluation left of the row policies.
#[derive(Debug)]
pub(crate) struct Residuals {
    /// Permits that hold for every row. Sorted.
    pub(crate) permits_all: Vec<String>,
    /// Forbids that hold for every row. Sorted.
    pub(crate) forbids_all: Vec<String>,
    /// Policies that depend on the row, by id: whether a permit, and the remaining condition.
    pub(crate) open: Vec<(String, Effect, Cedar)>,
}

/// The rows of a table as partial evaluation sees them, and what they are in: the same for all who ask.
#[derive(Debug)]
pub(crate) struct Rows {
    any: EntityUid,
    /// A row of which only type, id and ancestors are known, and what is known beside it.
    entities: Vec<PartialEntity>,
}

impl Rows {
    /// `beside`: the table and its domain.
    pub(crate) fn new(row_type: &str, beside: &[EntityData], schema: &Schema) -> Result<Self, Reason> {
        let any = uid(row_type, ANY_ROW)?;
        let ancestors = beside.iter().map(|entity| entity.uid.clone()).collect();
        let row = PartialEntity::new(any.clone(), None, Some(ancestors), Some(Default::default()), schema);
        let mut entities = vec![row.map_err(|e| e.to_string())?];
        for data in beside {
            entities.push(known(data, schema)?);
        }
        Ok(Rows { any, entities })
    }
}

/// An entity of which everything is known.
fn known(data: &EntityData, schema: &Schema) -> Result<PartialEntity, Reason> {
    let attributes = data.attributes.iter().map(|(k, v)| (k.as_str().into(), v.clone())).collect();
    let ancestors = Some(data.ancestors.clone());
    let entity = PartialEntity::new(data.uid.clone(), Some(attributes), ancestors, Some(Default::default()), schema);
    entity.map_err(|e| e.to_string())
}

/// Evaluates row policies as far as principal, context and table go. `who`: the principal, and the groups that policies speak of.
pub(crate) fn residuals<'e>(
    policies: &PolicySet,
    schema: &Schema,
    principal: &EntityUid,
    context: Context,
    who: impl Iterator<Item = &'e EntityData>,
    rows: &Rows,
) -> Result<Residuals, Reason> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let mut entities = who.map(|data| known(data, schema)).collect::<Result<Vec<_>, _>>()?;
    entities.extend(rows.entities.iter().cloned());
    let entities = PartialEntities::from_partial_entities(entities, schema).map_err(|e| text(&e))?;
    let request = PartialRequest::new(
        PartialEntityUid::from_concrete(principal.clone()),
        uid("Action", "readRow")?,
        PartialEntityUid::from_concrete(rows.any.clone()),
        Some(context),
        schema,
    )
    .map_err(|e| text(&e))?;
    let response = policies.tpe(&request, &entities, schema).map_err(|e| text(&e))?;
    // Cedar skips a forbid that errs, which would show rows that somebody wanted hidden.
    if let Some(id) = response.error_forbids().next() {
        return Err(format!("policy `{id}` is a forbid that cannot be evaluated"));
    }
    let mut permits_all: Vec<String> = response.true_permits().map(ToString::to_string).collect();
    let mut forbids_all: Vec<String> = response.true_forbids().map(ToString::to_string).collect();
    permits_all.sort();
    forbids_all.sort();
    let mut open = Vec::new();
    for policy in response.residual_policies() {
        let body = policy.to_pst().map_err(|e| text(&e))?;
        let [Clause::When(condition)] = body.body().clauses().as_slice() else {
            return Err(format!("the residual of policy `{}` has an unknown form", policy.id()));
        };
        open.push((policy.id().to_string(), policy.effect(), condition.as_ref().clone()));
    }
    open.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Residuals { permits_all, forbids_all, open })
}
