//! Opening a mesh directory: what a gateway is made of.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use portcullis_audit::{Journal, JournalOptions};
use portcullis_engine::{Engine, EngineLimits, Guards, Tables, TablesOptions};
use portcullis_govern::{MaskKey, Statements};

use super::Gateway;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{ErrorKind, GatewayError};
use crate::identity::Identity;
use crate::login::Logins;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::refusals::Refusals;
use crate::signer::Signer;
use crate::state::{Current, Parts, State};
use crate::system::Surroundings;
use crate::turns::Turns;
use crate::watch::Marks;
use crate::{keys, mesh, watch};

impl Gateway {
    pub(super) async fn open_guarded(
        mesh_dir: &Path,
        config: Config,
        guards: Guards,
    ) -> Result<Arc<Gateway>, GatewayError> {
        let mesh_dir = mesh_dir.to_owned();
        let watched = config.catalogue.watch;
        // Before they are read: what changes from here on is noticed.
        let identity = &config.identity;
        let files = [&identity.users, &identity.tokens].into_iter().chain(&identity.certificates.revoked);
        let who = Marks::of(files.map(|path| mesh_dir.join(path)));
        let opened = tokio::task::spawn_blocking(move || Gateway::open_blocking(mesh_dir, config, guards)).await;
        let gateway = Arc::new(opened.map_err(|_| GatewayError::internal("the gateway could not be opened"))??);
        if watched {
            let catalogue = &gateway.config.catalogue;
            let dirs = [gateway.mesh_dir.join(&catalogue.catalogs), gateway.mesh_dir.join(&catalogue.policies)];
            watch::start(&gateway, &dirs, &gateway.mesh_dir.join(&gateway.config.identity.users))?;
            watch::look_again(&gateway, who);
        }
        Ok(gateway)
    }

    fn open_blocking(mesh_dir: PathBuf, config: Config, guards: Guards) -> Result<Gateway, GatewayError> {
        let secrets = &config.secrets;
        let key = |name, reference| keys::load(name, reference, &mesh_dir, &secrets.keys_dir);
        let accepted: Result<Vec<_>, _> =
            secrets.accepted_keys.iter().map(|reference| key("accepted_keys", Some(reference))).collect();
        let signer = Signer::new(&key("signing_key", secrets.signing_key.as_ref())?, &accepted?);
        tracing::info!(keys = ?signer.ids(), "seals are made with the first key, and accepted from all of them");
        let mask_key = MaskKey::new(&key("mask_key", secrets.mask_key.as_ref())?);
        let audit_dir = mesh_dir.join(&config.audit.dir);
        let surroundings =
            Surroundings { audit_dir: audit_dir.clone(), access_log_rows: config.audit.access_log_rows as usize };
        let certificates = config.identity.certificates.clone();
        let (decisions, plans) = Default::default();
        let parts = Parts { mask_key, surroundings, certificates, decisions, plans };
        let state = State::first(&mesh::read(&mesh_dir, &config), &parts).map_err(|findings| {
            let errors = findings.iter().filter(|finding| finding.is_error()).count();
            let message =
                format!("the policies do not compile ({errors} errors): mend them, `portcullis check` lists them");
            GatewayError::invalid(message).with_findings(findings)
        })?;
        let identity = Identity::new(&config.identity)?;
        let page = Page::open(&config.identity, &mesh_dir)?;
        let engine = Arc::new(engine(&mesh_dir, &config, guards)?);
        let options = JournalOptions {
            segment_bytes: config.audit.segment_size.bytes(),
            segment_age: config.audit.segment_age.duration(),
            ..JournalOptions::default()
        };
        let journal = Journal::open(&audit_dir, options).map_err(|error| {
            GatewayError::new(ErrorKind::Unavailable, format!("without an audit journal nothing is served: {error}"))
        })?;
        let metrics = Arc::new(Metrics::default());
        Ok(Gateway {
            logins: Logins::new(&config.identity),
            identity,
            page,
            turns: Turns::new(&config.limits, Memory::of_process(&config.limits)),
            current: Arc::new(Current::new(state)),
            statements: Statements::new(),
            reloading: Mutex::new(Config::load(&mesh_dir).unwrap_or_default()),
            limits: RwLock::new(Arc::new(config.limits.clone())),
            clock: Clock::system(),
            mesh_dir,
            config,
            parts,
            signer,
            engine,
            refusals: Refusals::new(journal.clone(), Arc::clone(&metrics)),
            metrics,
            ended: tokio::sync::watch::Sender::new(false),
            journal,
        })
    }
}

fn engine(mesh_dir: &Path, config: &Config, guards: Guards) -> Result<Engine, GatewayError> {
    let (limits, catalogue) = (&config.limits, &config.catalogue);
    let tables = Tables::new(TablesOptions {
        refresh_age: catalogue.refresh_age.duration(),
        cache_bytes: catalogue.cache.bytes(),
        ..TablesOptions::new(mesh_dir)
    });
    let defaults = EngineLimits::new(mesh_dir.join(&limits.spill_dir));
    let partitions = if limits.partitions == 0 { defaults.target_partitions } else { limits.partitions as usize };
    let limits = EngineLimits {
        memory_bytes: limits.memory.in_memory(),
        spill_bytes: limits.spill.bytes(),
        target_partitions: partitions,
        batch_size: limits.batch_rows as usize,
        concurrent_queries: limits.concurrent_queries as usize,
        queue_time: limits.queue_wait.duration(),
        wall_time: Some(limits.query_time.duration()),
        query_memory_bytes: limits.query_memory.in_memory(),
        rows: limits.rows,
        log_values: config.log.values,
        ..defaults
    };
    Ok(Engine::new(Arc::new(tables), limits, guards)?)
}
