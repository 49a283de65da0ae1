//! Tables as of earlier versions. Which version that is, the engine finds out between [`super::Planner::versions`] and
//! [`super::Planner::govern_at`]; here it is data. The policies are those of now, whatever version is read.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{Result, TableReference, internal_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{LogicalPlanBuilder, TableSource};
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::TableFactor;
use portcullis_contract::{Table, TableName};

use super::context::{MeshContext, refusal};
use super::information_schema::INFORMATION_SCHEMA;
use super::source::ViewSource;
use super::verdict::ReasonKind;
use crate::policy::TableDecision;
use crate::sql::{AsOf, Statement};

/// A table, and which version of it a statement asks for.
#[derive(Debug, Clone)]
pub struct VersionedTable {
    /// The table. The subject may query it.
    pub table: Arc<Table>,
    /// The version, in the statement's words.
    pub as_of: AsOf,
}

/// A version of a table, as the engine found it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedVersion {
    /// Iceberg snapshot id or Delta version.
    pub snapshot: String,
    /// Whether it is the head of a branch: that has the table's columns of now, as the table itself.
    pub is_branch: bool,
    /// The declared columns that the version has. Those that it had under the same name, but were other columns, are
    /// not among them.
    pub columns: BTreeSet<String>,
}

/// What the versions that a statement asks for are.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    found: Vec<(TableName, AsOf, Arc<ResolvedVersion>)>,
}

impl Versions {
    /// Adds what was found.
    pub fn insert(&mut self, asked: &VersionedTable, found: ResolvedVersion) {
        self.found.push((asked.table.name.clone(), asked.as_of.clone(), Arc::new(found)));
    }

    /// Whether no version is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A table at this version.
    fn source(&self, table: Arc<Table>, decision: Arc<TableDecision>, as_of: &AsOf) -> Result<ViewSource> {
        let Some(version) = self.get(&table.name, as_of) else {
            let message = format!("nobody knows what table `{}` was as of {as_of}", table.name);
            return Err(refusal(ReasonKind::Undecided, message));
        };
        Ok(ViewSource::product(table, decision, Some(Arc::clone(version))))
    }

    fn get(&self, table: &TableName, as_of: &AsOf) -> Option<&Arc<ResolvedVersion>> {
        self.found.iter().find(|(name, asked, _)| name == table && asked == as_of).map(|(_, _, found)| found)
    }
}

impl MeshContext<'_> {
    /// What is to be resolved for a statement: each table and version once. Fails as the statement without versions.
    pub(crate) fn asked(&self, statement: &Statement) -> Result<Vec<VersionedTable>> {
        let mut asked: Vec<VersionedTable> = Vec::new();
        let mut ask = |table: Arc<Table>, as_of: AsOf| {
            if !asked.iter().any(|known| known.table.name == table.name && known.as_of == as_of) {
                asked.push(VersionedTable { table, as_of });
            }
        };
        for (name, as_of) in statement.versions() {
            ask(self.versioned(object_name_to_table_reference(name, true)?)?.0, as_of);
        }
        if let Some(as_of) = statement.as_of() {
            for name in statement.unversioned() {
                // Which of them are tables, and not names within the statement, the planner tells: it refuses the others.
                if let Ok((table, _)) = self.versioned(object_name_to_table_reference(name, true)?) {
                    ask(table, as_of.clone());
                }
            }
        }
        Ok(asked)
    }

    /// Plans the tables of `statement` at their `versions`.
    pub(crate) fn time_travel(&self, statement: &Statement, versions: &Versions) -> Result<TimeTravel> {
        let mut relations = Vec::new();
        for (name, as_of) in statement.versions() {
            let name = object_name_to_table_reference(name, true)?;
            let (table, decision) = self.versioned(name.clone())?;
            let source = Arc::new(versions.source(table, decision, &as_of)?);
            relations.push(Relation { name, as_of, source, planned: AtomicBool::new(false) });
        }
        Ok(TimeTravel { zone: statement.time_zone().to_owned(), relations })
    }

    fn versioned(&self, name: TableReference) -> Result<(Arc<Table>, Arc<TableDecision>)> {
        travelling(&name, self.of_now(&name)?.as_ref(), "leave AS OF out")
    }
}

/// A table that may be read as of other times than now, or what to do about one that may not.
fn travelling(
    name: &TableReference,
    source: &dyn TableSource,
    instead: &str,
) -> Result<(Arc<Table>, Arc<TableDecision>)> {
    match source.downcast_ref::<ViewSource>() {
        // Aggregates of two versions that differ in one row give away that row.
        Some(ViewSource::Product { decision, .. }) if decision.aggregation.is_some() => Err(refusal(
            ReasonKind::PermissionDenied,
            format!("table `{name}` may only be aggregated, and only as it is now: {instead}"),
        )),
        Some(ViewSource::Product { table, decision, .. }) => Ok((Arc::clone(table), Arc::clone(decision))),
        _ => Err(refusal(ReasonKind::Unsupported, format!("table `{name}` has no versions: {instead}"))),
    }
}

/// The time of a statement's tables whose version it does not ask for.
pub(crate) struct Then {
    pub(crate) as_of: AsOf,
    pub(crate) versions: Versions,
}

impl Then {
    /// A table of now, as it was then. What tells of metadata only, tells of now.
    pub(crate) fn of(&self, name: &TableReference, now: Arc<dyn TableSource>) -> Result<Arc<dyn TableSource>> {
        if let Some(ViewSource::System { domain, .. }) = now.downcast_ref::<ViewSource>()
            && domain == INFORMATION_SCHEMA
        {
            return Ok(now);
        }
        let (table, decision) = travelling(name, now.as_ref(), "`SET as_of = DEFAULT` goes back to now")?;
        Ok(Arc::new(self.versions.source(table, decision, &self.as_of)?))
    }
}

/// Plans the versioned tables of one statement; the others are left to DataFusion, which knows no versions.
pub(crate) struct TimeTravel {
    zone: String,
    relations: Vec<Relation>,
}

struct Relation {
    name: TableReference,
    as_of: AsOf,
    source: Arc<ViewSource>,
    planned: AtomicBool,
}

impl TimeTravel {
    /// Fails if a version was asked for that went nowhere.
    pub(crate) fn check(&self) -> Result<()> {
        match self.relations.iter().find(|relation| !relation.planned.load(Ordering::Relaxed)) {
            Some(relation) => {
                let message = format!("table `{}` cannot be read as of {} here", relation.name, relation.as_of);
                Err(refusal(ReasonKind::Undecided, message))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TimeTravel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.relations.iter().map(|relation| (&relation.name, &relation.as_of))).finish()
    }
}

impl RelationPlanner for TimeTravel {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, alias, version: Some(version), args: None, .. } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let name = context.object_name_to_table_reference(name)?;
        let wanted = |relation: &&Relation| relation.name == name && relation.as_of.is(&version, &self.zone);
        let Some(found) = self.relations.iter().find(wanted) else {
            return internal_err!("table `{name}` at a version that was not looked for");
        };
        found.planned.store(true, Ordering::Relaxed);
        let source = Arc::clone(&found.source) as Arc<dyn TableSource>;
        // Scans of one name are equal to DataFusion, whatever they scan: it would compute one of two subqueries only.
        let scan = LogicalPlanBuilder::scan(scan_name(&name, &found.as_of), source, None)?;
        let plan = scan.alias(name)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// A name that scans of other versions do not have. Nothing is looked up by it.
fn scan_name(name: &TableReference, as_of: &AsOf) -> TableReference {
    let table = format!("{} as of {as_of}", name.table());
    match name {
        TableReference::Bare { .. } => TableReference::bare(table),
        TableReference::Partial { schema, .. } => TableReference::partial(Arc::clone(schema), table),
        TableReference::Full { catalog, schema, .. } => {
            TableReference::full(Arc::clone(catalog), Arc::clone(schema), table)
        }
    }
}
