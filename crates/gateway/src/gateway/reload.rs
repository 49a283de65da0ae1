//! Taking up what has changed in the mesh directory while the gateway runs: contracts, policies, users, and of `portcullis.toml` the
//! limits of single statements.

use std::sync::{Arc, PoisonError};

use super::Gateway;
use crate::config::{Config, Limits};
use crate::mesh;
use crate::state::Reload;

impl Gateway {
    /// Takes up the mesh directory as it is now; [`Gateway::open`] does so by itself where `catalogue.watch` is on.
    /// Whether anything in force has changed. What is wrong is in [`Gateway::findings`].
    pub async fn reload(self: &Arc<Gateway>) -> bool {
        let gateway = Arc::clone(self);
        let reloaded = tokio::task::spawn_blocking(move || {
            let mut file = gateway.reloading.lock().unwrap_or_else(PoisonError::into_inner);
            let limits = gateway.reload_limits(&mut file);
            (limits, gateway.current.reload(&mesh::read(&gateway.mesh_dir, &gateway.config), &gateway.parts))
        });
        match reloaded.await {
            Ok((limits, Reload { kept: true, version, .. })) => {
                self.metrics.reloads_refused.add(1);
                tracing::error!(version, "the mesh was not reloaded: the policies do not compile");
                limits
            }
            Ok((limits, Reload { changed, version, .. })) => {
                tracing::info!(version, changed, limits, "the mesh was reloaded");
                changed || limits
            }
            Err(error) => {
                tracing::error!(%error, "reloading the mesh failed");
                false
            }
        }
    }

    /// Takes up the limits of single statements where `portcullis.toml` has changed: whether it has others. A file that is wrong
    /// changes nothing.
    fn reload_limits(&self, file: &mut Config) -> bool {
        let now = match Config::load(&self.mesh_dir) {
            Ok(now) => now,
            Err(error) => {
                self.metrics.reloads_refused.add(1);
                tracing::error!(%error, "portcullis.toml was not reloaded");
                return false;
            }
        };
        if now == *file {
            return false;
        }
        let before = std::mem::replace(file, now);
        if shared(&before) != shared(file) {
            tracing::warn!(
                "portcullis.toml has changed in what is read at the start only: restart the gateway to take it up"
            );
        }
        let changed = before.limits != file.limits;
        if changed {
            *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file.limits.clone());
        }
        changed
    }

    pub(super) fn limits_now(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is read at the start: all but the limits of single statements.
fn shared(config: &Config) -> Config {
    let mut config = config.clone();
    let usual = Limits::default();
    config.limits = Limits {
        principal_queries: usual.principal_queries,
        principal_queued_queries: usual.principal_queued_queries,
        queue_wait: usual.queue_wait,
        query_time: usual.query_time,
        client_wait: usual.client_wait,
        query_memory: usual.query_memory,
        rows: usual.rows,
        bytes: usual.bytes,
        statement: usual.statement,
        statement_depth: usual.statement_depth,
        classes: usual.classes,
        ..config.limits
    };
    config
}
