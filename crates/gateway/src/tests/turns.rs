//! Turns: bounded, fair, and given back.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{Limits, Span};
use crate::error::{ErrorKind, GatewayError};
use crate::limits::OwnLimits;
use crate::memory::Memory;
use crate::turns::{Turn, Turns};

fn limits() -> Limits {
    Limits {
        concurrent_queries: 2,
        principal_queries: 2,
        queued_queries: 8,
        queue_wait: Span::minutes(5),
        ..Limits::default()
    }
}

fn unbounded() -> Memory {
    Memory::new(None, || None)
}

/// Turns that are taken by principals with the usual limits.
#[derive(Clone)]
struct Usual {
    turns: Turns,
    own: OwnLimits,
}

impl Usual {
    fn new(limits: &Limits, memory: Memory) -> Usual {
        Usual { turns: Turns::new(limits, memory), own: OwnLimits::new(limits, &[]) }
    }

    async fn take(&self, principal: &str, groups: &BTreeSet<&str>) -> Result<Turn, GatewayError> {
        self.turns.take(principal, groups, &self.own).await
    }
}

impl Deref for Usual {
    type Target = Turns;

    fn deref(&self) -> &Turns {
        &self.turns
    }
}

type Waiting = tokio::task::JoinHandle<Result<Turn, GatewayError>>;

/// Asks for a turn, and returns once that is being waited for.
async fn wait(turns: &Usual, id: &'static str, groups: &'static [&'static str]) -> Waiting {
    let before = turns.counts().1;
    let waiting = tokio::spawn({
        let turns = turns.clone();
        async move { turns.take(id, &groups.iter().copied().collect()).await }
    });
    while turns.counts().1 == before {
        tokio::task::yield_now().await;
    }
    waiting
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_queue_says_so_at_once_and_when_to_come_again() {
    let turns = Usual::new(
        &Limits { concurrent_queries: 1, queued_queries: 1, queue_wait: Span::millis(30), ..limits() },
        unbounded(),
    );
    let running = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let waiting = wait(&turns, "ana", &[]).await;
    let error = turns.take("dev", &BTreeSet::new()).await.err().unwrap();
    assert_eq!((error.kind, error.limit), (ErrorKind::ResourceExhausted, Some("queue")));
    assert_eq!(error.message, "too many queries are waiting already: try again in 2 s");
    assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    let error = waiting.await.unwrap().err().unwrap();
    assert_eq!((error.kind, error.limit), (ErrorKind::ResourceExhausted, Some("queue_wait")));
    assert!(error.retry_after.is_some());
    assert_eq!(turns.counts(), (1, 0), "who has gone waits no longer");
    drop(running);
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn the_one_with_the_fewest_running_comes_first() {
    let turns = Usual::new(&limits(), unbounded());
    let (one, two) =
        (turns.take("ana", &BTreeSet::new()).await.unwrap(), turns.take("ana", &BTreeSet::new()).await.unwrap());
    let third = wait(&turns, "ana", &[]).await;
    let fourth = wait(&turns, "ana", &[]).await;
    let other = wait(&turns, "dev", &[]).await;
    drop(one);
    let dev = other.await.unwrap().unwrap();
    settle().await;
    assert!(!third.is_finished() && !fourth.is_finished(), "ana has one running, dev had none");
    drop(two);
    let third = third.await.unwrap().unwrap();
    settle().await;
    assert!(!fourth.is_finished(), "those of one principal in their order");
    drop(dev);
    let fourth = fourth.await.unwrap().unwrap();
    drop((third, fourth));
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn principals_and_groups_have_bounds_of_their_own() {
    let groups = [("analysts".to_owned(), 2)].into();
    let bounds =
        Limits { concurrent_queries: 8, principal_queries: 1, principal_queued_queries: 1, groups, ..limits() };
    let turns = Usual::new(&bounds, unbounded());
    let take = async |id: &'static str, groups: &'static [&'static str]| {
        turns.take(id, &groups.iter().copied().collect()).await.unwrap()
    };
    let ana = take("ana", &["analysts"]).await;
    let waiting = wait(&turns, "ana", &["analysts"]).await;
    let error = turns.take("ana", &["analysts"].into()).await.err().unwrap();
    assert_eq!((error.kind, error.limit), (ErrorKind::ResourceExhausted, Some("principal_queue")));
    let dev = take("dev", &["analysts", "cooks"]).await;
    let third = wait(&turns, "eve", &["analysts"]).await;
    let cook = take("carl", &["cooks"]).await;
    drop(cook);
    settle().await;
    assert!(!third.is_finished() && !waiting.is_finished(), "a cook's turn is no analyst's");
    drop(dev);
    let eve = third.await.unwrap().unwrap();
    settle().await;
    assert!(!waiting.is_finished(), "ana has one");
    drop(ana);
    drop(waiting.await.unwrap().unwrap());
    drop(eve);
    assert_eq!(turns.counts(), (0, 0));
}

/// Policies may give some more than others, or less.
#[tokio::test]
async fn who_has_other_limits_is_held_to_those() {
    let bounds = Limits { concurrent_queries: 8, principal_queries: 1, principal_queued_queries: 0, ..limits() };
    let turns = Usual::new(&bounds, unbounded());
    let (nobody, more) = (BTreeSet::new(), OwnLimits { queries: 2, ..turns.own.clone() });
    let one = turns.take("ana", &nobody).await.unwrap();
    assert_eq!(turns.take("ana", &nobody).await.err().unwrap().limit, Some("principal_queue"));
    let two = turns.turns.take("ana", &nobody, &more).await.unwrap();
    assert!(turns.turns.take("ana", &nobody, &more).await.is_err());
    let patient = OwnLimits { queued: 1, queue_wait: Duration::from_millis(20), ..more };
    let error = turns.turns.take("ana", &nobody, &patient).await.err().unwrap();
    assert_eq!(error.limit, Some("queue_wait"));
    drop((one, two));
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn who_does_not_wait_any_longer_takes_no_turn_away() {
    let turns = Usual::new(&Limits { concurrent_queries: 1, ..limits() }, unbounded());
    let running = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let gone = wait(&turns, "dev", &[]).await;
    gone.abort();
    assert!(gone.await.is_err());
    drop(running);
    drop(turns.take("eve", &BTreeSet::new()).await.unwrap());
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn a_closed_gate_lets_nobody_in_and_waits_for_who_is_in() {
    let turns = Usual::new(&Limits { concurrent_queries: 1, ..limits() }, unbounded());
    let running = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let waiting = wait(&turns, "dev", &[]).await;
    assert!(turns.is_open());
    assert!(!turns.drain(Duration::from_millis(10)).await);
    assert!(!turns.is_open());
    assert_eq!(waiting.await.unwrap().err().unwrap().kind, ErrorKind::Unavailable);
    assert_eq!(turns.take("ana", &BTreeSet::new()).await.err().unwrap().kind, ErrorKind::Unavailable);
    let drained = tokio::spawn({
        let turns = turns.clone();
        async move { turns.drain(Duration::from_secs(300)).await }
    });
    settle().await;
    drop(running);
    assert!(drained.await.unwrap());
    assert_eq!(turns.take("ana", &BTreeSet::new()).await.err().unwrap().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_query_that_is_given_up_before_its_stream_is_counted() {
    let mut config = super::fixture::config();
    config.limits.concurrent_queries = 1;
    let f = super::fixture::fixture_with(config).await;
    let (ana, sql) = (f.session("ana"), "SELECT count(*) AS n FROM orders.order_events");
    let counted = |outcome: &str| {
        let line = format!("portcullis_queries_total{{outcome=\"{outcome}\"}} ");
        let text = f.gateway.metrics_text();
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok()).unwrap_or_default()
    };
    let running = f.gateway.query(&ana, sql, None).await.unwrap();
    let mut waiting = f.gateway.query(&ana, sql, None);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there is one turn, and it is taken"),
        () = settle() => {}
    }
    assert_eq!(counted("cancelled"), 0, "it may still be");
    drop(waiting);
    assert_eq!(counted("cancelled"), 1);
    drop(running);
    assert_eq!(counted("cancelled"), 2, "a stream that is let go of counts itself, once");
    f.text(&ana, sql).await;
    f.error(&ana, "SELECT nothing").await;
    assert_eq!((counted("cancelled"), counted("success"), counted("error")), (2, 1, 1));
}

/// Memory that says of itself how much it is.
fn told(limit: u64) -> (Arc<AtomicU64>, Memory) {
    let resident = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&resident);
    (resident, Memory::new(Some(limit), move || Some(told.load(Ordering::Relaxed))))
}

/// Until what was read of memory is too old to count.
fn forget() {
    std::thread::sleep(Duration::from_millis(50));
}

#[tokio::test]
async fn while_memory_is_short_one_runs_alone() {
    let (resident, memory) = told(100);
    let turns = Usual::new(&limits(), memory);
    resident.store(100, Ordering::Relaxed);
    let first = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let second = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let waiting = wait(&turns, "dev", &[]).await;
    resident.store(101, Ordering::Relaxed);
    forget();
    let error = turns.take("bea", &BTreeSet::new()).await.err().unwrap();
    assert_eq!((error.kind, error.limit), (ErrorKind::ResourceExhausted, Some("process_memory")));
    assert_eq!(error.message, "the gateway has too little memory left: try again in 1 s");
    assert_eq!(error.retry_after, Some(Duration::from_secs(1)));
    drop(first);
    settle().await;
    assert_eq!(turns.counts(), (1, 1), "who waits goes on waiting");
    // What keeps memory for itself must not close the gateway for good.
    drop(second);
    let alone = waiting.await.unwrap().unwrap();
    assert_eq!(turns.counts(), (1, 0));
    assert_eq!(turns.take("bea", &BTreeSet::new()).await.err().unwrap().limit, Some("process_memory"));
    resident.store(99, Ordering::Relaxed);
    forget();
    let beside = turns.take("bea", &BTreeSet::new()).await.unwrap();
    drop((alone, beside));
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn who_waits_comes_first_when_there_is_memory_again() {
    let (resident, memory) = told(100);
    let turns = Usual::new(&limits(), memory);
    let running = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let second = turns.take("ana", &BTreeSet::new()).await.unwrap();
    let waiting = wait(&turns, "dev", &[]).await;
    resident.store(200, Ordering::Relaxed);
    forget();
    drop(second);
    settle().await;
    assert!(!waiting.is_finished());
    resident.store(0, Ordering::Relaxed);
    forget();
    // Two may run, and one of these places is taken already by who has waited.
    let late = wait_for(&turns, "bea");
    settle().await;
    let waited = waiting.await.unwrap().unwrap();
    assert_eq!(turns.counts(), (2, 1));
    drop(running);
    let late = late.await.unwrap().unwrap();
    drop((waited, late));
}

fn wait_for(turns: &Usual, id: &'static str) -> Waiting {
    let turns = turns.clone();
    tokio::spawn(async move { turns.take(id, &BTreeSet::new()).await })
}
