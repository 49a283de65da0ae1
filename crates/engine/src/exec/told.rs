//! What is told of a plan's operators once they have run, to who looks after the gateway: words of the program, times, and how many
//! rows were handed on, as far as they are the principal's to know. Nothing below a barrier.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet, Timestamp};

use super::explain;
use crate::barrier::BarrierExec;

/// Operators of one plan that are told of at most.
const MOST: usize = 512;

/// An operator that has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its name in the program.
    pub name: String,
    /// The one that it hands its rows to, by its place in the list; None for the last one of the plan.
    pub parent: Option<usize>,
    /// When it began in the first partition, if it measures that.
    pub began: Option<SystemTime>,
    /// When it ended in the last one.
    pub ended: Option<SystemTime>,
    /// How long it computed, in all partitions together.
    pub busy: Option<Duration>,
    /// The rows that it handed on, all of them visible to the principal.
    pub rows: Option<u64>,
}

/// The operators of a plan that runs, or has run.
pub struct Operators(Arc<dyn ExecutionPlan>);

impl Operators {
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Operators {
        Operators(Arc::clone(plan))
    }

    /// As far as they have come, each before those that it has its rows from.
    pub fn told(&self) -> Vec<Operator> {
        let mut operators = Vec::new();
        tell(self.0.as_ref(), None, &mut operators);
        for (operator, rows) in operators.iter_mut().zip(explain::rows(self.0.as_ref())) {
            operator.rows = rows.and_then(|rows| u64::try_from(rows).ok());
        }
        operators.truncate(MOST);
        operators
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operators")
    }
}

fn tell(plan: &dyn ExecutionPlan, parent: Option<usize>, operators: &mut Vec<Operator>) {
    let own = operators.len();
    let metrics = plan.metrics().unwrap_or_default();
    let times = |of: fn(&MetricValue) -> Option<&Timestamp>| metrics.iter().filter_map(move |m| time(of(m.value())?));
    operators.push(Operator {
        name: if plan.is::<BarrierExec>() { "GovernedScan" } else { plan.name() }.to_owned(),
        parent,
        began: times(|value| if let MetricValue::StartTimestamp(at) = value { Some(at) } else { None }).min(),
        ended: times(|value| if let MetricValue::EndTimestamp(at) = value { Some(at) } else { None }).max(),
        busy: busy(&metrics),
        rows: None,
    });
    if !plan.is::<BarrierExec>() {
        plan.children().into_iter().for_each(|child| tell(child.as_ref(), Some(own), operators));
    }
}

fn busy(metrics: &MetricsSet) -> Option<Duration> {
    Some(Duration::from_nanos(u64::try_from(metrics.elapsed_compute()?).ok()?))
}

fn time(at: &Timestamp) -> Option<SystemTime> {
    let nanos = u64::try_from(at.value()?.timestamp_nanos_opt()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
