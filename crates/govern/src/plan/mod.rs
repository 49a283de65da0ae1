//! From one statement and one subject to a [`Verdict`].

mod access;
mod aggregate_only;
mod bounded;
mod context;
mod date_trunc;
mod display;
mod frames;
mod functions;
mod governed;
mod guard;
mod infer;
mod information_schema;
mod join_only;
mod known;
mod lineage;
mod nodes;
mod notices;
mod order_free;
mod params;
mod rewrite;
mod source;
mod system;
mod total;
mod verdict;
mod versions;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, ParamValues, Result, SchemaError, internal_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Analyzer;
use datafusion::sql::planner::{ContextProvider, SqlToRel, object_name_to_table_reference};

pub use context::CATALOGUE;
pub(crate) use functions::TABLE_FUNCTIONS;
pub use functions::function_names;
pub use governed::GovernedPlan;
pub use guard::{GroupGuard, group_guard};
pub use information_schema::INFORMATION_SCHEMA;
pub use lineage::{Lineage, SourceColumn, lineage};
pub use nodes::Node;
pub use notices::notices;
pub use params::{Parameter, parameter_schema};
pub use source::{ScanSource, ViewColumn, visible_schema};
pub use system::{NoSystemTables, SYSTEM_SCHEMA, SystemTable, SystemTables};
pub use verdict::{ColumnUse, Decision, Reason, ReasonKind, Verdict};
pub use versions::{ResolvedVersion, VersionedTable, Versions};

use crate::explain::{Audience, explain_access};
use crate::mask::{MaskKey, Masks};
use crate::policy::{PolicySnapshot, Subject};
use crate::sql::{Statement, StatementKind, UTC};
use crate::stack::deep;
use crate::wire::wire_names;
use context::{MeshContext, PlanRefusal, not_found, refusal};
use governed::{Explanation, Parts};
use known::Plans;
use versions::Then;

/// Plans statements under one policy snapshot. Cheap to make; between statements it holds plans that it made, and takes them again
/// where it would come to the same.
pub struct Planner {
    snapshot: Arc<PolicySnapshot>,
    masks: Masks,
    system: Arc<dyn SystemTables>,
    options: Arc<ConfigOptions>,
    plans: Plans,
}

impl Planner {
    /// A planner that hashes with `mask_key` and serves `system` beside the mesh.
    pub fn new(snapshot: Arc<PolicySnapshot>, mask_key: MaskKey, system: Arc<dyn SystemTables>) -> Self {
        let mut options = ConfigOptions::new();
        options.execution.time_zone = Some(UTC.to_owned());
        let (masks, plans) = (Masks::new(&mask_key), Plans::new());
        Planner { snapshot, masks, system, options: Arc::new(options), plans }
    }

    /// The snapshot that decides.
    pub fn snapshot(&self) -> &Arc<PolicySnapshot> {
        &self.snapshot
    }

    /// Decides about a statement for a subject.
    ///
    /// Without `params` the plan keeps its parameters, for describing a statement: it cannot run if it has any. With
    /// `params` there must be a value for each.
    pub fn govern(&self, statement: &Statement, subject: &Subject, params: Option<ParamValues>) -> Verdict {
        self.govern_at(statement, subject, params, &Versions::default())
    }

    /// The same, where `versions` are those that [`Planner::versions`] asks for.
    pub fn govern_at(
        &self,
        statement: &Statement,
        subject: &Subject,
        params: Option<ParamValues>,
        versions: &Versions,
    ) -> Verdict {
        let options = self.options(statement);
        let mut context = self.context(subject, &options, statement.schema());
        let plain = params.is_none() && versions.is_empty();
        let planned: Result<_> = deep(|| {
            let (plan, decision) = self.plan(statement, &mut context, params, versions)?;
            if plain {
                self.plans.put(statement, &context, &plan, &decision);
            }
            Ok((plan, decision))
        });
        match planned {
            Ok((plan, decision)) => Verdict::Permit(Box::new(plan), decision),
            Err(error) => self.refused(&context, &error),
        }
    }

    /// The tables whose version must be found before the statement can be governed.
    ///
    /// # Errors
    ///
    /// The verdict, if one of them is hidden from the subject, may not be queried, or has no versions.
    pub fn versions(&self, statement: &Statement, subject: &Subject) -> Result<Vec<VersionedTable>, Box<Verdict>> {
        let options = self.options(statement);
        let context = self.context(subject, &options, statement.schema());
        context.asked(statement).map_err(|error| Box::new(self.refused(&context, &error)))
    }

    fn context<'a>(
        &'a self,
        subject: &'a Subject,
        options: &'a ConfigOptions,
        schema: Option<&'a str>,
    ) -> MeshContext<'a> {
        MeshContext::new(&self.snapshot, subject, self.system.as_ref(), options, schema)
    }

    fn refused(&self, context: &MeshContext<'_>, error: &DataFusionError) -> Verdict {
        let reason = reason(error);
        let undecided = reason.kind == ReasonKind::Undecided;
        let decision = Decision {
            tables: context.consulted(),
            reason: Some(reason),
            policy_version: self.snapshot.version().to_string(),
            ..Decision::default()
        };
        if undecided { Verdict::Undecided(decision) } else { Verdict::Deny(decision) }
    }

    fn options(&self, statement: &Statement) -> Arc<ConfigOptions> {
        let mut options = Arc::clone(&self.options);
        if options.execution.time_zone.as_deref() != Some(statement.time_zone()) {
            Arc::make_mut(&mut options).execution.time_zone = Some(statement.time_zone().to_owned());
        }
        options
    }

    fn plan(
        &self,
        statement: &Statement,
        context: &mut MeshContext<'_>,
        params: Option<ParamValues>,
        versions: &Versions,
    ) -> Result<(GovernedPlan, Decision)> {
        match statement.kind() {
            StatementKind::ExplainAccess => self.plan_access(statement, context, params, versions),
            _ => self.plan_query(statement, context, params, versions),
        }
    }

    /// `EXPLAIN ACCESS`: the statement is planned to know what would become of it, and its tables are reported.
    fn plan_access(
        &self,
        statement: &Statement,
        context: &mut MeshContext<'_>,
        params: Option<ParamValues>,
        versions: &Versions,
    ) -> Result<(GovernedPlan, Decision)> {
        let planned = self.plan_query(statement, context, params, versions);
        let refused = planned.as_ref().err().map(reason);
        let (parameters, outcome) = match (planned, access::outcome(refused.as_ref())) {
            (Ok((plan, _)), Some(outcome)) => (plan.parameters().to_vec(), outcome),
            (Err(_), Some(outcome)) => (Vec::new(), outcome),
            (Err(error), None) => return Err(error),
            (Ok(_), None) => return internal_err!("a statement that can be planned has an outcome"),
        };
        // All of them are asked about, also those that planning did not reach.
        for parts in statement.relations() {
            if let [.., domain, name] = parts.as_slice() {
                context.discover(domain, name);
            }
        }
        let report = explain_access(&self.snapshot, statement, context.subject, Audience::Subject);
        let plan = access::plan(&report, &outcome)?;
        let (scans, time_zone) = (Vec::new(), statement.time_zone().to_owned());
        let parts = Parts { plan, scans, schema: access::schema(), parameters, explain: None, time_zone };
        let governed = GovernedPlan::new(parts).map_err(|problem| refusal(ReasonKind::Undecided, problem))?;
        let mut tables = context.consulted();
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        let policy_version = self.snapshot.version().to_string();
        Ok((governed, Decision { tables, policy_version, ..Decision::default() }))
    }

    fn plan_query(
        &self,
        statement: &Statement,
        context: &mut MeshContext<'_>,
        params: Option<ParamValues>,
        versions: &Versions,
    ) -> Result<(GovernedPlan, Decision)> {
        let Some(query) = statement.query() else {
            return Err(refusal(ReasonKind::Unsupported, "a setting is applied to the session, not planned"));
        };
        if let Some(name) = statement.described() {
            let name = object_name_to_table_reference(name.clone(), true)?;
            if !exists(context, &name) {
                return Err(not_found(&name.to_string()));
            }
        }
        let travel = Arc::new(context.time_travel(statement, versions)?);
        context.add_relation_planner(Arc::clone(&travel) as _);
        if let Some(as_of) = statement.as_of() {
            context.go_to(Then { as_of, versions: versions.clone() });
        }
        let view = SqlToRel::new(context).sql_statement_to_plan(query.clone())?;
        travel.check()?;
        let view = frames::of_peers(view)?;
        let mut parameters = params::parameters(&view)?;
        let schema = answer(&view, &parameters, context)?;
        let view = match params {
            Some(values) => {
                let bound = params::bind(&view, &parameters, values, &schema, |bound| answer(bound, &[], context))?;
                parameters.clear();
                bound
            }
            None => view,
        };
        join_only::check(&view)?;
        let lineage = lineage(&view)?;
        let explain = match statement.kind() {
            StatementKind::Explain(kind) => {
                Some(Explanation { kind: *kind, text: wire_names(&display::explain(&view, &lineage)?) })
            }
            _ => None,
        };
        let view = match aggregate_only::concerns(&view)? {
            true => aggregate_only::guard(analysed(view, &parameters, context)?)?,
            false => view,
        };
        let time_zone = statement.time_zone().to_owned();
        let rewrite::Rewritten { plan, scans, system_tables } = rewrite::govern(view, context, &self.masks)?;
        let decision = self.decision(&scans, system_tables, &lineage);
        let governed = GovernedPlan::new(Parts { plan, scans, schema, parameters, explain, time_zone })
            .map_err(|problem| refusal(ReasonKind::Undecided, format!("the plan is not governed: {problem}")))?;
        Ok((governed, decision))
    }

    fn decision(&self, scans: &[Arc<ScanSource>], system_tables: Vec<String>, lineage: &Lineage) -> Decision {
        let mut tables: Vec<_> = scans.iter().map(|scan| Arc::clone(scan.decision())).collect();
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        tables.dedup_by(|a, b| a.table == b.table);
        let shown = |column: &SourceColumn| {
            let table = tables.iter().find(|table| table.table == column.table)?;
            let found = table.columns.iter().find(|decided| decided.name == column.column)?;
            Some(ColumnUse { table: column.table.clone(), column: column.column.clone(), disclosure: found.disclosure })
        };
        let columns = lineage.touched.iter().filter_map(shown).collect();
        let policy_version = self.snapshot.version().to_string();
        Decision { tables, system_tables, columns, reason: None, policy_version }
    }
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").field("policies", &self.snapshot.version()).finish_non_exhaustive()
    }
}

/// The plan with its types coerced; parameters are NULL in it, so it is what runs only where there are none.
fn analysed(view: LogicalPlan, parameters: &[Parameter], context: &MeshContext<'_>) -> Result<LogicalPlan> {
    let typed = params::bind_nulls(view, parameters)?;
    Analyzer::new().execute_and_check(typed, context.options(), |_, _| {})
}

/// The columns of the answer: what the analyser makes of the plan. Masks change no type.
fn answer(view: &LogicalPlan, parameters: &[Parameter], context: &MeshContext<'_>) -> Result<SchemaRef> {
    let untold = parameters.iter().find(|parameter| parameter.data_type.is_none());
    match (analysed(view.clone(), parameters, context), untold) {
        (Ok(analysed), _) => Ok(Arc::clone(analysed.schema().inner())),
        (Err(error), None) => Err(error),
        (Err(error), Some(Parameter { name, .. })) => {
            let Reason { kind, message } = reason(&error);
            Err(refusal(kind, format!("{message}; nothing tells the type of `{name}`: write `CAST({name} AS …)`")))
        }
    }
}

/// Whether a table may be described: discovering it is enough.
fn exists(context: &MeshContext<'_>, name: &datafusion::common::TableReference) -> bool {
    match context.get_table_source(name.clone()) {
        Ok(_) => true,
        Err(error) => reason(&error).kind == ReasonKind::PermissionDenied,
    }
}

/// What a planner's error is for the principal.
fn reason(error: &DataFusionError) -> Reason {
    let root = error.find_root();
    if let DataFusionError::External(inner) = root
        && let Some(refusal) = inner.downcast_ref::<PlanRefusal>()
    {
        return Reason { kind: refusal.kind, message: refusal.message.clone() };
    }
    let (kind, message) = match root {
        DataFusionError::Plan(message) => (ReasonKind::Invalid, message.clone()),
        DataFusionError::SchemaError(inner, _) => (ReasonKind::Invalid, schema_problem(inner)),
        DataFusionError::NotImplemented(message) => (ReasonKind::Unsupported, message.clone()),
        DataFusionError::Internal(_) => {
            (ReasonKind::Invalid, "the statement cannot be planned: it breaks a rule of the planner".to_string())
        }
        other => (ReasonKind::Invalid, other.message().into_owned()),
    };
    Reason { kind, message: wire_names(&tidy(&message)) }
}

/// A column that is not there is answered with all those that are: visible ones, no guesses.
fn schema_problem(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } if valid_fields.is_empty() => {
            format!("column `{}` not found", field.flat_name())
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<_> = valid_fields.iter().map(|column| column.flat_name()).collect();
            format!("column `{}` not found; there are {}", field.flat_name(), names.join(", "))
        }
        other => other.to_string(),
    }
}

/// One line, without the planner's own framing.
fn tidy(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    let mut chars = line.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            format!("{}{}", first.to_ascii_lowercase(), line.get(1..).unwrap_or_default())
        }
        _ => line.to_string(),
    }
}
