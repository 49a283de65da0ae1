//! Writes a demo table as a Delta table, one file for each commit.

use std::path::Path;

use anyhow::{Result, anyhow};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{StructField, StructType};
use deltalake::operations::create::CreateBuilder;
use deltalake::writer::{DeltaWriter, RecordBatchWriter};

use super::lake::{Progress, batches};
use super::tables::Rows;

/// Writes the table into `directory`; a Delta log speaks of its files relatively, so it may be renamed afterwards.
pub async fn write(table: &dyn Rows, directory: &Path, progress: &Progress) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    let location = url::Url::from_directory_path(directory)
        .map_err(|()| anyhow!("`{}` is not an absolute path", directory.display()))?;
    let schema = table.batch(0..1)?.schema();
    let kernel: StructType = schema.as_ref().try_into_kernel()?;
    let columns: Vec<StructField> = kernel.fields().cloned().collect();
    let mut delta =
        CreateBuilder::new().with_location(location).with_table_name(table.name()).with_columns(columns).await?;
    let mut writer = RecordBatchWriter::for_table(&delta)?;
    for commit in table.ranges() {
        for range in batches(commit) {
            let count = range.end - range.start;
            writer.write(table.batch(range)?).await?;
            progress.add(count);
        }
        writer.flush_and_commit(&mut delta).await?;
    }
    Ok(())
}
