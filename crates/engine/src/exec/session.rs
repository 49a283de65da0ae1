//! What all queries share: memory, spill space, stores, optimiser rules; and what each has of its own.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::prelude::SessionConfig;
use portcullis_govern::UTC;

use super::limits::EngineLimits;
use super::memory::bounded;
use super::redact::LogValues;
use super::spill::SpillDir;
use crate::guard::Planner;

/// Creates the state of each query from one template.
#[derive(Debug)]
pub(super) struct Sessions {
    template: SessionState,
    query_memory: usize,
    _spill: SpillDir,
}

impl Sessions {
    pub fn new(limits: &EngineLimits, stores: Arc<dyn ObjectStoreRegistry>) -> Result<Self> {
        let spill = SpillDir::create(&limits.spill_dir)?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![spill.path().to_owned()]))
            .with_max_temp_directory_size(limits.spill_bytes);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
            .with_disk_manager_builder(disk)
            .with_object_store_registry(stores)
            .build_arc()?;
        let query_memory = limits.query_memory_bytes;
        Ok(Self { template: template(limits, runtime), query_memory, _spill: spill })
    }

    /// Bytes of memory that all queries hold.
    pub fn reserved(&self) -> usize {
        self.template.runtime_env().memory_pool.reserved()
    }

    /// What one query runs in: the shared environment, with a bound of its own on memory.
    pub fn runtime(&self) -> Arc<RuntimeEnv> {
        bounded(self.template.runtime_env(), self.query_memory)
    }

    /// A state whose clock starts now, and shows this time zone.
    pub fn start(&self, time_zone: &str) -> SessionState {
        let mut state = self.template.clone();
        if state.config_options().execution.time_zone.as_deref() != Some(time_zone) {
            state.config_mut().options_mut().execution.time_zone = Some(time_zone.to_owned());
        }
        state.mark_start_execution();
        state
    }
}

/// No catalogue, no SQL, no functions but one that an optimiser rule asks for: plans come with all they need.
fn template(limits: &EngineLimits, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.target_partitions.max(1))
        .with_batch_size(limits.batch_size.max(1))
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_extension(Arc::new(LogValues(limits.log_values)));
    let options = config.options_mut();
    // Costs more than it gives: predicates come in a good order.
    options.execution.parquet.reorder_filters = false;
    // The check refuses valid statements: physical expressions are nullable where logical ones are not (apache/datafusion#23844, #24096).
    options.execution.skip_physical_aggregate_schema_check = true;
    options.explain.show_sizes = false;
    options.execution.time_zone = Some(UTC.to_owned());
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_aggregate_functions(vec![first_value_udaf()])
        .with_query_planner(Arc::new(Planner))
        .build()
}
