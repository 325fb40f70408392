//! The `txpool_` methods: what waits for a block.

use crate::{
    chain::{Chain, Waiting},
    error::{CODE_LIMIT_EXCEEDED, with_code},
    eth::indexed,
    views,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U64};
use alloy_rpc_types_eth::Transaction as TransactionJson;
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use og_chain::Transaction;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Most bytes of transactions in one answer: in hexadecimal, with their names, they fit a response.
const MAX_CONTENT_BYTES: usize = 8 * 1024 * 1024;

/// What waits, by whether a block could take it now.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Content<T> {
    /// What a block could take.
    pending: T,
    /// What waits for a transaction with a lower nonce of the same sender.
    queued: T,
}

/// By nonce.
type OfSender<T> = BTreeMap<u64, T>;
/// By sender, written as Ethereum's nodes do.
type OfAll<T> = BTreeMap<String, OfSender<T>>;

/// Methods about the mempool.
#[rpc(server)]
pub(crate) trait PoolApi {
    /// How many transactions wait.
    #[method(name = "txpool_status")]
    async fn status(&self) -> RpcResult<Content<U64>>;

    /// The transactions that wait, by sender and nonce.
    #[method(name = "txpool_content")]
    async fn content(&self) -> RpcResult<Content<OfAll<TransactionJson>>>;

    /// The transactions of one sender that wait, by nonce.
    #[method(name = "txpool_contentFrom")]
    async fn content_from(&self, sender: Address) -> RpcResult<Content<OfSender<TransactionJson>>>;

    /// The transactions that wait, by sender and nonce, as sentences for people.
    #[method(name = "txpool_inspect")]
    async fn inspect(&self) -> RpcResult<Content<OfAll<String>>>;
}

/// Answers the methods about the mempool.
pub(crate) struct PoolMethods<C>(pub(crate) Arc<C>);

#[async_trait]
impl<C: Chain> PoolApiServer for PoolMethods<C> {
    async fn status(&self) -> RpcResult<Content<U64>> {
        let waiting = self.0.waiting_transactions(None);
        let executable = waiting.iter().filter(|one| one.executable).count();
        Ok(Content {
            pending: U64::from(executable),
            queued: U64::from(waiting.len() - executable),
        })
    }

    async fn content(&self) -> RpcResult<Content<OfAll<TransactionJson>>> {
        let waiting = self.0.waiting_transactions(None);
        check_size(&waiting)?;
        Ok(by_sender(&waiting, views::pending))
    }

    async fn content_from(&self, sender: Address) -> RpcResult<Content<OfSender<TransactionJson>>> {
        let waiting = self.0.waiting_transactions(Some(&sender));
        check_size(&waiting)?;
        let mut content = Content::<OfSender<_>>::default();
        for one in &waiting {
            let (nonce, json) = (one.transaction.nonce(), views::pending(&one.transaction));
            content.part(one.executable).insert(nonce, json);
        }
        Ok(content)
    }

    async fn inspect(&self) -> RpcResult<Content<OfAll<String>>> {
        Ok(by_sender(&self.0.waiting_transactions(None), sentence))
    }
}

impl<T> Content<T> {
    const fn part(&mut self, executable: bool) -> &mut T {
        if executable {
            &mut self.pending
        } else {
            &mut self.queued
        }
    }
}

fn by_sender<T>(waiting: &[Waiting], show: impl Fn(&Transaction) -> T) -> Content<OfAll<T>> {
    let mut content = Content {
        pending: OfAll::new(),
        queued: OfAll::new(),
    };
    for one in waiting {
        let sender = one.transaction.sender().to_checksum(None);
        let of_sender = content.part(one.executable).entry(sender).or_default();
        of_sender.insert(one.transaction.nonce(), show(&one.transaction));
    }
    content
}

fn check_size(waiting: &[Waiting]) -> RpcResult<()> {
    let lengths = waiting.iter().map(|one| one.transaction.raw().len());
    let bytes: usize = lengths.sum();
    if bytes <= MAX_CONTENT_BYTES {
        return Ok(());
    }
    Err(with_code(
        CODE_LIMIT_EXCEEDED,
        format!(
            "limit exceeded: {} transactions of {bytes} bytes wait, an answer holds {MAX_CONTENT_BYTES}: ask txpool_contentFrom of one sender, or txpool_inspect",
            waiting.len()
        ),
    ))
}

/// A transaction in the words of Ethereum's nodes, which programs take apart.
fn sentence(transaction: &Transaction) -> String {
    let to = match transaction.to() {
        Some(to) => to.to_checksum(None),
        None => "contract creation".to_owned(),
    };
    format!(
        "{to}: {} wei + {} gas × {} wei",
        transaction.envelope().value(),
        transaction.gas_limit(),
        transaction.max_fee_per_gas()
    )
}

/// A transaction that waits, or waited until its block became final; `None` if it has been evicted.
pub(crate) async fn waited<C: Chain>(chain: &C, hash: B256) -> Option<Transaction> {
    if let Some(transaction) = chain.pending_transaction(&hash) {
        return Some(transaction);
    }
    let found = indexed(chain, move |index| index.transaction(&hash)).await;
    let (block, position) = found.ok().flatten()?;
    let transactions = block.decoded_transactions().ok()?;
    transactions.get(position as usize).cloned()
}
