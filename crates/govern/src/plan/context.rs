//! The world as one subject's SQL sees it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, DataFusionError, Result, TableReference, plan_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::planner::{ExprPlanner, RelationPlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::ContextProvider;
use portcullis_contract::Table;

use super::functions::{Functions, functions, series};
use super::information_schema::{self, INFORMATION_SCHEMA};
use super::source::ViewSource;
use super::system::{SYSTEM_SCHEMA, SystemTables};
use super::verdict::ReasonKind;
use super::versions::Then;
use crate::policy::{Access, PolicySnapshot, Subject, TableAction, TableDecision, Unmet};

/// The catalogue's name in SQL.
pub const CATALOGUE: &str = "mesh";

/// Why a table cannot be planned; carried through DataFusion's planner as it is.
#[derive(Debug)]
pub(crate) struct PlanRefusal {
    pub(crate) kind: ReasonKind,
    pub(crate) message: String,
}

impl fmt::Display for PlanRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PlanRefusal {}

pub(crate) fn refusal(kind: ReasonKind, message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(PlanRefusal { kind, message: message.into() }))
}

/// What exists and is callable for one subject, while one statement is planned.
pub(crate) struct MeshContext<'a> {
    pub(crate) snapshot: &'a PolicySnapshot,
    pub(crate) subject: &'a Subject,
    pub(crate) system: &'a dyn SystemTables,
    options: &'a ConfigOptions,
    /// The domain of tables without one.
    schema: Option<&'a str>,
    functions: &'static Functions,
    consulted: RefCell<Vec<Arc<TableDecision>>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    /// The time of tables that are looked up, if that is not now.
    then: Option<Then>,
    /// Whether a table was looked up that is no product: the gateway makes its rows for this one plan.
    made: Cell<bool>,
}

impl<'a> MeshContext<'a> {
    pub(crate) fn new(
        snapshot: &'a PolicySnapshot,
        subject: &'a Subject,
        system: &'a dyn SystemTables,
        options: &'a ConfigOptions,
        schema: Option<&'a str>,
    ) -> Self {
        let functions = functions();
        MeshContext {
            snapshot,
            subject,
            system,
            options,
            schema,
            functions,
            consulted: RefCell::default(),
            relation_planners: Vec::new(),
            then: None,
            made: Cell::new(false),
        }
    }

    /// From here on, tables are looked up as they were then.
    pub(crate) fn go_to(&mut self, then: Then) {
        self.then = Some(then);
    }

    /// Tables that `planner` takes are planned by it.
    pub(crate) fn add_relation_planner(&mut self, planner: Arc<dyn RelationPlanner>) {
        self.relation_planners.push(planner);
    }

    /// Decisions asked for so far, each once.
    pub(crate) fn consulted(&self) -> Vec<Arc<TableDecision>> {
        self.consulted.borrow().clone()
    }

    /// The table and what was decided about it, if it exists for the subject.
    pub(crate) fn discover(&self, domain: &str, table: &str) -> Option<(Arc<Table>, Arc<TableDecision>)> {
        let table = self.snapshot.catalogue().resolve(domain, table)?;
        let decision = self.snapshot.decide(self.subject, table);
        let mut consulted = self.consulted.borrow_mut();
        if !consulted.iter().any(|known| Arc::ptr_eq(known, &decision)) {
            consulted.push(Arc::clone(&decision));
        }
        decision.discover.allowed.then(|| (Arc::clone(table), decision))
    }

    fn product(&self, domain: &str, name: &str) -> Option<Result<Arc<dyn TableSource>>> {
        let (table, decision) = self.discover(domain, name)?;
        if let Some(why) = &decision.undecided {
            let message = format!("access to table `{}` cannot be decided: {why}", table.name);
            return Some(Err(refusal(ReasonKind::Undecided, message)));
        }
        if !decision.query.allowed {
            let message = format!("permission denied on table `{}`: {}", table.name, hint(&decision.query));
            return Some(Err(refusal(ReasonKind::PermissionDenied, message)));
        }
        Some(Ok(Arc::new(ViewSource::product(table, decision, None))))
    }

    /// Schema of a system table, if it exists for the subject.
    pub(crate) fn system_schema(&self, name: &str) -> Option<SchemaRef> {
        let table = self.system.tables().iter().find(|table| table.name == name)?;
        let resource = format!("{SYSTEM_SCHEMA}.{name}");
        let allowed = self.snapshot.may(self.subject, TableAction::Discover, &resource).allowed;
        allowed.then(|| Arc::clone(&table.schema))
    }

    fn system_table(&self, name: &str) -> Option<Result<Arc<dyn TableSource>>> {
        let schema = self.system_schema(name)?;
        let resource = format!("{SYSTEM_SCHEMA}.{name}");
        if !self.snapshot.may(self.subject, TableAction::Query, &resource).allowed {
            let message = format!("permission denied on table `{resource}`: no policy lets you query it");
            return Some(Err(refusal(ReasonKind::PermissionDenied, message)));
        }
        Some(Ok(Arc::new(ViewSource::System { domain: SYSTEM_SCHEMA.into(), name: name.into(), schema })))
    }

    /// Whether all tables that were looked up are products.
    pub(crate) fn is_of_products(&self) -> bool {
        !self.made.get()
    }

    /// What is decided about a table now, whether or not it may be discovered.
    pub(crate) fn decide(&self, domain: &str, table: &str) -> Option<Arc<TableDecision>> {
        let table = self.snapshot.catalogue().resolve(domain, table)?;
        Some(self.snapshot.decide(self.subject, table))
    }

    fn lookup(&self, domain: &str, name: &str) -> Option<Result<Arc<dyn TableSource>>> {
        if matches!(domain, SYSTEM_SCHEMA | INFORMATION_SCHEMA) {
            self.made.set(true);
        }
        match domain {
            SYSTEM_SCHEMA => self.system_table(name),
            INFORMATION_SCHEMA => {
                let schema = information_schema::schema(name)?;
                Some(Ok(Arc::new(ViewSource::System { domain: domain.into(), name: name.into(), schema })))
            }
            _ => self.product(domain, name),
        }
    }
}

/// Why a table that may be discovered may not be queried, and what to do about it.
fn hint(query: &Access) -> String {
    match &query.unmet {
        None => "no policy lets you query it".to_string(),
        Some(unmet @ Unmet::Purposes(_)) => format!("{unmet}; declare yours with `SET purpose = '…'`"),
        Some(unmet) => unmet.to_string(),
    }
}

/// The one text for tables that are not there, for whatever reason.
pub(crate) fn not_found(name: &str) -> DataFusionError {
    let message = format!("table `{name}` not found: write `domain.table`, `SHOW TABLES` lists what you may discover");
    refusal(ReasonKind::NotFound, message)
}

impl MeshContext<'_> {
    /// A table as it is now.
    pub(crate) fn of_now(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        let found = match name {
            TableReference::Bare { table } => self.schema.and_then(|schema| self.lookup(schema, table)),
            TableReference::Partial { schema, table } => self.lookup(schema, table),
            TableReference::Full { catalog, schema, table } if catalog.as_ref() == CATALOGUE => {
                self.lookup(schema, table)
            }
            TableReference::Full { .. } => None,
        };
        found.unwrap_or_else(|| Err(not_found(&name.to_string())))
    }
}

impl ContextProvider for MeshContext<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let now = self.of_now(&name)?;
        match &self.then {
            None => Ok(now),
            Some(then) => then.of(&name, now),
        }
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().build());
        let schema = DFSchema::empty();
        let args = args.into_iter().map(|arg| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg)));
        Ok(provider_as_source(series(name, &args.collect::<Result<Vec<_>>>()?)?))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_file_type(&self, _ext: &str) -> Result<Arc<dyn datafusion::common::file_options::file_type::FileType>> {
        plan_err!("files are not supported")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.functions.planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let function = self.functions.scalar.get(name)?;
        // `now()` and `to_timestamp()` have the time zone within.
        let zoned = function.inner().with_updated_config(self.options);
        Some(zoned.map_or_else(|| Arc::clone(function), Arc::new))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.functions.higher_order.get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window.get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.options
    }

    fn udf_names(&self) -> Vec<String> {
        sorted(self.functions.scalar.keys())
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.functions.higher_order.keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        sorted(self.functions.aggregate.keys())
    }

    fn udwf_names(&self) -> Vec<String> {
        sorted(self.functions.window.keys())
    }
}

/// In an order that is the same in every process, so that an error's proposal is too.
fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = names.cloned().collect();
    names.sort_unstable();
    names
}
