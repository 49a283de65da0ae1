use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

use super::*;

const LONG: Duration = Duration::from_secs(3600);

fn fail() -> Answer<u32> {
    Err(Fault::Unavailable("away".into()))
}

async fn known(slots: &Slots<u32>, age: Duration) -> Answer<u32> {
    slots.current("t", age, |_| async { panic!("nothing is to be asked") }).await
}

#[tokio::test]
async fn waiting_callers_share_one_failure_and_it_is_forgotten_soon() {
    let slots = Arc::new(Slots::new());
    let calls = Arc::new(AtomicU32::new(0));
    let attempt = |slots: Arc<Slots<u32>>, calls: Arc<AtomicU32>| async move {
        let refresh = |_| async move {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            fail()
        };
        slots.current("t", Duration::ZERO, refresh).await.is_err()
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
async fn an_abandoned_refresh_is_finished_for_the_next() {
    let slots = Slots::new();
    let gate = Arc::new(Semaphore::new(0));
    let slow = |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(1)
        }
    };
    let given_up = tokio::time::timeout(Duration::from_millis(20), slots.current("t", LONG, slow)).await;
    assert!(given_up.is_err());
    gate.add_permits(1);
    assert!(matches!(known(&slots, LONG).await, Ok(1)));
}

#[tokio::test]
async fn nobody_waits_for_a_refresh_who_may_use_what_is_known() {
    let slots = Arc::new(Slots::new());
    assert!(matches!(slots.current("t", LONG, |_| async { Ok(1) }).await, Ok(1)));
    let gate = Arc::new(Semaphore::new(0));
    let waiting = {
        let (slots, gate) = (Arc::clone(&slots), Arc::clone(&gate));
        let refresh = |known| async move {
            assert_eq!(known, Some(1));
            gate.acquire().await.unwrap().forget();
            Ok(2)
        };
        tokio::spawn(async move { slots.current("t", Duration::ZERO, refresh).await })
    };
    tokio::task::yield_now().await;
    assert!(matches!(known(&slots, LONG).await, Ok(1)), "while somebody asks anew");
    gate.add_permits(1);
    assert!(matches!(waiting.await.unwrap(), Ok(2)));
    assert!(matches!(known(&slots, LONG).await, Ok(2)));
}

#[tokio::test]
async fn what_is_half_as_old_as_it_may_be_is_used_and_asked_for_once_meanwhile() {
    let slots = Slots::new();
    let calls = Arc::new(AtomicU32::new(0));
    let gate = Arc::new(Semaphore::new(1));
    let refresh = |_| {
        let (calls, gate) = (Arc::clone(&calls), Arc::clone(&gate));
        async move {
            gate.acquire().await.unwrap().forget();
            match calls.fetch_add(1, Ordering::SeqCst) {
                1 => fail(),
                answer => Ok(answer),
            }
        }
    };
    assert!(matches!(slots.current("t", LONG, refresh).await, Ok(0)));
    assert!(matches!(slots.current("t", LONG, refresh).await, Ok(0)));
    let slot = slots.slots.get("t").await.unwrap();
    assert!(slot.state().running.is_none(), "it is new");
    slot.state().known = Some((Instant::now().checked_sub(LONG * 3 / 4).unwrap(), 0));
    for _ in 0..5 {
        assert!(matches!(slots.current("t", LONG, refresh).await, Ok(0)));
    }
    gate.add_permits(10);
    let running = slot.state().running.clone().unwrap();
    assert!(running.await.is_err());
    slot.state().failed.as_mut().unwrap().0 += LONG;
    assert!(matches!(slots.current("t", LONG, refresh).await, Ok(0)), "it failed, and what is known is used");
    assert_eq!(calls.load(Ordering::SeqCst), 2, "and it is not asked again at once");
}

#[tokio::test]
async fn a_refresh_that_panics_is_one_failure() {
    let slots: Slots<u32> = Slots::new();
    let broken = slots.current("t", LONG, |_| async { panic!("a defect") }).await;
    assert!(matches!(broken, Err(Fault::Internal(_))));
    assert!(matches!(slots.current("t", LONG, |_| async { Ok(7) }).await, Ok(7)));
}
