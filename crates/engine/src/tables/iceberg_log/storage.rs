//! Iceberg's way to files, over the store of the table's connection: one set of credentials, and read only.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use super::{avro, opaque};
use crate::tables::store::TableRoot;

/// The files of a table. With `opaque`, manifests are given without what the library cannot read.
pub(super) fn file_io(root: &TableRoot, opaque: bool) -> FileIO {
    FileIOBuilder::new(Arc::new(TableStorage { root: Some(root.clone()), opaque })).build()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TableStorage {
    #[serde(skip)]
    root: Option<TableRoot>,
    #[serde(skip)]
    opaque: bool,
}

#[typetag::serde(name = "portcullis_storage_factory")]
impl StorageFactory for TableStorage {
    fn build(&self, _: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

impl TableStorage {
    fn locate(&self, name: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let root = self.root.as_ref().ok_or_else(|| Error::new(ErrorKind::Unexpected, "no store"))?;
        let invalid = || Error::new(ErrorKind::DataInvalid, "a path that is not in the table's connection");
        let path = root.locate(name).map_err(|_| invalid())?;
        Ok((Arc::clone(&root.store) as Arc<dyn ObjectStore>, path))
    }
}

fn failed(error: object_store::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "the store failed").with_source(error)
}

fn read_only<T>() -> Result<T> {
    Err(Error::new(ErrorKind::FeatureUnsupported, "tables are read only"))
}

struct Reader {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&self.path, range).await.map_err(failed)
    }
}

#[async_trait]
#[typetag::serde(name = "portcullis_storage")]
impl Storage for TableStorage {
    async fn exists(&self, name: &str) -> Result<bool> {
        let (store, path) = self.locate(name)?;
        match store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn metadata(&self, name: &str) -> Result<FileMetadata> {
        let (store, path) = self.locate(name)?;
        Ok(FileMetadata { size: store.head(&path).await.map_err(failed)?.size })
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        let (store, path) = self.locate(name)?;
        let bytes = store.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
        if !avro::is_harmless(&bytes) {
            return Err(Error::new(ErrorKind::DataInvalid, "an Avro file is damaged"));
        }
        let plain = self.opaque.then(|| opaque::of_manifest(&bytes)).flatten();
        Ok(plain.unwrap_or(bytes))
    }

    async fn reader(&self, name: &str) -> Result<Box<dyn FileRead>> {
        let (store, path) = self.locate(name)?;
        Ok(Box::new(Reader { store, path }))
    }

    async fn write(&self, _: &str, _: Bytes) -> Result<()> {
        read_only()
    }

    async fn writer(&self, _: &str) -> Result<Box<dyn FileWrite>> {
        read_only()
    }

    async fn delete(&self, _: &str) -> Result<()> {
        read_only()
    }

    async fn delete_prefix(&self, _: &str) -> Result<()> {
        read_only()
    }

    async fn delete_stream(&self, _: BoxStream<'static, String>) -> Result<()> {
        read_only()
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_string()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_string()))
    }
}
