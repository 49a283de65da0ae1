//! A table of 400 rows of which every other one is hidden, and whoever touches a hidden one fails.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::functions::expr_fn::{concat, right};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

use crate::barrier::{BarrierTable, GovernedScan, ScanColumn};

pub const ROWS: i64 = 400;

/// A hidden row comes first.
fn is_visible(i: i64) -> bool {
    i % 2 == 1
}

pub fn rows() -> RecordBatch {
    let text = |f: &dyn Fn(i64) -> String| Arc::new(StringArray::from_iter_values((0..ROWS).map(f))) as ArrayRef;
    let long = |f: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..ROWS).map(f))) as ArrayRef;
    let pick = |i, visible: &str, hidden: &str| String::from(if is_visible(i) { visible } else { hidden });
    RecordBatch::try_from_iter(vec![
        ("id", long(&|i| i)),
        ("tenant", text(&|i| pick(i, "A", "B"))),
        ("region", text(&|i| pick(i, "eu", "us"))),
        ("amt", text(&|i| if is_visible(i) { format!("{}", i % 17) } else { format!("hid-{}", i % 7) })),
        ("salary", long(&|i| if is_visible(i) { 1000 + i % 400 } else { 1501 + 100 * (i % 4 / 2) })),
        ("big", long(&|i| if is_visible(i) { i } else { i64::MAX - i })),
        ("pat", text(&|i| pick(i, "x.*", "(["))),
        ("ssn", text(&|i| format!("{:05}-{:04}", i * 7, i))),
        ("note", text(&|i| format!("{}-{:060}", pick(i, "A", "B"), i * 7919))),
    ])
    .unwrap()
}

/// Two files of two row groups each.
pub fn write_parquet(dir: &Path) {
    let batch = rows();
    for file in 0..2 {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
        let target = std::fs::File::create(dir.join(format!("{file}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(target, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch.slice(file * 200, 200)).unwrap();
        writer.close().unwrap();
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub pushdown: bool,
    pub reorder: bool,
    pub partitions: usize,
}

pub const SETTINGS: [Settings; 4] = [
    Settings { pushdown: false, reorder: false, partitions: 1 },
    Settings { pushdown: false, reorder: false, partitions: 4 },
    Settings { pushdown: true, reorder: false, partitions: 1 },
    Settings { pushdown: true, reorder: true, partitions: 4 },
];

fn mask() -> Expr {
    concat(vec![lit("xxx-"), right(col("ssn"), lit(4_i64))])
}

/// How the governed table is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Only the visible rows exist.
    Truth,
    /// Filter and mask as a view in plain DataFusion.
    View,
    /// The product.
    Barrier,
}

pub struct World {
    pub context: SessionContext,
}

impl World {
    pub async fn new(mode: Mode, filter: &str, settings: Settings, dir: &Path) -> Self {
        let mut config = SessionConfig::new().with_target_partitions(settings.partitions);
        let options = config.options_mut();
        options.execution.parquet.pushdown_filters = settings.pushdown;
        options.execution.parquet.reorder_filters = settings.reorder;
        options.execution.collect_statistics = true;
        options.optimizer.repartition_file_min_size = 0;
        let context = SessionContext::new_with_config(config);
        context.register_parquet("base", dir.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        let nums = Arc::new(Int64Array::from_iter_values(0..20)) as ArrayRef;
        let nums = RecordBatch::try_from_iter(vec![("n", nums)]).unwrap();
        context.register_table("nums", Arc::new(MemTable::try_new(nums.schema(), vec![vec![nums]]).unwrap())).unwrap();
        let base = context.table_provider("base").await.unwrap();
        let world = World { context };
        let table = match mode {
            Mode::Truth => world.truth(filter).await,
            Mode::View => world.context.sql(&view(filter)).await.unwrap().into_view(),
            Mode::Barrier => world.governed(base, Some(filter)),
        };
        world.context.register_table("t", table).unwrap();
        world
    }

    async fn truth(&self, filter: &str) -> Arc<dyn TableProvider> {
        let batches = self.context.sql(&view(filter)).await.unwrap().collect().await.unwrap();
        Arc::new(MemTable::try_new(batches[0].schema(), vec![batches]).unwrap())
    }

    pub fn governed(&self, base: Arc<dyn TableProvider>, filter: Option<&str>) -> Arc<dyn TableProvider> {
        let schema = base.schema();
        let filter = filter.map(|filter| {
            let df = datafusion::common::DFSchema::try_from(Arc::clone(&schema)).unwrap();
            self.context.parse_sql_expr(filter, &df).unwrap()
        });
        let columns = schema.fields().iter().map(|field| ScanColumn {
            name: field.name().clone(),
            expr: match field.name().as_str() {
                "ssn" => datafusion::logical_expr::cast(mask(), field.data_type().clone()),
                name => Expr::Column(datafusion::common::Column::new_unqualified(name)),
            },
        });
        let scan = GovernedScan::try_new(0, "shop.t", schema.clone(), filter.as_ref(), columns).unwrap();
        Arc::new(BarrierTable::try_new(base, Arc::new(scan)).unwrap())
    }

    /// The answer, sorted, as text.
    pub async fn answer(&self, query: &str) -> Result<String> {
        let batches = self.context.sql(query).await?.collect().await?;
        let text = pretty_format_batches(&batches)?.to_string();
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|"))
            .collect();
        lines.sort_unstable();
        Ok(lines.join("\n"))
    }

    /// The physical plan, and its scan's line alone.
    pub async fn plan(&self, query: &str) -> (String, String) {
        let plan = self.context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        let text = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
        let scan = text.lines().find(|line| line.contains("file_type=parquet")).unwrap_or_default().to_owned();
        (text, scan)
    }
}

fn view(filter: &str) -> String {
    let shown = "id, tenant, region, amt, salary, big, pat, concat('xxx-', right(ssn, 4)) AS ssn, note";
    format!("SELECT {shown} FROM base WHERE {filter}")
}
