//! Object stores of the connections, and how a table's paths are found in them.
//!
//! Every connection has its own store (one for each bucket), under a private URL: scans name that URL, and a path in a
//! table's metadata can never choose another store than its connection's, nor leave the table's own directory and those
//! that the connection gives to its domain.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use portcullis_contract::{SecretRef, StoreOptions};
use portcullis_govern::CacheUse;
use url::Url;

use super::TablesOptions;
use super::bucket::Bucket;
use super::confined::Confined;
use super::data_cache::DataCache;
use super::fault::Fault;
use super::lent::{Lender, Lent, LentKeys};
use super::reader::Footers;

const SCHEME: &str = "portcullis-store";

/// The stores that scans may use; nothing else is reachable through it.
#[derive(Debug, Default)]
pub(super) struct Registry {
    stores: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Registry {
    fn key(url: &Url) -> String {
        format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
    }
}

impl ObjectStoreRegistry for Registry {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.stores.write().unwrap_or_else(PoisonError::into_inner).insert(Self::key(url), store)
    }

    fn get_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        stores.get(&Self::key(url)).cloned().ok_or_else(|| {
            DataFusionError::Execution("only the stores of the mesh's connections can be read".to_owned())
        })
    }
}

/// The root of one store of a connection.
#[derive(Debug)]
pub(super) struct Root {
    /// Name of the connection, for messages.
    pub(super) connection: String,
    /// Under which scans find the store.
    pub(super) url: ObjectStoreUrl,
    /// The store.
    pub(super) store: Arc<dyn ObjectStore>,
    /// Footers of Parquet files, of this store and all others.
    pub(super) footers: Footers,
    /// Credentials that a catalogue lends for it.
    pub(super) lent: Option<Arc<LentKeys>>,
    /// Bytes of data files, of this store and all others; none of directories, which are on a disk already.
    data: Option<DataCache>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Paths are relative to the directory, which is known by these absolute names.
    Directory { names: Vec<PathBuf> },
    /// Paths are keys of the bucket, and must lie below the prefix.
    Bucket { bucket: Bucket, prefix: Path },
}

impl Root {
    /// A URL of the store's kind, for the Delta library, which derives from it whether listings are ordered. Those of
    /// directories are not, as those of S3 directory buckets; for `file:` URLs it would look at the file system itself.
    pub(super) fn scheme_hint(&self) -> &'static str {
        match self.place {
            Place::Directory { .. } => "s3://directory--x-s3/",
            Place::Bucket { .. } => "s3://bucket/",
        }
    }

    /// Where it is in the file system, links followed.
    fn real_directory(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Directory { names } => names.last().cloned(),
            Place::Bucket { .. } => None,
        }
    }

    /// Whether a directory is within it, and not all of it.
    fn holds(&self, directory: &Path) -> bool {
        let whole = match &self.place {
            Place::Directory { .. } => &Path::ROOT,
            Place::Bucket { prefix, .. } => prefix,
        };
        directory != whole && directory.prefix_matches(whole)
    }

    /// The path in the store of an absolute URI or file name.
    pub(super) fn locate(&self, uri: &str) -> Result<Path, Fault> {
        let outside = || Fault::Withheld(format!("it refers to files outside of connection `{}`", self.connection));
        match &self.place {
            Place::Directory { names } => {
                let file = file_name(uri).ok_or_else(outside)?;
                let below = names.iter().find_map(|name| file.strip_prefix(name).ok()).ok_or_else(outside)?;
                parse(below.to_str().ok_or_else(outside)?)
            }
            Place::Bucket { bucket, prefix } => {
                let (found, key) = Bucket::of(uri).ok_or_else(outside)?;
                let key = parse(key)?;
                if !bucket.is(&found) || !key.prefix_matches(prefix) {
                    return Err(outside());
                }
                Ok(key)
            }
        }
    }
}

/// The directory of one table in its store.
#[derive(Debug, Clone)]
pub(super) struct TableRoot {
    /// Its store.
    pub(super) root: Arc<Root>,
    /// Its directory.
    pub(super) base: Path,
    /// What the table's metadata calls this directory, where it was moved or is named otherwise.
    pub(super) declared: Option<String>,
    /// What of the store it may read: `base`, and what is `granted`.
    pub(super) store: Arc<Confined>,
    /// The directories of its domain, where the connection is divided among domains.
    granted: Option<Vec<Path>>,
}

impl TableRoot {
    fn new(root: Arc<Root>, base: Path, granted: Option<Vec<Path>>) -> Self {
        let allowed = granted.iter().flatten().chain([&base]).cloned();
        let store = Confined::new(Arc::clone(&root.store), allowed, root.real_directory());
        let store = Arc::new(store.with_cache(root.data.clone()));
        Self { root, base, declared: None, store, granted }
    }

    /// The table in the directory `base` of a store of a test.
    #[cfg(test)]
    pub(super) fn of_test(store: Arc<dyn ObjectStore>, base: &str) -> Result<Self, Fault> {
        let place = Place::Bucket { bucket: Bucket::S3("test".to_owned()), prefix: Path::ROOT };
        let url = ObjectStoreUrl::parse("test://store").map_err(|error| Fault::Internal(error.to_string()))?;
        let footers = Footers::new(0);
        let root = Root { connection: "lake".to_owned(), url, store, footers, lent: None, data: None, place };
        Ok(Self::new(Arc::new(root), parse(base)?, None))
    }

    /// The table whose metadata is in this file of the store: where it lies, and not above what the connection is.
    pub(super) fn of_metadata(&self, file: &Path) -> Result<Self, Fault> {
        let directory = parent(file);
        let directory = if directory.filename() == Some("metadata") { parent(&directory) } else { directory };
        if !self.root.holds(&directory) {
            let connection = &self.root.connection;
            return Err(Fault::Withheld(format!("it is not in a directory of its own in connection `{connection}`")));
        }
        Ok(Self::new(Arc::clone(&self.root), directory, self.granted.clone()))
    }

    /// Whether it is the same directory, reached in the same way, with the same rights.
    pub(super) fn is(&self, other: &TableRoot) -> bool {
        Arc::ptr_eq(&self.root, &other.root) && self.directories() == other.directories()
    }

    /// The directories that it may read, for keys of caches.
    pub(super) fn directories(&self) -> (&Path, &Option<Vec<Path>>) {
        (&self.base, &self.granted)
    }

    /// The path in the store of a URI from the table's metadata.
    pub(super) fn locate(&self, uri: &str) -> Result<Path, Fault> {
        let plain = |uri| str::strip_prefix(uri, "file://").or_else(|| uri.strip_prefix("file:")).unwrap_or(uri);
        let declared = self.declared.as_deref().map(plain);
        let renamed = declared.and_then(|declared| plain(uri).strip_prefix(declared)?.strip_prefix('/'));
        let path = match renamed {
            Some(rest) => self.below(rest)?,
            None => self.root.locate(uri)?,
        };
        if !self.store.admits(&path) {
            tracing::warn!(connection = self.root.connection, table = %self.base, file = %path, "outside of the table");
            return Err(Fault::outside(&self.root.connection));
        }
        Ok(path)
    }

    /// A file's name relative to the table's directory; of one that lies elsewhere, its path in the store.
    pub(super) fn name_of(&self, path: &Path) -> String {
        match path.prefix_match(&self.base) {
            Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
            None => path.to_string(),
        }
    }

    /// The path of a name relative to the table's directory.
    pub(super) fn below(&self, name: &str) -> Result<Path, Fault> {
        parse(&format!("{}/{}", self.base, name.trim_start_matches('/')))
    }
}

fn parent(path: &Path) -> Path {
    let parts: Vec<_> = path.parts().collect();
    parts.iter().take(parts.len().saturating_sub(1)).cloned().collect()
}

fn parse(path: &str) -> Result<Path, Fault> {
    Path::parse(path.trim_start_matches('/')).map_err(|_| Fault::Corrupt("a file of it has an invalid path".into()))
}

fn file_name(uri: &str) -> Option<PathBuf> {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(host_and_path) => host_and_path.get(host_and_path.find('/')?..)?,
            None => rest,
        },
        None if uri.contains("://") => return None,
        None => uri,
    };
    let path = FilePath::new(path);
    path.is_absolute().then(|| path.to_path_buf())
}

/// All stores that were opened.
#[derive(Debug)]
pub(super) struct Stores {
    mesh_dir: PathBuf,
    pub(super) timeout: Duration,
    footers: Footers,
    data: Option<DataCache>,
    registry: Arc<Registry>,
    open: Mutex<HashMap<String, Arc<Root>>>,
    opened: AtomicU64,
}

impl Stores {
    /// None is opened yet.
    pub(super) fn new(options: &TablesOptions) -> Self {
        let mesh_dir = std::path::absolute(&options.mesh_dir).unwrap_or_else(|_| options.mesh_dir.clone());
        Self {
            mesh_dir,
            timeout: options.store_timeout,
            footers: Footers::new(options.cache_bytes),
            data: options.data_cache.clone(),
            registry: Arc::default(),
            open: Mutex::default(),
            opened: AtomicU64::new(0),
        }
    }

    /// Where scans find them.
    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// How the footers of files are used.
    pub(super) fn footers(&self) -> CacheUse {
        self.footers.usage()
    }

    /// The table directory `location`, below the directory `url` of `connection`.
    pub(super) fn table_root(
        &self,
        connection: &str,
        url: &str,
        options: &StoreOptions,
        location: &str,
    ) -> Result<TableRoot, Fault> {
        let (root, location) = match Bucket::of(url) {
            Some((bucket, prefix)) => {
                (self.bucket(connection, bucket, prefix, options, &Lent::default(), "")?, location.to_owned())
            }
            None => (self.directory(connection, url)?, self.absolute(location).to_string_lossy().into_owned()),
        };
        let base = root.locate(location.trim_end_matches('/'))?;
        Ok(TableRoot::new(root, base, None))
    }

    /// The table directory `location` that a catalogue names, with what it says about reaching the store, and whom to ask
    /// for more of that.
    pub(super) fn catalogue_root(
        &self,
        connection: &str,
        options: &StoreOptions,
        location: &str,
        vended: &HashMap<String, String>,
        lender: Option<Arc<dyn Lender>>,
    ) -> Result<TableRoot, Fault> {
        let Some((bucket @ Bucket::S3(_), key)) = Bucket::of(location) else {
            return Err(Fault::Withheld(format!(
                "the catalogue of connection `{connection}` names a location that is not in an S3 store"
            )));
        };
        let root = self.bucket(connection, bucket, "", options, &Lent::by(vended, options, lender), location)?;
        let base = parse(key.trim_end_matches('/'))?;
        if base.parts().next().is_none() {
            let message = format!("the catalogue of connection `{connection}` says that it is a whole bucket");
            return Err(Fault::Withheld(message));
        }
        Ok(TableRoot::new(root, base, None))
    }

    /// The table with the directories of its domain. Where there are some, its own must lie in one of them: a
    /// catalogue may let a table's writer say where the table is.
    pub(super) fn granted(&self, table: TableRoot, granted: Option<&[String]>) -> Result<TableRoot, Fault> {
        let Some(granted) = granted else { return Ok(table) };
        let locate = |directory: &String| match Bucket::of(directory) {
            Some(_) => table.root.locate(directory).ok(),
            None => table.root.locate(&self.absolute(directory).to_string_lossy()).ok(),
        };
        let granted: Vec<Path> = granted.iter().filter_map(locate).collect();
        if !granted.iter().any(|directory| table.base.prefix_matches(directory)) {
            let connection = &table.root.connection;
            let message = format!("it is not in a directory that connection `{connection}` gives to its domain");
            return Err(Fault::Withheld(message));
        }
        Ok(TableRoot::new(Arc::clone(&table.root), table.base, Some(granted)))
    }

    /// Whether this store is open.
    pub(super) fn has(&self, root: &Arc<Root>) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|other| Arc::ptr_eq(root, other))
    }

    /// Closes the stores of `connection`, so that secrets are read anew.
    pub(super) fn forget(&self, connection: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut registered = self.registry.stores.write().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, root| {
            let kept = root.connection != connection;
            if !kept {
                registered.remove(&Registry::key(root.url.as_ref()));
            }
            kept
        });
    }

    /// The text of a secret.
    pub(super) fn secret(&self, connection: &str, secret: &SecretRef) -> Result<String, Fault> {
        match secret {
            SecretRef::Env(name) => std::env::var(name).map_err(|_| {
                Fault::Refused(format!("connection `{connection}` needs the environment variable `{name}`"))
            }),
            SecretRef::File(name) => std::fs::read_to_string(self.mesh_dir.join(name))
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|_| Fault::Refused(format!("connection `{connection}` needs the secret file `{name}`"))),
        }
    }

    /// A file by its name, which may be relative to the mesh directory.
    pub(super) fn absolute(&self, location: &str) -> PathBuf {
        file_name(location).unwrap_or_else(|| self.mesh_dir.join(location))
    }

    fn directory(&self, connection: &str, url: &str) -> Result<Arc<Root>, Fault> {
        let directory = self.absolute(url);
        self.get_or_open(format!("{connection}\n{}", directory.display()), |cache_url| {
            let canonical = std::fs::canonicalize(&directory)
                .map_err(|_| Fault::Absent(format!("the directory of connection `{connection}` does not exist")))?;
            let store = LocalFileSystem::new_with_prefix(&canonical).map_err(|e| Fault::store(connection, &e))?;
            let place = Place::Directory { names: vec![directory.clone(), canonical] };
            Ok(self.root(connection, cache_url, Arc::new(store), place))
        })
    }

    fn bucket(
        &self,
        connection: &str,
        bucket: Bucket,
        prefix: &str,
        options: &StoreOptions,
        lent: &Lent,
        table: &str,
    ) -> Result<Arc<Root>, Fault> {
        let bucket = bucket.in_account(options.account.as_ref());
        if !bucket.is_possible() {
            return Err(Fault::Withheld(format!(
                "it is in a bucket of connection `{connection}` with an impossible name"
            )));
        }
        // What is lent, is lent for one table, and each time anew.
        let of = lent.keys.as_ref().map_or("", |_| table);
        let (endpoint, region) = (&lent.endpoint, &lent.region);
        let key = format!("{connection}\n{bucket:?}/{prefix}\n{options:?}\n{endpoint:?}{region:?}{of}");
        let root = self.get_or_open(key, |url| {
            let store = self.client(connection, &bucket, options, lent)?;
            let prefix = parse(prefix.trim_end_matches('/'))?;
            let root = self.root(connection, url, store, Place::Bucket { bucket, prefix });
            Ok(Root { lent: lent.keys.clone(), data: self.data.clone(), ..root })
        })?;
        if let (Some(used), Some(newest)) = (&root.lent, &lent.keys) {
            used.renew(newest);
        }
        Ok(root)
    }

    fn root(&self, connection: &str, url: ObjectStoreUrl, store: Arc<dyn ObjectStore>, place: Place) -> Root {
        let (connection, footers) = (connection.to_owned(), self.footers.clone());
        Root { connection, url, store, footers, lent: None, data: None, place }
    }

    fn get_or_open(
        &self,
        key: String,
        open: impl FnOnce(ObjectStoreUrl) -> Result<Root, Fault>,
    ) -> Result<Arc<Root>, Fault> {
        let mut roots = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots.get(&key) {
            return Ok(Arc::clone(root));
        }
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let url = ObjectStoreUrl::parse(format!("{SCHEME}://s{number}"))
            .map_err(|error| Fault::Internal(error.to_string()))?;
        let root = Arc::new(open(url)?);
        self.registry.register_store(root.url.as_ref(), Arc::clone(&root.store));
        roots.insert(key, Arc::clone(&root));
        Ok(root)
    }
}

#[cfg(test)]
mod tests;
