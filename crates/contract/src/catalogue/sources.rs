//! Where the data of a port is: within a connection of the platform, or nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::names::{mangle, strange_place};
use crate::connection::read::Entry;
use crate::connection::{Connection, ConnectionKind};
use crate::finding::{Finding, Position};
use crate::location::Location;
use crate::model::{Contract, OutputPort, Source, SourcePath};
use crate::yaml::did_you_mean;

/// The connections that ports may use.
pub(super) struct Sources {
    good: BTreeMap<String, Arc<Connection>>,
    bad: BTreeSet<String>,
    directories: Vec<(Location, Arc<Connection>)>,
    file: Option<String>,
}

impl Sources {
    pub(super) fn new(entries: Vec<Entry>, file: Option<&str>) -> Sources {
        let mut sources = Sources {
            good: BTreeMap::new(),
            bad: BTreeSet::new(),
            directories: Vec::new(),
            file: file.map(ToOwned::to_owned),
        };
        for entry in entries {
            match entry {
                Entry::Bad(name) => {
                    sources.bad.insert(name);
                }
                Entry::Good(connection) => {
                    let connection = Arc::new(*connection);
                    if let ConnectionKind::Directory { url, .. } = &connection.kind
                        && let Ok(location) = Location::parse(url)
                    {
                        sources.directories.push((location, connection.clone()));
                    }
                    sources.good.insert(connection.name.clone(), connection);
                }
            }
        }
        // The innermost directory is the one whose credentials are meant.
        sources.directories.sort_by_key(|(location, _)| std::cmp::Reverse(location.depth()));
        sources
    }

    pub(super) fn into_connections(self) -> BTreeMap<String, Arc<Connection>> {
        self.good
    }

    pub(super) fn resolve(&self, contract: &Contract, port: &OutputPort) -> Result<Source, Finding> {
        let named = port.connection.as_deref().map(|name| self.connection(name, &port.position)).transpose()?;
        let source = match (&port.location, named, &port.table) {
            (Some(location), named, _) => self.location(location, named, port)?,
            (None, Some(connection), Some(table)) => in_connection(connection, table, port)?,
            // The manifest's reader has refused these already.
            _ => return Err(error(port, "output port does not say where its data is".to_owned())),
        };
        granted(source, contract, port)
    }

    fn connection(&self, name: &str, position: &Position) -> Result<Arc<Connection>, Finding> {
        if let Some(connection) = self.good.get(name) {
            return Ok(connection.clone());
        }
        let code = "contract-unknown-connection";
        if self.bad.contains(name) {
            let file = self.file.as_deref().unwrap_or_default();
            let message = format!("connection `{name}` has errors");
            return Err(Finding::error(code, position.clone(), message).with_hint(format!("see `{file}`")));
        }
        let mut finding = Finding::error(code, position.clone(), format!("unknown connection `{name}`"));
        finding.hint = did_you_mean(name, &self.good.keys().map(String::as_str).collect::<Vec<_>>());
        Err(finding)
    }

    fn location(&self, text: &str, named: Option<Arc<Connection>>, port: &OutputPort) -> Result<Source, Finding> {
        let location = Location::parse(text).map_err(|problem| error(port, format!("`location`: {problem}")))?;
        let fits = |connection: &Arc<Connection>| named.as_ref().is_none_or(|named| named.name == connection.name);
        let mut directories = self.directories.iter();
        let found = directories.find(|(directory, connection)| fits(connection) && location.is_below(directory));
        match found {
            Some((_, connection)) => {
                let path = SourcePath::Url(location.to_string());
                Ok(Source { connection: connection.clone(), path, granted: None })
            }
            None => {
                let message = match &named {
                    Some(named) => format!("location of port `{}` is not below connection `{}`", port.name, named.name),
                    None => format!("location of port `{}` is not below any directory connection", port.name),
                };
                let hint = "the platform adds a `type: directory` connection for it to `catalogs/connections.yaml`";
                Err(error(port, message).with_hint(hint))
            }
        }
    }
}

/// The source with its domain's directories, where its connection is divided. A contract says itself which domain it is
/// of, so one that lies in another domain's directory is given nothing.
fn granted(source: Source, contract: &Contract, port: &OutputPort) -> Result<Source, Finding> {
    let Some(domains) = &source.connection.domains else { return Ok(source) };
    let domain = mangle(&contract.domain);
    let stranger = strange_place(&contract.file, &domain).is_some();
    let directories = domains.iter().filter(|(name, _)| !stranger && mangle(name) == domain);
    let granted: Vec<String> = directories.flat_map(|(_, directories)| directories).cloned().collect();
    let inside = match &source.path {
        SourcePath::Url(place) => Location::parse(place).is_ok_and(|place| {
            granted.iter().filter_map(|directory| Location::parse(directory).ok()).any(|d| place.is_below(&d))
        }),
        // Where it is, only its catalogue knows.
        SourcePath::Table(_) => !granted.is_empty(),
    };
    if inside {
        return Ok(Source { granted: Some(granted), ..source });
    }
    let (name, connection) = (&port.name, &source.connection.name);
    let message = format!("port `{name}` is not in a directory that connection `{connection}` gives to `{domain}`");
    Err(error(port, message).with_hint("the platform lists the domain's directories under `domains` of the connection"))
}

fn in_connection(connection: Arc<Connection>, table: &str, port: &OutputPort) -> Result<Source, Finding> {
    let wrong = |problem: String| error(port, format!("`table`: {problem}"));
    let path = match &connection.kind {
        ConnectionKind::Directory { url, .. } => {
            let directory = Location::parse(url).map_err(|problem| wrong(problem.to_string()))?;
            SourcePath::Url(directory.table(table).map_err(|problem| wrong(problem.to_string()))?.to_string())
        }
        ConnectionKind::IcebergRest { .. } | ConnectionKind::IcebergSql { .. } => {
            let parts: Vec<&str> = table.split('.').collect();
            let fit = |part: &&str| !part.trim().is_empty() && !part.chars().any(|c| c.is_control() || c == '/');
            if parts.len() < 2 || !parts.iter().all(fit) {
                return Err(wrong(format!("`{table}` is not of the form `namespace.table`")));
            }
            SourcePath::Table(table.to_owned())
        }
    };
    Ok(Source { connection, path, granted: None })
}

fn error(port: &OutputPort, message: String) -> Finding {
    Finding::error("contract-location", port.position.clone(), message)
}
