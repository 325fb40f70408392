//! The mempool, shared between those who fill it and the proposer who empties it.

use og_chain::mempool::{Mempool, MempoolLimits};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// A shared mempool that says when something new is in it.
#[derive(Clone, Default)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    mempool: Mutex<Mempool>,
    changed: Notify,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty pool with these maxima; [`Default`] has the network's.
    pub fn new(limits: MempoolLimits) -> Self {
        let inner = Inner {
            mempool: Mutex::new(Mempool::new(limits)),
            changed: Notify::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Looks into the mempool, or takes out of it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Mempool) -> T) -> T {
        look(&mut self.inner.mempool.lock())
    }

    /// Puts something in and wakes the proposer.
    pub fn put<T>(&self, put: impl FnOnce(&mut Mempool) -> T) -> T {
        let result = self.with(put);
        self.inner.changed.notify_waiters();
        result
    }

    /// Resolves when something is put in after this call.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.inner.changed.notified()
    }
}
