use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn fail() -> Result<Snapshot, Fault> {
    Err(Fault::Unavailable("away".into()))
}

#[tokio::test]
async fn waiting_callers_share_one_failure_and_it_is_forgotten_soon() {
    let slots = Arc::new(Slots::new());
    let calls = Arc::new(AtomicUsize::new(0));
    let attempt = |slots: Arc<Slots>, calls: Arc<AtomicUsize>| async move {
        let refresh = |_| async {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            fail()
        };
        slots.current("t".into(), Duration::ZERO, refresh).await.is_err()
    };
    let attempts: Vec<_> = (0..20).map(|_| tokio::spawn(attempt(Arc::clone(&slots), Arc::clone(&calls)))).collect();
    for attempt in attempts {
        assert!(attempt.await.unwrap());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1, "one caller asks, the others wait for its answer");
    attempt(Arc::clone(&slots), Arc::clone(&calls)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2, "with no age allowed, the next caller asks again");
}

#[tokio::test]
async fn an_abandoned_refresh_does_not_block_the_next() {
    let slots = Slots::new();
    let never = |_| std::future::pending();
    let given_up =
        tokio::time::timeout(Duration::from_millis(20), slots.current("t".into(), Duration::ZERO, never)).await;
    assert!(given_up.is_err());
    let answer = slots.current("t".into(), Duration::ZERO, |_| async { fail() }).await;
    assert!(matches!(answer, Err(Fault::Unavailable(_))));
}
