//! One decision: who may do what with a table, which rows, and how much of each column.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy::pst::Expr as Cedar;
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema,
};
use datafusion::logical_expr::Expr;
use portcullis_contract::{Aggregation, Field, Table};

use super::cedar_schema::PolicyTable;
use super::columns::RowColumns;
use super::compiled::{CompiledTable, Kinds, accepted, ceiling, explain};
use super::decision::{Access, ColumnDecision, Disclosure, RowFilter, TableAction, TableDecision, Unmet};
use super::entities::{self, EntityData, Reason};
use super::metadata::withhold_metadata;
use super::partial::{Residuals, residuals};
use super::slice::{IMPERSONATE, IndexedPolicy, Slice, USE_LIMITS, action_uid, with_ancestors};
use super::subject::{Principal, Subject};
use super::translate::{Untranslatable, all_rows, and, is_all_rows, no_row, or, translate};
use super::vocabulary::Vocabulary;

/// What decisions are made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) policies: &'a [IndexedPolicy],
    pub(crate) authorizer: &'a Authorizer,
}

/// A subject in Cedar's form, ready to be decided about.
pub(crate) struct Asker<'a> {
    rules: Rules<'a>,
    /// The policies whose scope covers the principal.
    policies: Vec<&'a IndexedPolicy>,
    uid: EntityUid,
    groups: BTreeSet<&'a str>,
    subject: &'a Subject,
    /// The domains that the credential is good for; None: all.
    scope: Option<HashSet<EntityUid>>,
    entities: Vec<EntityData>,
    now: RestrictedExpression,
    context: Context,
    /// Whether the schema knows such a context.
    checked: bool,
    /// Whether any policy in question reads the time.
    pub(crate) reads_time: bool,
}

/// Cedar's answer to one request.
struct Answer {
    allowed: bool,
    /// Permits when allowed, else forbids. Sorted.
    reasons: Vec<String>,
    /// Policies that erred. Sorted.
    errors: Vec<String>,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(rules: Rules<'a>, subject: &'a Subject) -> Result<Self, Reason> {
        let entities = entities::principal(subject, rules.vocabulary)?;
        let user = entities.first().ok_or("the principal has no entity")?;
        let groups = rules.vocabulary.memberships(&subject.principal.groups);
        let domains = subject.context.domains.as_ref();
        let domains = domains.map(|names| names.iter().map(|name| entities::uid("Domain", name)).collect());
        let policies = rules.policies.iter().filter(|policy| policy.covers_principal(&user.uid, &groups));
        let policies: Vec<&IndexedPolicy> = policies.collect();
        let now = entities::now(subject, policies.iter().any(|policy| policy.reads.time))?;
        Ok(Asker {
            scope: domains.transpose()?,
            policies,
            uid: user.uid.clone(),
            groups,
            subject,
            context: entities::context(subject, rules.vocabulary, false, now.clone())?,
            now,
            entities,
            rules,
            checked: false,
            reads_time: false,
        })
    }

    /// Whether an action on a table is allowed. `table` and its domain come as `resource`, the table first.
    pub(crate) fn access(&mut self, action: TableAction, resource: &[EntityData]) -> Result<Access, Reason> {
        let entities = self.concrete(resource)?;
        self.asked(action, resource, &entities).map(|(access, _)| access)
    }

    /// The same, and whether a policy erred. `entities` has the resource and the principal.
    fn asked(
        &mut self,
        action: TableAction,
        resource: &[EntityData],
        entities: &Entities,
    ) -> Result<(Access, bool), Reason> {
        let table = resource.first().ok_or("the table has no entity")?;
        if !self.in_scope(table) {
            return Ok((Access { unmet: Some(Unmet::Scope), ..Access::default() }, false));
        }
        let slice = self.slice(action.as_str(), "Table", &with_ancestors(table))?;
        self.check(action.as_str(), &table.uid)?;
        let answer = self.ask(action.as_str(), &table.uid, &slice.set, entities)?;
        let allowed = answer.allowed && answer.errors.is_empty();
        let erred = !answer.errors.is_empty();
        let policies = if erred { answer.errors } else { answer.reasons };
        Ok((Access { allowed, policies, unmet: None }, erred))
    }

    /// Whether the credential is good for a table's domain. Where it is not, no policy is asked.
    fn in_scope(&self, table: &EntityData) -> bool {
        self.scope.as_ref().is_none_or(|domains| !domains.is_disjoint(&table.ancestors))
    }

    /// Everything about one table.
    pub(crate) fn decide(&mut self, table: &CompiledTable) -> TableDecision {
        match self.try_decide(table) {
            Ok(decision) => decision,
            Err(reason) => undecided(&table.policy_table.table, reason),
        }
    }

    fn try_decide(&mut self, table: &CompiledTable) -> Result<TableDecision, Reason> {
        if !table.entities.first().is_some_and(|entity| self.in_scope(entity)) {
            let outside = Access { unmet: Some(Unmet::Scope), ..Access::default() };
            let nothing = closed(&table.policy_table.table);
            return Ok(TableDecision { discover: outside.clone(), query: outside, ..nothing });
        }
        let break_glass = self.break_glass(table)?;
        let (columns, entities) = self.columns(table)?;
        let (discover, _) = self.asked(TableAction::Discover, &table.entities, &entities)?;
        let (query, aggregation) = self.query(table, &columns, &entities)?;
        let filter = if query.allowed { self.row_filter(table)? } else { RowFilter::nothing() };
        let (notice, _) = self.asked(TableAction::ViewNotice, &table.entities, &entities)?;
        let mut decision = TableDecision {
            table: table.policy_table.table.name.clone(),
            discover,
            query,
            filter,
            aggregation,
            break_glass,
            notice,
            columns,
            undecided: None,
        };
        withhold_metadata(&table.policy_table.table, &mut decision);
        Ok(decision)
    }

    /// Whether policies let the subject break the glass for a table, if it asks for that. From then on they see so.
    fn break_glass(&mut self, table: &CompiledTable) -> Result<Option<Access>, Reason> {
        if self.subject.context.break_glass.is_none() {
            return Ok(None);
        }
        let access = self.access(TableAction::BreakGlass, &table.entities)?;
        if access.allowed {
            self.broken()?;
        }
        Ok(Some(access))
    }

    /// From now on the glass is broken.
    fn broken(&mut self) -> Result<(), Reason> {
        self.context = entities::context(self.subject, self.rules.vocabulary, true, self.now.clone())?;
        self.checked = false;
        Ok(())
    }

    /// Whether a table may be queried, and whether only for its aggregates: the most open of the two that is allowed.
    fn query(
        &mut self,
        table: &CompiledTable,
        columns: &[ColumnDecision],
        entities: &Entities,
    ) -> Result<(Access, Option<Aggregation>), Reason> {
        let contract = &table.policy_table.table.contract.access;
        let (mut query, erred) = self.asked(TableAction::Query, &table.entities, entities)?;
        let mut aggregation = None;
        if !query.allowed && !erred {
            let (aggregate, _) = self.asked(TableAction::AggregateOnly, &table.entities, entities)?;
            if aggregate.allowed {
                query = aggregate;
                aggregation.clone_from(&contract.aggregation);
                query.unmet = match &aggregation {
                    None => Some(Unmet::Aggregation),
                    Some(limit) if !can_count(columns, &limit.entity) => Some(Unmet::Entity(limit.entity.clone())),
                    Some(_) => None,
                };
            }
        }
        let is_one_of = |names: &[String], has: &dyn Fn(&String) -> bool| names.is_empty() || names.iter().any(has);
        if !is_one_of(&contract.roles, &|role| self.groups.contains(role.as_str())) {
            query.unmet.get_or_insert(Unmet::Roles(contract.roles.clone()));
        }
        if !is_one_of(&contract.purposes, &|purpose| self.subject.context.purpose.as_ref() == Some(purpose)) {
            query.unmet.get_or_insert(Unmet::Purposes(contract.purposes.clone()));
        }
        // What policies refuse is refused for that, whatever else is amiss.
        query.unmet = query.unmet.filter(|_| query.allowed);
        query.allowed &= query.unmet.is_none();
        Ok((query, aggregation))
    }

    /// Whether the subject may act for a user. A policy that allows everything does not allow this: it is to be named.
    pub(crate) fn impersonate(&mut self, user: &Principal) -> Result<Access, Reason> {
        let other = Subject { principal: user.clone(), context: self.subject.context.clone() };
        let mut others = entities::principal(&other, self.rules.vocabulary)?;
        let user = others.first().cloned().ok_or("the user has no entity")?;
        let slice = self.slice(IMPERSONATE, "User", &with_ancestors(&user))?;
        // Groups that both are in.
        others.retain(|entity| self.entities.iter().all(|known| known.uid != entity.uid));
        let entities = self.concrete(&others)?;
        self.named(IMPERSONATE, &user.uid, &slice, &entities)
    }

    /// The classes of limits that the subject may have. A policy that allows everything gives none: they are to be named.
    pub(crate) fn limits(&mut self) -> Result<Vec<String>, Reason> {
        let entities = self.concrete([])?;
        let mut given = Vec::new();
        for name in self.rules.vocabulary.limits() {
            let class = entities::uid("Limits", name)?;
            let slice = self.slice(USE_LIMITS, "Limits", &HashSet::from([class.clone()]))?;
            if self.named(USE_LIMITS, &class, &slice, &entities)?.allowed {
                given.push(name.to_owned());
            }
        }
        Ok(given)
    }

    /// Whether an action is allowed by a policy that names it.
    fn named(
        &mut self,
        action: &str,
        on: &EntityUid,
        slice: &Slice<'a>,
        entities: &Entities,
    ) -> Result<Access, Reason> {
        self.check(action, on)?;
        let Answer { allowed, mut reasons, errors } = self.ask(action, on, &slice.set, entities)?;
        if allowed {
            reasons.retain(|id| slice.get(id).is_some_and(|policy| policy.names_action(action)));
        }
        Ok(Access { allowed: allowed && errors.is_empty() && !reasons.is_empty(), policies: reasons, unmet: None })
    }

    /// Whether the rules say anything about a table: to its discovery or query, some of its rows, or a column.
    /// Where the subject asks to break the glass, that counts as let: another policy may do so.
    pub(crate) fn reached(&mut self, table: &CompiledTable) -> Result<bool, Reason> {
        if self.subject.context.break_glass.is_some() {
            self.broken()?;
        }
        for action in TableAction::ALL {
            if !self.access(action, &table.entities)?.policies.is_empty() {
                return Ok(true);
            }
        }
        let filter = self.row_filter(table)?;
        let permits = !filter.permits.is_empty()
            && filter != RowFilter { permits: filter.permits.clone(), ..RowFilter::nothing() };
        if permits || !filter.forbids.is_empty() {
            return Ok(true);
        }
        let (columns, _) = self.columns(table)?;
        Ok(columns.iter().any(|column| !column.policies.is_empty() || !column.forbidden_by.is_empty()))
    }

    fn slice(&mut self, action: &str, kind: &str, resources: &HashSet<EntityUid>) -> Result<Slice<'a>, Reason> {
        let slice = Slice::new(&self.policies, action, kind, resources)?;
        self.reads_time |= slice.reads_time();
        Ok(slice)
    }

    /// Entities that the schema accepts, together with the actions.
    fn concrete<'e>(&'e self, more: impl IntoIterator<Item = &'e EntityData>) -> Result<Entities, Reason> {
        accepted(self.entities.iter().chain(more), self.rules.schema)
    }

    /// The principal, the table, its domain and the first column of each kind; `told`: where kinds are not those of the table.
    fn beside(&self, table: &CompiledTable, told: Option<&Kinds>) -> Result<Entities, Reason> {
        if let Some(kinds) = told {
            return self.concrete(table.described(kinds));
        }
        let principal = self.entities.iter().map(EntityData::concrete).collect::<Result<Vec<_>, _>>()?;
        let others = table.accepted(self.rules.schema)?.clone();
        others.add_entities(principal, Some(self.rules.schema)).map_err(|e| explain(&e))
    }

    /// Whether the schema knows such requests. Which kinds of principal and resource an action has is ours, and all actions have one
    /// type of context: one look at it is enough.
    fn check(&mut self, action: &str, on: &EntityUid) -> Result<(), Reason> {
        if !self.checked {
            self.request(action, on, Some(self.rules.schema))?;
            self.checked = true;
        }
        Ok(())
    }

    fn request(&self, action: &str, on: &EntityUid, schema: Option<&Schema>) -> Result<Request, Reason> {
        let request = Request::new(self.uid.clone(), action_uid(action)?, on.clone(), self.context.clone(), schema);
        request.map_err(|e| explain(&e))
    }

    /// Of a request that was checked.
    fn ask(&self, action: &str, on: &EntityUid, set: &PolicySet, entities: &Entities) -> Result<Answer, Reason> {
        let request = self.request(action, on, None)?;
        let response = self.rules.authorizer.is_authorized(&request, set, entities);
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        let erred = response.diagnostics().errors().map(|AuthorizationError::PolicyEvaluationError(e)| e.policy_id());
        let mut errors: Vec<String> = erred.map(ToString::to_string).collect();
        errors.sort();
        Ok(Answer { allowed: response.decision() == Decision::Allow, reasons, errors })
    }

    fn row_filter(&mut self, table: &CompiledTable) -> Result<RowFilter, Reason> {
        let ancestors: HashSet<EntityUid> = table.entities.iter().map(|e| e.uid.clone()).collect();
        let slice = self.slice("readRow", &table.policy_table.row_type, &ancestors)?;
        // The principal comes first, and says itself which groups it is in.
        let about = if slice.reads_groups() { self.entities.len() } else { 1 };
        let (schema, who) = (self.rules.schema, self.entities.iter().take(about));
        let left = residuals(&slice.set, schema, &self.uid, self.context.clone(), who, table.rows(schema)?)?;
        combine_with(left, &table.policy_table, translate)
    }

    /// The columns, and the entities that they were decided with: the principal's, the table's, and columns of each kind.
    fn columns(&mut self, table: &CompiledTable) -> Result<(Vec<ColumnDecision>, Entities), Reason> {
        let mut slices = Vec::new();
        for level in Disclosure::LADDER {
            let action = level.action().unwrap_or_default();
            let slice = self.slice(action, "Column", &table.scope)?;
            if let (false, Some(column)) = (slice.policies.is_empty(), table.columns.first()) {
                self.check(action, &column.uid)?;
            }
            slices.push((level, slice));
        }
        let policies = || slices.iter().flat_map(|(_, slice)| &slice.policies);
        let every_column = policies().any(|p| p.reads.column_identity);
        let named: HashSet<&EntityUid> = policies().filter_map(|p| p.scope_column()).collect();
        let fields = table.policy_table.table.fields();
        let told = (every_column || !named.is_empty()).then(|| {
            let is_named = |at: usize| table.columns.get(at).is_some_and(|column| named.contains(&column.uid));
            Kinds::of(fields, |at| every_column || is_named(at))
        });
        let kinds = told.as_ref().unwrap_or(&table.kinds);
        let entities = self.beside(table, told.as_ref())?;
        let mut decided = Vec::with_capacity(kinds.first.len());
        for (field, entity) in kinds.first.iter().filter_map(|at| Some((fields.get(*at)?, table.columns.get(*at)?))) {
            decided.push(self.climb(field, &entity.uid, &slices, &entities)?);
        }
        let of = |(field, kind): (&Field, &usize)| {
            decided.get(*kind).cloned().map(|d| ColumnDecision { name: field.name.clone(), ..d })
        };
        let columns: Option<Vec<ColumnDecision>> = fields.iter().zip(&kinds.of).map(of).collect();
        Ok((columns.ok_or("a column was left undecided")?, entities))
    }

    /// Walks the ladder from the most open level down: the first that is allowed wins.
    fn climb(
        &self,
        field: &Field,
        column: &EntityUid,
        slices: &[(Disclosure, Slice<'_>)],
        entities: &Entities,
    ) -> Result<ColumnDecision, Reason> {
        let masking = ceiling(field);
        let ceiling = Disclosure::from(masking);
        let mut forbidden_by = BTreeSet::new();
        let mut contract_masking = None;
        let mut outcome = (Disclosure::Denied, Arc::default());
        for (level, slice) in slices {
            // What no policy speaks of is not allowed.
            if !level.applies_to(&field.data_type) || slice.policies.is_empty() {
                continue;
            }
            let action = level.action().unwrap_or_default();
            let answer = self.ask(action, column, &slice.set, entities)?;
            if !answer.errors.is_empty() {
                forbidden_by.extend(answer.errors);
                outcome = (Disclosure::Denied, Arc::default());
                break;
            }
            if !answer.allowed {
                forbidden_by.extend(answer.reasons);
                continue;
            }
            let by_name = |id: &&String| slice.get(id).is_some_and(|p| p.names_action(action));
            let reasons: Vec<String> = match level {
                // Matching values is not a part of seeing them: `view` does not grant it.
                Disclosure::JoinOnly => answer.reasons.iter().filter(by_name).cloned().collect(),
                _ => answer.reasons,
            };
            if reasons.is_empty() {
                continue;
            }
            let explicit = *level == Disclosure::Clear && reasons.iter().any(|id| by_name(&id));
            if *level < ceiling && !explicit {
                contract_masking = Some(masking);
                continue;
            }
            outcome = (*level, reasons.into());
            break;
        }
        let (disclosure, policies) = outcome;
        let forbidden_by = forbidden_by.into_iter().collect();
        Ok(ColumnDecision { name: String::new(), disclosure, policies, forbidden_by, contract_masking })
    }
}

/// Whether distinct values of a column can be counted without being seen otherwise.
fn can_count(columns: &[ColumnDecision], name: &str) -> bool {
    let found = columns.iter().find(|column| column.name == name);
    found.is_some_and(|c| matches!(c.disclosure, Disclosure::Clear | Disclosure::Hash | Disclosure::JoinOnly))
}

/// (some permit is true) and (every forbid is false). The translation is an argument so that a test can try wrong ones.
pub(crate) fn combine_with(
    left: Residuals,
    table: &PolicyTable,
    translate: impl Fn(&Cedar, bool, &RowColumns) -> Result<Expr, Untranslatable>,
) -> Result<RowFilter, Reason> {
    if !left.forbids_all.is_empty() {
        return Ok(RowFilter { forbids: left.forbids_all, ..RowFilter::nothing() });
    }
    let mut permitted = if left.permits_all.is_empty() { no_row() } else { all_rows() };
    let mut withheld = all_rows();
    let (mut permits, mut forbids) = (left.permits_all, Vec::new());
    for (id, effect, condition) in left.open {
        let translated = translate(&condition, effect == Effect::Permit, &table.columns)
            .map_err(|e| format!("policy `{id}` has no row filter: {e}"))?;
        match effect {
            Effect::Permit => {
                permitted = or(permitted, translated);
                permits.push(id);
            }
            Effect::Forbid => {
                withheld = and(withheld, translated);
                forbids.push(id);
            }
        }
    }
    permits.sort();
    let expr = and(permitted, withheld);
    Ok(RowFilter { expr: (!is_all_rows(&expr)).then_some(expr), permits, forbids })
}

/// Denies everything, saying why.
pub(crate) fn undecided(table: &Table, reason: Reason) -> TableDecision {
    TableDecision { undecided: Some(reason), ..closed(table) }
}

/// Denies everything.
fn closed(table: &Table) -> TableDecision {
    let nothing: Arc<[String]> = Arc::default();
    let denied = |field: &Field| ColumnDecision {
        name: field.name.clone(),
        disclosure: Disclosure::Denied,
        policies: Arc::clone(&nothing),
        forbidden_by: Arc::clone(&nothing),
        contract_masking: None,
    };
    TableDecision {
        table: table.name.clone(),
        discover: Access::default(),
        query: Access::default(),
        aggregation: None,
        break_glass: None,
        notice: Access::default(),
        filter: RowFilter::nothing(),
        columns: table.fields().iter().map(denied).collect(),
        undecided: None,
    }
}
