//! Who may run now: so many queries at once, of all, of each principal and of each group; so many that wait, for so long.
//! It is fair by principal: of those that wait and may run, the one whose principal has the fewest running comes first.
//! While the process has too little memory left, nobody is let in but one alone: then the memory is nobody's to give back.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::config::Limits;
use crate::error::{ErrorKind, GatewayError};
use crate::limits::OwnLimits;
use crate::memory::Memory;

/// The longest that a client is told to wait before it comes again.
const LONGEST_HINT: u64 = 30;

#[derive(Clone)]
pub(crate) struct Turns {
    shared: Arc<Shared>,
}

struct Shared {
    bounds: Bounds,
    memory: Memory,
    state: Mutex<State>,
    /// Told when the last one has gone.
    idle: Notify,
}

struct Bounds {
    all: u32,
    groups: BTreeMap<String, u32>,
    queue: u32,
}

#[derive(Default)]
struct State {
    running: u32,
    principals: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    waiting: VecDeque<Waiting>,
    closed: bool,
}

struct Waiting {
    who: Who,
    turn: oneshot::Sender<Turn>,
}

/// For whom a turn is counted.
#[derive(Clone)]
struct Who {
    principal: String,
    /// Those of the principal's groups that have a bound.
    groups: Vec<String>,
    /// How many queries of the principal may run when this one begins.
    most: u32,
}

/// The right to run one query, until it is dropped.
pub(crate) struct Turn {
    /// None once it is given back.
    held: Option<(Arc<Shared>, Who)>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((shared, who)) = self.held.take() {
            shared.give_back(&who);
        }
    }
}

impl Turns {
    pub(crate) fn new(limits: &Limits, memory: Memory) -> Turns {
        let bounds =
            Bounds { all: limits.concurrent_queries, groups: limits.groups.clone(), queue: limits.queued_queries };
        Turns { shared: Arc::new(Shared { bounds, memory, state: Mutex::default(), idle: Notify::new() }) }
    }

    /// Waits for a turn. `groups` are all that the principal is a member of, by way of other groups too.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` at once if too many wait already or memory is short, and if none comes in time; `Unavailable` when the gate is closed.
    pub(crate) async fn take(
        &self,
        principal: &str,
        groups: &BTreeSet<&str>,
        own: &OwnLimits,
    ) -> Result<Turn, GatewayError> {
        let shared = &self.shared;
        let groups = groups.iter().filter(|group| shared.bounds.groups.contains_key(**group));
        let groups = groups.map(|group| (*group).to_owned()).collect();
        let who = Who { principal: principal.to_owned(), groups, most: own.queries };
        let turn = match shared.ask(who, own.queued)? {
            Asked::Now(turn) => return Ok(turn),
            Asked::Later(turn) => turn,
        };
        match tokio::time::timeout(own.queue_wait, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(closed()),
            Err(_) => {
                let hint = shared.hint(&shared.lock());
                Err(exhausted("queue_wait", "the gateway is busy, and no turn came in time", hint))
            }
        }
    }

    /// The memory that turns are bounded by.
    pub(crate) fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    /// How many run and how many wait.
    pub(crate) fn counts(&self) -> (u32, usize) {
        let state = self.shared.lock();
        (state.running, state.waiting.iter().filter(|waiting| !waiting.turn.is_closed()).count())
    }

    /// Lets nobody in any more, and returns when all who are in have gone, or when `patience` is at its end. Whether
    /// all have gone.
    pub(crate) async fn drain(&self, patience: Duration) -> bool {
        let idle = self.shared.idle.notified();
        tokio::pin!(idle);
        // From here on, the last one is noticed.
        idle.as_mut().enable();
        self.close();
        self.shared.lock().running == 0 || tokio::time::timeout(patience, idle).await.is_ok()
    }

    /// Lets nobody in any more, and sends away who waits.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }

    /// Whether anybody is let in.
    pub(crate) fn is_open(&self) -> bool {
        !self.shared.lock().closed
    }
}

enum Asked {
    Now(Turn),
    Later(oneshot::Receiver<Turn>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>, who: Who, queued: u32) -> Result<Asked, GatewayError> {
        let mut state = self.lock();
        if state.closed {
            return Err(closed());
        }
        // Memory may have become free since the last one went. Otherwise, whoever waits and may run has been let in by who
        // went. So nobody is overtaken here.
        self.let_in_waiting(&mut state);
        if self.may_run(&state, &who) {
            return Ok(Asked::Now(self.let_in(&mut state, who)));
        }
        if state.running > 0 && self.memory.is_full() {
            let hint = self.hint(&state);
            return Err(exhausted("process_memory", "the gateway has too little memory left", hint));
        }
        state.waiting.retain(|waiting| !waiting.turn.is_closed());
        if state.waiting.len() >= self.bounds.queue as usize {
            let hint = self.hint(&state);
            return Err(exhausted("queue", "too many queries are waiting already", hint));
        }
        let own = state.waiting.iter().filter(|waiting| waiting.who.principal == who.principal).count();
        if own >= queued as usize {
            let hint = self.hint(&state);
            return Err(exhausted("principal_queue", "too many of your queries are waiting already", hint));
        }
        let (turn, later) = oneshot::channel();
        state.waiting.push_back(Waiting { who, turn });
        Ok(Asked::Later(later))
    }

    fn may_run(&self, state: &State, who: &Who) -> bool {
        let full = |group: &String| {
            let bound = self.bounds.groups.get(group).copied().unwrap_or(u32::MAX);
            state.groups.get(group).copied().unwrap_or(0) >= bound
        };
        state.running < self.bounds.all
            && (state.running == 0 || !self.memory.is_full())
            && state.principals.get(&who.principal).copied().unwrap_or(0) < who.most
            && !who.groups.iter().any(full)
    }

    fn let_in(self: &Arc<Self>, state: &mut State, who: Who) -> Turn {
        state.running += 1;
        *state.principals.entry(who.principal.clone()).or_default() += 1;
        for group in &who.groups {
            *state.groups.entry(group.clone()).or_default() += 1;
        }
        Turn { held: Some((Arc::clone(self), who)) }
    }

    fn give_back(self: &Arc<Self>, who: &Who) {
        let mut state = self.lock();
        leave(&mut state, who);
        self.let_in_waiting(&mut state);
        if state.running == 0 {
            self.idle.notify_waiters();
        }
    }

    /// Lets in who waits, as long as somebody may run.
    fn let_in_waiting(self: &Arc<Self>, state: &mut State) {
        loop {
            state.waiting.retain(|waiting| !waiting.turn.is_closed());
            let may_run = state.waiting.iter().enumerate().filter(|(_, waiting)| self.may_run(state, &waiting.who));
            let running = |who: &Who| state.principals.get(&who.principal).copied().unwrap_or(0);
            let Some((at, _)) = may_run.min_by_key(|(_, waiting)| running(&waiting.who)) else { return };
            let Some(Waiting { who, turn }) = state.waiting.remove(at) else { return };
            let given = self.let_in(state, who);
            if let Err(mut unwanted) = turn.send(given) {
                // It went away just now. Dropping the turn would lock again what is locked here.
                if let Some((_, who)) = unwanted.held.take() {
                    leave(state, &who);
                }
            }
        }
    }

    /// In how many seconds it may be worth to come again: a second for each round of queries that is before.
    fn hint(&self, state: &State) -> Duration {
        let rounds = state.waiting.len() as u64 / u64::from(self.bounds.all.max(1)) + 1;
        Duration::from_secs(rounds.min(LONGEST_HINT))
    }
}

fn leave(state: &mut State, who: &Who) {
    state.running = state.running.saturating_sub(1);
    count_down(&mut state.principals, &who.principal);
    who.groups.iter().for_each(|group| count_down(&mut state.groups, group));
}

/// One less; nothing is kept of who has none.
fn count_down(counts: &mut HashMap<String, u32>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}

fn exhausted(limit: &'static str, message: &str, hint: Duration) -> GatewayError {
    GatewayError::limit(limit, format!("{message}: try again in {} s", hint.as_secs())).retry_after(hint)
}

/// The gate is closed.
pub(crate) fn closed() -> GatewayError {
    GatewayError::new(ErrorKind::Unavailable, "the gateway is shutting down")
}
