use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Lends other keys each time, for as long as it is told; or, after some times, none.
#[derive(Debug)]
struct Stubborn {
    asked: AtomicU64,
    times: u64,
    endpoint: &'static str,
}

fn properties(key: &str, endpoint: &str) -> HashMap<String, String> {
    let all = [("s3.access-key-id", key), ("s3.secret-access-key", "hunter2"), ("s3.endpoint", endpoint)];
    HashMap::from(all.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

#[async_trait]
impl Lender for Stubborn {
    async fn lend(&self) -> std::result::Result<HashMap<String, String>, Fault> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::task::yield_now().await;
        match number <= self.times {
            true => Ok(properties(&format!("key {number}"), self.endpoint)),
            false => Err(Fault::Unavailable("away".into())),
        }
    }
}

fn lent(times: u64, endpoint: &'static str) -> (Arc<LentKeys>, Arc<Stubborn>) {
    let lender = Arc::new(Stubborn { asked: AtomicU64::new(0), times, endpoint });
    let first = properties("key 0", "https://a.example");
    let lent = Lent::by(&first, &StoreOptions::default(), Some(Arc::clone(&lender) as _));
    (lent.keys.unwrap(), lender)
}

async fn key(keys: &LentKeys) -> String {
    keys.get_credential().await.unwrap().key_id.clone()
}

#[tokio::test]
async fn credentials_are_renewed_when_it_is_time_by_one_for_all() {
    let (keys, lender) = lent(9, "https://a.example");
    assert_eq!((key(&keys).await.as_str(), lender.asked.load(Ordering::SeqCst)), ("key 0", 0), "they are new");
    keys.age();
    let readers: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn({
                let keys = Arc::clone(&keys);
                async move { key(&keys).await }
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), "key 1");
    }
    assert_eq!(lender.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_old_ones_are_kept_where_there_are_no_newer_for_this_store() {
    for (times, endpoint) in [(0, "https://a.example"), (9, "https://b.example")] {
        let (keys, lender) = lent(times, endpoint);
        keys.age();
        assert_eq!(key(&keys).await, "key 0", "{endpoint}");
        keys.loan.write().unwrap().renewed_at += LONGEST;
        assert_eq!((key(&keys).await.as_str(), lender.asked.load(Ordering::SeqCst)), ("key 0", 1), "not at once again");
    }
}

#[test]
fn they_are_renewed_before_they_expire_and_not_without_end() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let good_for = |expires: Option<u128>| {
        let mut properties = properties("k", "e");
        properties.extend(expires.map(|ms| ("s3.session-token-expires-at-ms".to_owned(), ms.to_string())));
        Loan::by(&properties, None).unwrap().renewed_at.saturating_duration_since(Instant::now())
    };
    let minutes = |from: u64, to: u64| Duration::from_secs(from * 60)..=Duration::from_secs(to * 60);
    assert!(minutes(57, 59).contains(&good_for(Some(now + 3_600_000))));
    assert!(minutes(3, 4).contains(&good_for(Some(now + 300_000))));
    assert!(minutes(4, 5).contains(&good_for(None)));
    assert!(minutes(23 * 60, 24 * 60).contains(&good_for(Some(u128::from(u64::MAX)))));
    for expired in [0, now.saturating_sub(5_000)] {
        assert!(good_for(Some(expired)) <= AT_LEAST);
    }
    assert!(Loan::by(&HashMap::new(), None).is_none());
}

#[test]
fn nothing_secret_is_shown() {
    let (keys, _) = lent(0, "https://a.example");
    assert!(!format!("{keys:?}").contains("hunter2") && !format!("{keys:?}").contains("key 0"));
}
