//! The `eth_` methods about logs, and filters that tell what is new since they were asked.

mod filters;

use crate::{
    chain::Chain,
    error::{invalid, server},
    eth::{found_block, head, indexed},
    index::{Index, IndexError, LogQuery},
    pool::waited,
    server::Client,
    views,
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, U128};
use alloy_rpc_types_eth::{
    Filter, FilterBlockOption, FilterChanges, Log as LogJson, PendingTransactionFilterKind,
    Transaction as TransactionJson,
};
use filters::{Filters, Kind, Transactions};
use jsonrpsee::{
    Extensions,
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use og_crypto::block_hash;
use std::{ops::RangeInclusive, sync::Arc, time::Instant};

/// Most logs of one answer.
const MAX_LOGS: usize = 10_000;
/// Most addresses, and most topics of one place, in one question.
const MAX_ALTERNATIVES: usize = 1_000;
/// Most blocks that a filter of blocks tells of at once.
const MAX_BLOCKS: u64 = 10_000;
/// Bytes of transactions from which on a filter tells no more of them at once.
const MANY_TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// Methods about logs.
#[rpc(server)]
pub(crate) trait LogsApi {
    /// Logs of a range of blocks, or of one block by its hash.
    #[method(name = "eth_getLogs")]
    async fn logs(&self, filter: Filter) -> RpcResult<Vec<LogJson>>;

    /// A filter of logs in coming blocks.
    #[method(name = "eth_newFilter", with_extensions)]
    async fn new_filter(&self, filter: Filter) -> RpcResult<U128>;

    /// A filter of coming blocks.
    #[method(name = "eth_newBlockFilter", with_extensions)]
    async fn new_block_filter(&self) -> RpcResult<U128>;

    /// A filter of transactions that enter the mempool, by their hashes or in full.
    #[method(name = "eth_newPendingTransactionFilter", with_extensions)]
    async fn new_pending_filter(
        &self,
        kind: Option<PendingTransactionFilterKind>,
    ) -> RpcResult<U128>;

    /// What is new since a filter was made or last asked.
    #[method(name = "eth_getFilterChanges")]
    async fn filter_changes(&self, id: U128) -> RpcResult<FilterChanges<TransactionJson>>;

    /// All logs that a filter means, also those that were told of before.
    #[method(name = "eth_getFilterLogs")]
    async fn filter_logs(&self, id: U128) -> RpcResult<Vec<LogJson>>;

    /// Forgets a filter.
    #[method(name = "eth_uninstallFilter")]
    async fn uninstall_filter(&self, id: U128) -> RpcResult<bool>;
}

/// Answers the methods about logs.
pub(crate) struct Logs<C> {
    chain: Arc<C>,
    filters: Filters,
}

impl<C> Logs<C> {
    pub(crate) fn new(chain: Arc<C>) -> Self {
        Self {
            chain,
            filters: Filters::default(),
        }
    }
}

#[async_trait]
impl<C: Chain> LogsApiServer for Logs<C> {
    async fn logs(&self, filter: Filter) -> RpcResult<Vec<LogJson>> {
        let query = query(&filter)?;
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let found = indexed(&*self.chain, move |index| found_block(index, hash.into()));
                // Ethereum's words.
                let block = found.await?.ok_or_else(|| server("unknown block"))?;
                let height = block.header().height;
                self.find(query, height..=height).await
            }
            FilterBlockOption::Range { .. } => {
                let heights = self.heights(&filter).await?;
                self.find(query, heights).await
            }
        }
    }

    async fn new_filter(&self, extensions: &Extensions, filter: Filter) -> RpcResult<U128> {
        query(&filter)?;
        if filter.block_option.is_block_hash() {
            return Err(invalid("a filter of coming blocks takes no blockHash"));
        }
        self.add(extensions, Kind::Logs(Box::new(filter))).await
    }

    async fn new_block_filter(&self, extensions: &Extensions) -> RpcResult<U128> {
        self.add(extensions, Kind::Blocks).await
    }

    async fn new_pending_filter(
        &self,
        extensions: &Extensions,
        kind: Option<PendingTransactionFilterKind>,
    ) -> RpcResult<U128> {
        let full = kind.unwrap_or_default() == PendingTransactionFilterKind::Full;
        let transactions = Transactions::new(self.chain.new_transactions(), full);
        self.add(extensions, Kind::Transactions(transactions)).await
    }

    async fn filter_changes(&self, id: U128) -> RpcResult<FilterChanges<TransactionJson>> {
        let newest = self.newest().await?;
        let (kind, next) = self.filters.get(&id, Instant::now())?;
        let changes = match kind {
            Kind::Transactions(transactions) => {
                return Ok(self.new_transactions(&transactions).await);
            }
            _ if next > newest => return Ok(FilterChanges::Empty),
            Kind::Logs(filter) => FilterChanges::Logs(self.new_logs(&filter, next..=newest).await?),
            Kind::Blocks => {
                let first = next.max(newest.saturating_sub(MAX_BLOCKS - 1));
                let hashes = indexed(&*self.chain, move |index| hashes(index, first..=newest));
                FilterChanges::Hashes(hashes.await?)
            }
        };
        // Only what was found has been told.
        self.filters.told(&id, newest);
        Ok(changes)
    }

    async fn filter_logs(&self, id: U128) -> RpcResult<Vec<LogJson>> {
        match self.filters.get(&id, Instant::now())?.0 {
            Kind::Logs(filter) => {
                let heights = self.heights(&filter).await?;
                self.find(query(&filter)?, heights).await
            }
            Kind::Blocks | Kind::Transactions(_) => Err(server("filter not found")),
        }
    }

    async fn uninstall_filter(&self, id: U128) -> RpcResult<bool> {
        Ok(self.filters.remove(&id))
    }
}

impl<C: Chain> Logs<C> {
    async fn newest(&self) -> RpcResult<u64> {
        Ok(head(&*self.chain).await?.header().height)
    }

    async fn add(&self, extensions: &Extensions, kind: Kind) -> RpcResult<U128> {
        let owner = Client::of(extensions);
        let next = self.newest().await?.saturating_add(1);
        Ok(self.filters.add(kind, owner, next, Instant::now()))
    }

    /// The logs that a filter means in new blocks.
    async fn new_logs(&self, filter: &Filter, new: RangeInclusive<u64>) -> RpcResult<Vec<LogJson>> {
        let (first, last) = self.heights(filter).await?.into_inner();
        // The range of a filter that names none is that of the newest block: what counts is what is new.
        let first = match filter.get_from_block() {
            Some(_) => first.max(*new.start()),
            None => *new.start(),
        };
        let last = match filter.get_to_block() {
            Some(_) => last.min(*new.end()),
            None => *new.end(),
        };
        self.find(query(filter)?, first..=last).await
    }

    /// What a filter of transactions has to tell.
    async fn new_transactions(
        &self,
        transactions: &Transactions,
    ) -> FilterChanges<TransactionJson> {
        if !transactions.full {
            return FilterChanges::Hashes(std::iter::from_fn(|| transactions.next()).collect());
        }
        let (mut told, mut bytes) = (vec![], 0);
        while bytes < MANY_TRANSACTION_BYTES
            && let Some(hash) = transactions.next()
        {
            // One that has been evicted meanwhile is told of no more.
            if let Some(transaction) = waited(&*self.chain, hash).await {
                bytes += transaction.raw().len();
                told.push(views::pending(&transaction));
            }
        }
        FilterChanges::Transactions(told)
    }

    /// The blocks that a filter means; the newest where it names none.
    async fn heights(&self, filter: &Filter) -> RpcResult<RangeInclusive<u64>> {
        let newest = self.newest().await?;
        let oldest = indexed(&*self.chain, |index| index.oldest()).await?;
        let height = |tag: Option<&BlockNumberOrTag>| match tag {
            Some(BlockNumberOrTag::Number(height)) => *height,
            Some(BlockNumberOrTag::Earliest) => oldest.unwrap_or_default(),
            _ => newest,
        };
        let (from, to) = filter.block_option.as_range();
        let (first, last) = (height(from), height(to));
        if first > last && to.is_some() {
            return Err(invalid(format!(
                "fromBlock {first} is above toBlock {last}"
            )));
        }
        Ok(first..=last.min(newest))
    }

    async fn find(&self, query: LogQuery, heights: RangeInclusive<u64>) -> RpcResult<Vec<LogJson>> {
        let found = indexed(&*self.chain, move |index| {
            index.logs(&query, heights, MAX_LOGS)
        });
        Ok(found.await?.iter().flat_map(views::logs).collect())
    }
}

/// What a filter asks for, whatever the blocks.
pub(crate) fn query(filter: &Filter) -> RpcResult<LogQuery> {
    let too_many = |what: &str| invalid(format!("{what}: at most {MAX_ALTERNATIVES} are taken"));
    let mut addresses: Vec<Address> = filter.address.iter().copied().collect();
    addresses.sort_unstable();
    if addresses.len() > MAX_ALTERNATIVES {
        return Err(too_many("address"));
    }
    let topics = filter.topics.each_ref().map(|place| {
        let mut topics: Vec<B256> = place.iter().copied().collect();
        topics.sort_unstable();
        topics
    });
    if topics.iter().any(|place| place.len() > MAX_ALTERNATIVES) {
        return Err(too_many("topics"));
    }
    Ok(LogQuery { addresses, topics })
}

/// Hashes of blocks.
fn hashes(index: &Index, heights: RangeInclusive<u64>) -> Result<Vec<B256>, IndexError> {
    let mut hashes = Vec::new();
    for height in heights {
        if let Some(header) = index.header(height)? {
            hashes.push(B256::from(block_hash(&header).0));
        }
    }
    Ok(hashes)
}
