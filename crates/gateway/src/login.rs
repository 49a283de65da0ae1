//! Passwords: checked away from the async threads, a few at a time, as slowly for unknown users as for known ones.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::Identity;
use crate::error::GatewayError;
use crate::throttle::Throttle;
use crate::users::{Users, verify};

/// How long a login may wait for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Longer passwords are not looked at.
const LONGEST_PASSWORD: usize = 1024;

pub(crate) struct Logins {
    users: Throttle,
    addresses: Throttle,
    turns: Arc<Semaphore>,
}

impl Logins {
    pub(crate) fn new(config: &Identity) -> Logins {
        let throttle = |attempts| Throttle::new(attempts, config.login_window.duration());
        let (users, addresses) = (throttle(config.login_attempts), throttle(config.address_attempts));
        Logins { users, addresses, turns: Arc::new(Semaphore::new(config.logins as usize)) }
    }

    /// Whether there were too many failures as this user, or from this network.
    fn throttled(&self, user: &str, network: Option<&str>) -> Result<(), GatewayError> {
        let as_user = self.users.wait(user).map(|wait| ("as this user", wait));
        let from_there = || Some(("from this address", self.addresses.wait(network?)?));
        let Some((where_from, wait)) = as_user.or_else(from_there) else { return Ok(()) };
        let hint = Duration::from_secs(wait.as_secs() + 1);
        let message = format!("too many failed logins {where_from}: try again in {} s", hint.as_secs());
        Err(GatewayError::limit("login_attempts", message).retry_after(hint))
    }

    /// Checks a password. The error is the same whether the user or the password is wrong.
    pub(crate) async fn check(
        &self,
        users: &Users,
        user: &str,
        password: &str,
        client: Option<IpAddr>,
    ) -> Result<(), GatewayError> {
        let network = client.map(network);
        self.throttled(user, network.as_deref())?;
        let known = users.get(user).and_then(|user| user.password.clone());
        let hash = known.clone().or_else(|| users.any_password().map(str::to_owned));
        let (text, long) = (password.to_owned(), password.len() > LONGEST_PASSWORD);
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            let message = "too many logins at once: try again in 10 s";
            return Err(GatewayError::limit("logins", message).retry_after(LONGEST_WAIT));
        };
        // Those that came at the same time may have failed while this one waited.
        self.throttled(user, network.as_deref())?;
        let checked = tokio::task::spawn_blocking(move || {
            let right = hash.is_some_and(|hash| verify(if long { "" } else { &text }, &hash));
            drop(turn);
            right
        });
        let right = checked.await.map_err(|_| GatewayError::internal("the password could not be checked"))?;
        if right && known.is_some() && !long {
            self.users.succeeded(user);
            Ok(())
        } else {
            self.users.failed(user);
            network.iter().for_each(|network| self.addresses.failed(network));
            Err(GatewayError::unauthenticated("unknown user or wrong password"))
        }
    }
}

/// Whose failures count together: an IPv4 address, or an IPv6 network of 64 bits, which one client has as a whole.
fn network(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x}/64", u128::from(address) >> 64),
    }
}
