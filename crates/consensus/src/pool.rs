//! The mempool, shared between those who fill it and the proposer who empties it.

use alloy_primitives::B256;
use og_chain::{
    Block,
    mempool::{Mempool, MempoolLimits},
};
use og_crypto::keccak256;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, broadcast};

/// Hashes of new transactions that are kept for whoever is told of them.
const MAX_UNTOLD: usize = 8192;

/// A shared mempool that says when something new is in it.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    mempool: Mutex<Mempool>,
    changed: Notify,
    new_transactions: broadcast::Sender<B256>,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(MempoolLimits::default())
    }
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
            new_transactions: broadcast::Sender::new(MAX_UNTOLD),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Looks into the mempool, or takes out of it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Mempool) -> T) -> T {
        look(&mut self.inner.mempool.lock())
    }

    /// Decodes a block's transactions: those that wait here need no recovery of their senders again.
    pub fn decode(&self, block: &Block) {
        if block.is_decoded() {
            return;
        }
        let hashes: Vec<B256> = block
            .transactions()
            .iter()
            .map(|raw| keccak256(&[raw]))
            .collect();
        let known = self.with(|mempool| {
            let waiting = hashes.iter().filter_map(|hash| mempool.transaction(hash));
            waiting.cloned().collect()
        });
        block.decode_knowing(known);
    }

    /// Puts something in and wakes the proposer.
    pub fn put<T>(&self, put: impl FnOnce(&mut Mempool) -> T) -> T {
        let result = self.with(put);
        self.inner.changed.notify_waiters();
        result
    }

    /// Tells of a transaction that has been put in.
    pub fn announce(&self, transaction: B256) {
        // Without a receiver there is nobody to tell.
        let _ = self.inner.new_transactions.send(transaction);
    }

    /// The hashes of transactions that are put in after this call.
    pub fn new_transactions(&self) -> broadcast::Receiver<B256> {
        self.inner.new_transactions.subscribe()
    }

    /// Resolves when something is put in after this call.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.inner.changed.notified()
    }
}
