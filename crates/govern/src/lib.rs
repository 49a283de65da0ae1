//! Decides: which rows and which parts of which columns a subject's statement may read.
//!
//! **For**: turning SQL and policies into a plan that cannot show more than it may. **In**: a catalogue of contracts,
//! policy sources, a subject (principal and circumstances), a statement. **Out**: a [`Verdict`]: a [`GovernedPlan`]
//! with a [`Decision`], or a refusal with a reason; and reports about who may see what.
//! **Must never know**: the clock, the environment, files, networks, async runtimes (`clippy.toml` bans them); how data
//! is stored or executed; who is connected how. The same values in give the same values out.
//!
//! A statement goes [`sql::parse`] → [`Planner::govern`]; nothing else makes a [`GovernedPlan`].

pub mod explain;
pub mod mask;
pub mod plan;
pub mod policy;
pub mod schema;
pub mod sql;

mod error;
mod memo;
mod stack;
mod wire;

pub use error::GovernError;
pub use mask::MaskKey;
pub use memo::{CacheUse, Lookups};
pub use plan::{
    CATALOGUE, ColumnUse, Decision, GovernedPlan, GroupGuard, NoSystemTables, Parameter, Planner, Reason, ReasonKind,
    ResolvedVersion, ScanSource, SystemTable, SystemTables, Verdict, VersionedTable, Versions, ViewColumn, group_guard,
    notices, parameter_schema, visible_schema,
};
pub use policy::{
    Access, AttributeValue, ColumnDecision, Compiled, Disclosure, PolicySnapshot, PolicySources, Principal,
    RequestContext, RowFilter, Subject, TableAction, TableDecision, Unmet, Vocabulary,
};
pub use sql::{
    AsOf, Defaults, ExplainKind, ParseLimits, Setting, Statement, StatementKind, Statements, UTC, parse, parse_in,
};
pub use wire::{wire_names, wire_schema, wire_type};
