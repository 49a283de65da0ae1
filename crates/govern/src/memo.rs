//! A bounded memory for what was worked out before, and how often it had what was asked for.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often a cache had what was asked for. Shared by caches that follow one another.
#[derive(Debug, Default)]
pub struct Lookups {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Lookups {
    /// It was there.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// It was not.
    pub fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// So many of what was asked for were there, and so many were not.
    pub fn count(&self, hits: u64, misses: u64) {
        self.hits.fetch_add(hits, Ordering::Relaxed);
        self.misses.fetch_add(misses, Ordering::Relaxed);
    }

    /// A cache of this name, by these lookups, that holds so much now.
    pub fn of(&self, name: &'static str, entries: u64, bytes: Option<u64>) -> CacheUse {
        let (hits, misses) = (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed));
        CacheUse { name, hits, misses, entries, bytes, failures: None }
    }
}

/// A cache at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Which one: a word of this code.
    pub name: &'static str,
    /// How often it had what was asked for.
    pub hits: u64,
    /// How often it had not.
    pub misses: u64,
    /// How much it holds.
    pub entries: u64,
    /// By estimate, where it is bounded by bytes.
    pub bytes: Option<u64>,
    /// How often its disk failed it, of one that has a disk.
    pub failures: Option<u64>,
}

/// Two generations: what is used moves to the young one, and when that is full the old one is dropped. So what is asked for
/// again survives, and never more than twice the capacity is kept.
pub(crate) struct Memo<K, V> {
    capacity: usize,
    lookups: Arc<Lookups>,
    generations: Mutex<(Generation<K, V>, Generation<K, V>)>,
}

struct Generation<K, V> {
    known: HashMap<K, (V, usize)>,
    weight: usize,
}

impl<K, V> Default for Generation<K, V> {
    fn default() -> Self {
        Generation { known: HashMap::new(), weight: 0 }
    }
}

/// Not what is within: statements have literals.
impl<K, V> fmt::Debug for Memo<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("capacity", &self.capacity).field("lookups", &self.lookups).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// Of at most twice this weight.
    pub(crate) fn new(capacity: usize) -> Self {
        Memo { capacity, lookups: Arc::default(), generations: Mutex::default() }
    }

    /// The same memory, whose lookups are counted here.
    pub(crate) fn counted_by(self, lookups: Arc<Lookups>) -> Self {
        Memo { lookups, ..self }
    }

    /// What is known, where that still holds.
    pub(crate) fn get_if(&self, key: &K, holds: impl FnOnce(&V) -> bool) -> Option<V> {
        let found = self.find(key).filter(holds);
        match found {
            Some(_) => self.lookups.hit(),
            None => self.lookups.miss(),
        }
        found
    }

    /// What is known.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.get_if(key, |_| true)
    }

    fn find(&self, key: &K) -> Option<V> {
        let mut generations = self.generations();
        if let Some((found, _)) = generations.0.known.get(key) {
            return Some(found.clone());
        }
        let (key, (found, weight)) = generations.1.known.remove_entry(key)?;
        generations.1.weight -= weight;
        self.put(&mut generations, key, found.clone(), weight);
        Some(found)
    }

    /// Remembers it, unless it weighs more than all that may be kept.
    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        if weight <= self.capacity {
            self.put(&mut self.generations(), key, value, weight);
        }
    }

    fn put(&self, generations: &mut (Generation<K, V>, Generation<K, V>), key: K, value: V, weight: usize) {
        if generations.0.weight + weight > self.capacity {
            generations.1 = std::mem::take(&mut generations.0);
        }
        let young = &mut generations.0;
        young.weight += weight;
        if let Some((_, replaced)) = young.known.insert(key, (value, weight)) {
            young.weight -= replaced;
        }
    }

    fn generations(&self) -> MutexGuard<'_, (Generation<K, V>, Generation<K, V>)> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many things are known.
    pub(crate) fn len(&self) -> usize {
        let (young, old) = &*self.generations();
        young.known.len() + old.known.len()
    }

    /// What they weigh.
    pub(crate) fn weight(&self) -> usize {
        let (young, old) = &*self.generations();
        young.weight + old.weight
    }

    /// What is to be told of it; `weighed`: weights are bytes.
    pub(crate) fn usage(&self, name: &'static str, weighed: bool) -> CacheUse {
        self.lookups.of(name, self.len() as u64, weighed.then(|| self.weight() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_survives_and_twice_the_capacity_is_never_exceeded() {
        let memo = Memo::new(10);
        for key in 0..100 {
            memo.insert(key, key, 3);
            assert_eq!(memo.get(&0), Some(0), "it is used all the time");
            assert!(memo.weight() <= 20 && memo.len() * 3 == memo.weight(), "{memo:?}");
        }
        assert_eq!(memo.get(&50), None);
        memo.insert(100, 100, 11);
        assert_eq!(memo.get(&100), None, "more than all that may be kept");
        memo.insert(0, 1, 5);
        assert_eq!(memo.get(&0), Some(1));
        assert!(memo.weight() <= 20, "{memo:?}");
    }

    #[test]
    fn what_was_found_and_what_was_not_is_counted() {
        let lookups = Arc::new(Lookups::default());
        let memo = Memo::new(10).counted_by(Arc::clone(&lookups));
        assert_eq!(memo.get(&1), None);
        memo.insert(1, 'a', 2);
        assert_eq!(memo.get(&1), Some('a'));
        assert_eq!(memo.get_if(&1, |_| false), None, "it does not hold any more");
        let expected = CacheUse { name: "some", hits: 1, misses: 2, entries: 1, bytes: Some(2), failures: None };
        assert_eq!(memo.usage("some", true), expected);
        let next: Memo<u8, u8> = Memo::new(10).counted_by(lookups);
        assert_eq!(next.usage("some", false), CacheUse { entries: 0, bytes: None, ..expected }, "counts go on");
    }
}
