//! Tables of Iceberg REST catalogues.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use portcullis_contract::{RestAuth, StoreOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::client::RestClient;
use super::{IcebergTable, metadata};
use crate::tables::fault::Fault;
use crate::tables::lent::Lender;
use crate::tables::store::Stores;

/// How long after a whole answer a catalogue is only asked whether a table's metadata is another one. A tag is of the metadata
/// alone: that there are restrictions now is only seen in a whole answer.
const WHOLE_AFTER: Duration = Duration::from_secs(60);

/// A REST catalogue, as its connection describes it.
#[derive(Debug, Clone, Copy)]
pub(in crate::tables) struct RestConnection<'a> {
    /// Name of the connection.
    pub(in crate::tables) name: &'a str,
    /// Base URI.
    pub(in crate::tables) uri: &'a str,
    /// Warehouse to ask for.
    pub(in crate::tables) warehouse: Option<&'a str>,
    /// Path prefix.
    pub(in crate::tables) prefix: Option<&'a str>,
    /// Credentials.
    pub(in crate::tables) auth: &'a RestAuth,
    /// The store behind it.
    pub(in crate::tables) store: &'a StoreOptions,
}

/// What a catalogue says of a table, with its metadata as `M`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Loaded<M> {
    #[serde(default)]
    metadata_location: Option<String>,
    metadata: M,
    #[serde(default)]
    config: Option<HashMap<String, Option<String>>>,
    #[serde(default)]
    storage_credentials: Option<Vec<StorageCredential>>,
    /// Filters and masks that the catalogue asks its readers to apply.
    #[serde(default)]
    read_restrictions: Option<Value>,
}

#[derive(Deserialize)]
struct StorageCredential {
    prefix: String,
    config: HashMap<String, Option<String>>,
}

/// When a catalogue last said everything of a table.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The tag of what it said.
    tag: String,
    at: Instant,
}

/// The catalogues that were opened, by connection.
#[derive(Debug)]
pub(in crate::tables) struct Catalogues {
    open: Mutex<HashMap<String, Arc<OnceCell<RestClient>>>>,
    whole_after: Duration,
}

impl Default for Catalogues {
    fn default() -> Self {
        Self { open: Mutex::default(), whole_after: WHOLE_AFTER }
    }
}

impl Catalogues {
    /// The current version of a table, by its dotted name.
    pub(in crate::tables) async fn table(
        &self,
        connection: RestConnection<'_>,
        stores: &Stores,
        name: &str,
        granted: Option<&[String]>,
        known: Option<&IcebergTable>,
    ) -> Result<IcebergTable, Fault> {
        let place = self.place(connection).await;
        let catalogue = place.get_or_try_init(|| RestClient::open(connection, stores)).await?;
        let delegation = connection.store.access_key_id.is_none();
        let recent = known.and_then(|known| Some((known, known.told.as_ref()?)));
        let recent =
            recent.filter(|(known, told)| told.at.elapsed() < self.whole_after && stores.has(&known.root.root));
        let asked = Instant::now();
        let tag = recent.map(|(_, told)| told.tag.as_str());
        let (answer, tag) = match (catalogue.table(name, delegation, tag).await?, recent) {
            (Some(said), _) => (said.body, said.tag),
            (None, Some((known, _))) => return Ok(known.clone()),
            (None, None) => return Err(catalogue.nonsense()),
        };
        let said: Loaded<IgnoredAny> = serde_json::from_slice(&answer).map_err(|_| catalogue.nonsense())?;
        unrestricted(&said, connection.name)?;
        let known = known.filter(|known| said.metadata_location.as_ref() == Some(&known.version));
        let (metadata, opaque) = match known {
            Some(known) => (Arc::clone(&known.metadata), Arc::clone(&known.opaque)),
            None => read(&answer)?,
        };
        let version = match &said.metadata_location {
            Some(location) => location.clone(),
            None => format!("{} {}", metadata.location(), metadata.last_updated_ms()),
        };
        // The catalogue may hand out new credentials for the same version.
        let vended = vended(&catalogue.properties, &said, metadata.location());
        let renewal = Renewal {
            catalogue: Arc::clone(&place),
            connection: connection.name.to_owned(),
            table: name.to_owned(),
            location: metadata.location().to_owned(),
        };
        let lender = Some(Arc::new(renewal) as _);
        let root = stores.catalogue_root(connection.name, connection.store, metadata.location(), &vended, lender)?;
        let root = stores.granted(root, granted)?;
        let told = tag.map(|tag| Told { tag, at: asked });
        Ok(IcebergTable { told, ..IcebergTable::new(root, metadata, opaque, version) })
    }

    /// Forgets the catalogue of a connection, and with it its token.
    pub(in crate::tables) async fn forget(&self, connection: &str) {
        self.open.lock().await.retain(|key, _| key.split('\n').next() != Some(connection));
    }

    /// The place of a connection's catalogue. Whoever comes while it is being opened waits for that; those of other
    /// connections do not.
    async fn place(&self, connection: RestConnection<'_>) -> Arc<OnceCell<RestClient>> {
        let key = format!("{}\n{connection:?}", connection.name);
        Arc::clone(self.open.lock().await.entry(key).or_default())
    }
}

/// Asks the catalogue again for the credentials of a table that is being read.
#[derive(Debug)]
struct Renewal {
    catalogue: Arc<OnceCell<RestClient>>,
    connection: String,
    table: String,
    location: String,
}

/// Of metadata, where the table is.
#[derive(Deserialize)]
struct Place {
    location: String,
}

#[async_trait]
impl Lender for Renewal {
    async fn lend(&self) -> Result<HashMap<String, String>, Fault> {
        let catalogue = self.catalogue.get().ok_or_else(|| Fault::Internal("a catalogue was not opened".into()))?;
        let answer = catalogue.table(&self.table, true, None).await?.ok_or_else(|| catalogue.nonsense())?;
        let said: Loaded<Place> = serde_json::from_slice(&answer.body).map_err(|_| catalogue.nonsense())?;
        unrestricted(&said, &self.connection)?;
        match said.metadata.location == self.location {
            true => Ok(vended(&catalogue.properties, &said, &self.location)),
            false => Err(Fault::Withheld("it is elsewhere now".into())),
        }
    }
}

/// A table that its catalogue restricts is not read.
fn unrestricted<M>(said: &Loaded<M>, connection: &str) -> Result<(), Fault> {
    match restricts(said.read_restrictions.as_ref()) {
        false => Ok(()),
        true => Err(Fault::Withheld(format!(
            "the catalogue of connection `{connection}` restricts how it may be read (`read-restrictions`), which the \
             gateway does not apply"
        ))),
    }
}

/// Whether there is anything in a catalogue's restrictions, whatever it is.
fn restricts(restrictions: Option<&Value>) -> bool {
    match restrictions {
        None | Some(Value::Null) => false,
        Some(Value::Object(members)) => members.values().any(|member| !member.is_null()),
        Some(_) => true,
    }
}

fn read(answer: &[u8]) -> Result<metadata::Parsed, Fault> {
    if let Ok(said) = serde_json::from_slice::<Loaded<TableMetadata>>(answer) {
        return Ok((Arc::new(said.metadata), Arc::default()));
    }
    let said = serde_json::from_slice::<Loaded<Value>>(answer).ok();
    said.and_then(|said| metadata::with_opaque(said.metadata)).ok_or_else(metadata::invalid)
}

/// What the catalogue says about reaching a table's store: of all tables, of this one, and of the longest prefix of its
/// location that it has credentials for.
fn vended<M>(all: &HashMap<String, String>, said: &Loaded<M>, location: &str) -> HashMap<String, String> {
    let own = said.config.iter().flatten();
    let below = |credential: &&StorageCredential| location.starts_with(&credential.prefix);
    let closest =
        said.storage_credentials.iter().flatten().filter(below).max_by_key(|credential| credential.prefix.len());
    let closest = closest.into_iter().flat_map(|credential| &credential.config);
    let mut vended = all.clone();
    vended.extend(own.chain(closest).filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
    vended
}

#[cfg(test)]
mod tests;
