//! How many connections an address may begin in a second: each of them is a TLS handshake, which costs the server more than the client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered at most; beyond it those that have begun none for a second are forgotten, and then all.
const ADDRESSES: usize = 10_000;
const SECOND: Duration = Duration::from_secs(1);

/// A bucket for each address: full at first, and again after a second of quiet.
pub(crate) struct Rate {
    per_second: u32,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Rate {
        Rate { per_second, buckets: Mutex::default() }
    }

    /// Whether this address may begin one more.
    pub(crate) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES {
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < SECOND);
        }
        if buckets.len() >= ADDRESSES {
            buckets.clear();
        }
        let most = f64::from(self.per_second);
        let bucket = buckets.entry(network(address)).or_insert(Bucket { left: most, at: now });
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + since * most).min(most);
        bucket.at = bucket.at.max(now);
        let admits = bucket.left >= 1.0;
        if admits {
            bucket.left -= 1.0;
        }
        admits
    }
}

/// Whose connections count together: an IPv4 address, or an IPv6 network of 64 bits, which one client has as a whole.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_begins_so_many_in_a_second_and_no_other_counts() {
        let rate = Rate::new(3);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let start = Instant::now();
        let admitted = |address, after| (0..10).filter(|_| rate.admits(address, start + after)).count();
        assert_eq!(admitted(one, Duration::ZERO), 3);
        assert_eq!(admitted(other, Duration::ZERO), 3);
        assert_eq!(admitted(one, Duration::from_millis(400)), 1);
        assert_eq!(admitted(one, Duration::from_secs(60)), 3, "what was not used is not saved up");
        assert_eq!(admitted(one, Duration::from_secs(30)), 0, "time does not go back");
        let mapped: IpAddr = "::ffff:192.0.2.3".parse().unwrap();
        assert_eq!((admitted(mapped, Duration::ZERO), admitted("192.0.2.3".parse().unwrap(), Duration::ZERO)), (3, 0));
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(admitted(of("2001:db8::1"), Duration::ZERO), 3);
        assert_eq!(admitted(of("2001:db8::2"), Duration::ZERO), 0, "one network");
        assert_eq!(admitted(of("2001:db8:0:1::1"), Duration::ZERO), 3);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rate = Rate::new(1);
        let now = Instant::now();
        for n in 0..30_000_u32 {
            rate.admits(IpAddr::from(n.to_be_bytes()), now);
            assert!(rate.buckets.lock().unwrap().len() <= ADDRESSES);
        }
    }
}
