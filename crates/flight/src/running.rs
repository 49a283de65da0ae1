//! What runs here, by the ticket it was asked for with, so that `CancelFlightInfo` can stop it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use portcullis_gateway::Canceller;
use tokio::sync::watch;
use tonic::Status;

/// A principal and the bytes of a ticket: nobody stops what somebody else runs.
type Key = (String, Bytes);

/// All that runs in this process.
#[derive(Default)]
pub(crate) struct Running {
    calls: Mutex<HashMap<Key, Vec<Arc<Call>>>>,
}

struct Call {
    cancelled: watch::Sender<bool>,
    /// Once the query has rows to send.
    query: OnceLock<Canceller>,
}

/// One call, from its beginning to the end of its stream.
pub(crate) struct Registered {
    running: Arc<Running>,
    key: Key,
    call: Arc<Call>,
}

impl Running {
    /// A call that begins.
    pub(crate) fn begin(self: &Arc<Self>, user: &str, ticket: &Bytes) -> Registered {
        let key = (user.to_owned(), ticket.clone());
        let call = Arc::new(Call { cancelled: watch::Sender::new(false), query: OnceLock::new() });
        self.lock().entry(key.clone()).or_default().push(Arc::clone(&call));
        Registered { running: Arc::clone(self), key, call }
    }

    /// Stops all calls with this ticket. Whether there were any.
    pub(crate) fn cancel(&self, user: &str, ticket: &Bytes) -> bool {
        let calls = self.lock().get(&(user.to_owned(), ticket.clone())).cloned().unwrap_or_default();
        calls.iter().for_each(|call| call.cancel());
        !calls.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Call>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn cancel(&self) {
        self.cancelled.send_replace(true);
        self.query.get().map(Canceller::cancel);
    }
}

impl Registered {
    /// What comes of some work, unless it is cancelled before.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let mut cancelled = self.call.cancelled.subscribe();
        tokio::select! {
            done = work => done,
            Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => Err(Status::cancelled("the query was cancelled")),
        }
    }

    /// Hands on what belongs to the call.
    pub(crate) fn part<T>(&self, part: T) -> T {
        part
    }

    /// From here on, this is what is to be stopped.
    pub(crate) fn runs(&self, query: Canceller) {
        let _ = self.call.query.set(query);
        // Whoever cancelled before that found nothing to stop.
        if *self.call.cancelled.borrow() {
            self.call.cancel();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut calls = self.running.lock();
        if let Some(same) = calls.get_mut(&self.key) {
            same.retain(|call| !Arc::ptr_eq(call, &self.call));
            if same.is_empty() {
                calls.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tonic::Code;

    use super::Running;

    #[tokio::test]
    async fn only_its_principal_stops_a_call_and_only_while_it_is_there() {
        let running = Arc::new(Running::default());
        let ticket = Bytes::from_static(b"ticket");
        let call = running.begin("ana", &ticket);
        assert!(!running.cancel("dev", &ticket) && !running.cancel("ana", &Bytes::from_static(b"other")));
        assert_eq!(call.unless_cancelled(async { Ok(1) }).await.unwrap(), 1);
        let second = running.begin("ana", &ticket);
        assert!(running.cancel("ana", &ticket));
        for call in [&call, &second] {
            let work = std::future::pending::<Result<(), _>>();
            assert_eq!(call.unless_cancelled(work).await.unwrap_err().code(), Code::Cancelled);
        }
        drop((call, second));
        assert!(!running.cancel("ana", &ticket));
        assert!(running.lock().is_empty(), "nothing is kept of who has gone");
    }
}
