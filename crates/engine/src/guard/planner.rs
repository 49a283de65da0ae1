//! From the plan's guards to operators. Everything else is DataFusion's own planning.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use portcullis_govern::GroupGuard;

use super::node::GroupGuardExec;

/// Plans queries that may have guards.
#[derive(Debug)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Guards)]);
        planner.create_physical_plan(plan, session).await
    }
}

struct Guards;

#[async_trait]
impl ExtensionPlanner for Guards {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        match (node.as_any().downcast_ref::<GroupGuard>(), physical_inputs) {
            (Some(guard), [input]) => {
                Ok(Some(Arc::new(GroupGuardExec::try_new(Arc::clone(input), guard.limits().to_vec())?)))
            }
            _ => Ok(None),
        }
    }
}
