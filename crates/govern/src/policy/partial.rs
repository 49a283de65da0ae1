//! The only file that uses Cedar's experimental type-aware partial evaluation.
//!
//! The row is an entity with a known type, id and ancestors and unknown attributes; everything else is concrete. What
//! remains of a policy then speaks of the row's attributes only.

use std::collections::HashSet;

use cedar_policy::pst::{Clause, Expr as Cedar};
use cedar_policy::{
    Context, Effect, EntityId, EntityTypeName, EntityUid, PartialEntities, PartialEntity, PartialEntityUid,
    PartialRequest, PolicySet, Schema,
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

/// Evaluates row policies as far as principal, context and table go.
pub(crate) fn residuals<'e>(
    policies: &PolicySet,
    schema: &Schema,
    principal: &EntityUid,
    context: Context,
    row_type: &str,
    known: impl Iterator<Item = &'e EntityData>,
    row_ancestors: HashSet<EntityUid>,
) -> Result<Residuals, Reason> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let row_type_name: EntityTypeName = row_type.parse().map_err(|e| text(&e))?;
    let mut entities = Vec::new();
    for data in known {
        let attributes = data.attributes.iter().map(|(k, v)| (k.as_str().into(), v.clone())).collect();
        let ancestors = Some(data.ancestors.clone());
        let tags = Some(Default::default());
        let entity = PartialEntity::new(data.uid.clone(), Some(attributes), ancestors, tags, schema);
        entities.push(entity.map_err(|e| text(&e))?);
    }
    let row = PartialEntity::new(uid(row_type, ANY_ROW)?, None, Some(row_ancestors), Some(Default::default()), schema);
    entities.push(row.map_err(|e| text(&e))?);
    let entities = PartialEntities::from_partial_entities(entities, schema).map_err(|e| text(&e))?;
    let request = PartialRequest::new(
        PartialEntityUid::from_concrete(principal.clone()),
        uid("Action", "readRow")?,
        PartialEntityUid::new(row_type_name, Some(EntityId::new(ANY_ROW))),
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
