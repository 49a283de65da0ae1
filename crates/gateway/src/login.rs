//! Passwords: checked away from the async threads, a few at a time, as slowly for unknown users as for known ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::Identity;
use crate::error::{ErrorKind, GatewayError};
use crate::throttle::Throttle;
use crate::users::{Users, verify};

/// Passwords checked at the same time: each takes memory and a core.
const AT_ONCE: usize = 4;
/// How long a login may wait for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Longer passwords are not looked at.
const LONGEST_PASSWORD: usize = 1024;

pub(crate) struct Logins {
    throttle: Throttle,
    turns: Arc<Semaphore>,
}

impl Logins {
    pub(crate) fn new(config: &Identity) -> Logins {
        let throttle = Throttle::new(config.login_attempts, config.login_window.duration());
        Logins { throttle, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Checks a password. The error is the same whether the user or the password is wrong.
    pub(crate) async fn check(&self, users: &Users, user: &str, password: &str) -> Result<(), GatewayError> {
        if let Some(wait) = self.throttle.wait(user) {
            let message = format!("too many failed logins as this user: try again in {} s", wait.as_secs() + 1);
            return Err(GatewayError::new(ErrorKind::ResourceExhausted, message));
        }
        let known = users.get(user).and_then(|user| user.password.clone());
        let hash = known.clone().or_else(|| users.any_password().map(str::to_owned));
        let (text, long) = (password.to_owned(), password.len() > LONGEST_PASSWORD);
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(GatewayError::new(ErrorKind::ResourceExhausted, "too many logins at once: try again later"));
        };
        let checked = tokio::task::spawn_blocking(move || {
            let right = hash.is_some_and(|hash| verify(if long { "" } else { &text }, &hash));
            drop(turn);
            right
        });
        let right = checked.await.map_err(|_| GatewayError::internal("the password could not be checked"))?;
        if right && known.is_some() && !long {
            self.throttle.succeeded(user);
            Ok(())
        } else {
            self.throttle.failed(user);
            Err(GatewayError::unauthenticated("unknown user or wrong password"))
        }
    }
}
