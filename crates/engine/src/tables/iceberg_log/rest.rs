//! Tables of Iceberg REST catalogues.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::{Catalog, CatalogBuilder, ErrorKind, TableIdent};
use iceberg_catalog_rest::{REST_CATALOG_PROP_URI, REST_CATALOG_PROP_WAREHOUSE, RestCatalog, RestCatalogBuilder};
use portcullis_contract::{RestAuth, StoreOptions};
use tokio::sync::Mutex;

use super::{IcebergTable, storage};
use crate::tables::fault::Fault;
use crate::tables::store::Stores;

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

/// The catalogues that were opened, by connection.
#[derive(Debug, Default)]
pub(in crate::tables) struct Catalogues {
    open: Mutex<HashMap<String, Arc<RestCatalog>>>,
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
        let failed = |error: iceberg::Error| Fault::iceberg(connection.name, &error);
        let catalogue = self.catalogue(connection, stores).await?;
        let ident = TableIdent::from_strs(name.split('.'))
            .map_err(|_| Fault::Withheld(format!("`{name}` is not a name of a table with its namespace")))?;
        let table = match catalogue.load_table(&ident).await {
            Ok(table) => table,
            Err(error) if may_be_an_expired_token(&error, connection.auth) => {
                catalogue.regenerate_token().await.map_err(failed)?;
                catalogue.load_table(&ident).await.map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        };
        let metadata = table.metadata_ref();
        let version = match table.metadata_location() {
            Some(location) => location.to_owned(),
            None => format!("{} {}", metadata.location(), metadata.last_updated_ms()),
        };
        // The catalogue may hand out new credentials for the same version.
        let vended = table.file_io().config().props();
        let root = stores.catalogue_root(connection.name, connection.store, metadata.location(), vended)?;
        let root = stores.granted(root, granted)?;
        let metadata = match known {
            Some(known) if known.version == version => Arc::clone(&known.metadata),
            _ => metadata,
        };
        Ok(IcebergTable::new(root, metadata, version))
    }

    /// Forgets the catalogue of a connection, and with it its token.
    pub(in crate::tables) async fn forget(&self, connection: &str) {
        self.open.lock().await.retain(|key, _| key.split('\n').next() != Some(connection));
    }

    async fn catalogue(&self, connection: RestConnection<'_>, stores: &Stores) -> Result<Arc<RestCatalog>, Fault> {
        let key = format!("{}\n{connection:?}", connection.name);
        let mut open = self.open.lock().await;
        if let Some(catalogue) = open.get(&key) {
            return Ok(Arc::clone(catalogue));
        }
        let catalogue = RestCatalogBuilder::default()
            .with_storage_factory(storage::no_files())
            .load(connection.name, properties(connection, stores)?)
            .await
            .map_err(|error| Fault::iceberg(connection.name, &error))?;
        let catalogue = Arc::new(catalogue);
        open.insert(key, Arc::clone(&catalogue));
        Ok(catalogue)
    }
}

/// The library keeps a token until told otherwise, and does not tell a refusal from other failures.
fn may_be_an_expired_token(error: &iceberg::Error, auth: &RestAuth) -> bool {
    let found = !matches!(error.kind(), ErrorKind::TableNotFound | ErrorKind::NamespaceNotFound);
    found && matches!(auth, RestAuth::ClientCredentials { .. })
}

fn properties(connection: RestConnection<'_>, stores: &Stores) -> Result<HashMap<String, String>, Fault> {
    let mut properties = HashMap::new();
    let mut set = |name: &str, value: String| properties.insert(name.to_owned(), value);
    set(REST_CATALOG_PROP_URI, connection.uri.trim_end_matches('/').to_owned());
    if let Some(warehouse) = connection.warehouse {
        set(REST_CATALOG_PROP_WAREHOUSE, warehouse.to_owned());
    }
    if let Some(prefix) = connection.prefix {
        set("prefix", prefix.to_owned());
    }
    match connection.auth {
        RestAuth::None => {}
        RestAuth::Bearer { token } => {
            set("token", stores.secret(connection.name, token)?);
        }
        RestAuth::ClientCredentials { client_id, client_secret, scope, token_uri } => {
            let secret = stores.secret(connection.name, client_secret)?;
            set("credential", format!("{client_id}:{secret}"));
            if let Some(scope) = scope {
                set("scope", scope.clone());
            }
            if let Some(token_uri) = token_uri {
                set("oauth2-server-uri", token_uri.clone());
            }
        }
    }
    Ok(properties)
}
