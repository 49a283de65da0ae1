//! A bounded memory of decisions.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::decision::TableDecision;
use super::subject::{Principal, RequestContext, Subject};

/// Everything that a decision depends on besides the snapshot, which owns the cache, and the time, for which decisions
/// are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    table: String,
    principal: Principal,
    purpose: Option<String>,
    break_glass: bool,
    client_address: Option<IpAddr>,
    authentication: String,
    actor: Option<String>,
    domains: Option<BTreeSet<String>>,
}

impl Key {
    pub(crate) fn new(table: &str, subject: &Subject) -> Self {
        // Without `..`: whatever else policies can be told of a request is a part of the key.
        let Subject { principal, context } = subject;
        let RequestContext { purpose, break_glass, client_address, authentication, actor, domains, now_ms: _ } =
            context;
        Key {
            table: table.to_owned(),
            principal: principal.clone(),
            purpose: purpose.clone(),
            break_glass: break_glass.is_some(),
            client_address: *client_address,
            authentication: authentication.clone(),
            actor: actor.clone(),
            domains: domains.clone(),
        }
    }
}

/// Two generations: what is used moves to the young one, and when that is full the old one is dropped. So a decision
/// that is asked for again survives, and never more than twice the capacity is kept.
#[derive(Debug)]
pub(crate) struct Cache {
    capacity: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Arc<TableDecision>>,
    old: HashMap<Key, Arc<TableDecision>>,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Cache { capacity, generations: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<TableDecision>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = generations.old.remove_entry(key)?;
        self.put(&mut generations, key, found.clone());
        Some(found)
    }

    pub(crate) fn insert(&self, key: Key, decision: Arc<TableDecision>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&mut generations, key, decision);
    }

    fn put(&self, generations: &mut Generations, key: Key, decision: Arc<TableDecision>) {
        if generations.young.len() >= self.capacity {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, decision);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.len() + generations.old.len()
    }
}
