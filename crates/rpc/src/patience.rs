//! Answering for a transaction only when it is final, for tools that expect every block at once.

use crate::{chain::Chain, eth::indexed};
use alloy_primitives::B256;
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use std::sync::Arc;
use tokio::time::timeout;

/// The method by which development tools learn that they need not wait for more blocks.
#[rpc(server)]
pub(crate) trait PatienceApi {
    /// Whether a transaction is in a block when its submission is answered. Hardhat Ignition then wants one
    /// confirmation instead of five; it refuses to deploy for an account whose last transaction has fewer.
    #[method(name = "hardhat_getAutomine")]
    async fn automine(&self) -> RpcResult<bool>;
}

/// Tells tools whether this node waits for blocks in their place.
pub(crate) struct Patience<C>(pub(crate) Arc<C>);

#[async_trait]
impl<C: Chain> PatienceApiServer for Patience<C> {
    async fn automine(&self) -> RpcResult<bool> {
        Ok(!self.0.submission_patience().is_zero())
    }
}

/// Waits until a transaction that was just taken is final, at most as long as
/// [`Chain::submission_patience`] says.
pub(crate) async fn await_final<C: Chain>(chain: &C, hash: B256) {
    let patience = chain.submission_patience();
    if !patience.is_zero() {
        // It is taken, so neither that it is not final in time nor a failure to see it is an error.
        let _ = timeout(patience, until_final(chain, hash)).await;
    }
}

/// Ends when the transaction is final, or when no block can take it: a nonce before its own is missing.
async fn until_final<C: Chain>(chain: &C, hash: B256) -> RpcResult<()> {
    let mut heights = chain.heights();
    loop {
        heights.mark_unchanged();
        let found = indexed(chain, move |index| index.transaction(&hash)).await?;
        if found.is_some() || waits_for_another(chain, &hash) || heights.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Whether the transaction waits for one of its sender's that has not come.
fn waits_for_another<C: Chain>(chain: &C, hash: &B256) -> bool {
    let Some(transaction) = chain.pending_transaction(hash) else {
        return false;
    };
    let waiting = chain.waiting_transactions(Some(&transaction.sender()));
    waiting
        .iter()
        .any(|one| one.transaction.hash() == *hash && !one.executable)
}
