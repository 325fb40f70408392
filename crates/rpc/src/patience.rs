//! Answering for a transaction only when it is final, for tools that expect every block at once.

use crate::{chain::Chain, eth::indexed};
use alloy_primitives::B256;
use jsonrpsee::core::RpcResult;
use tokio::time::timeout;

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
