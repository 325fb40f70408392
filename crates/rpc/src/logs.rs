//! The `eth_` methods about logs, and filters that tell what is new since they were asked.

mod filters;

use crate::{
    chain::Chain,
    error::{invalid, server},
    eth::{found_block, head, indexed},
    index::{Index, IndexError, LogQuery},
    views,
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, U64};
use alloy_rpc_types_eth::{
    Filter, FilterBlockOption, FilterChanges, FilterId, Log as LogJson,
    PendingTransactionFilterKind, Transaction as TransactionJson,
};
use filters::{Filters, Kind};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use std::{ops::RangeInclusive, sync::Arc, time::Instant};

/// Most logs of one answer.
const MAX_LOGS: usize = 10_000;
/// Most addresses, and most topics of one place, in one question.
const MAX_ALTERNATIVES: usize = 1_000;
/// Most blocks that a filter of blocks tells of at once.
const MAX_BLOCKS: u64 = 10_000;

/// Methods about logs.
#[rpc(server)]
pub(crate) trait LogsApi {
    /// Logs of a range of blocks, or of one block by its hash.
    #[method(name = "eth_getLogs")]
    async fn logs(&self, filter: Filter) -> RpcResult<Vec<LogJson>>;

    /// A filter of logs in coming blocks.
    #[method(name = "eth_newFilter")]
    async fn new_filter(&self, filter: Filter) -> RpcResult<U64>;

    /// A filter of coming blocks.
    #[method(name = "eth_newBlockFilter")]
    async fn new_block_filter(&self) -> RpcResult<U64>;

    /// A filter of coming transactions.
    #[method(name = "eth_newPendingTransactionFilter")]
    async fn new_pending_filter(
        &self,
        kind: Option<PendingTransactionFilterKind>,
    ) -> RpcResult<U64>;

    /// What is new since a filter was made or last asked.
    #[method(name = "eth_getFilterChanges")]
    async fn filter_changes(&self, id: FilterId) -> RpcResult<FilterChanges<TransactionJson>>;

    /// All logs that a filter means, also those that were told of before.
    #[method(name = "eth_getFilterLogs")]
    async fn filter_logs(&self, id: FilterId) -> RpcResult<Vec<LogJson>>;

    /// Forgets a filter.
    #[method(name = "eth_uninstallFilter")]
    async fn uninstall_filter(&self, id: FilterId) -> RpcResult<bool>;
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

    async fn new_filter(&self, filter: Filter) -> RpcResult<U64> {
        query(&filter)?;
        if filter.block_option.is_block_hash() {
            return Err(invalid("a filter of coming blocks takes no blockHash"));
        }
        self.add(Kind::Logs(Box::new(filter))).await
    }

    async fn new_block_filter(&self) -> RpcResult<U64> {
        self.add(Kind::Blocks).await
    }

    async fn new_pending_filter(
        &self,
        _kind: Option<PendingTransactionFilterKind>,
    ) -> RpcResult<U64> {
        Err(server(
            "waiting transactions cannot be filtered yet: ask eth_getTransactionByHash for those that you sent",
        ))
    }

    async fn filter_changes(&self, id: FilterId) -> RpcResult<FilterChanges<TransactionJson>> {
        let newest = self.newest().await?;
        let (kind, next) = self.filters.get(&id, Instant::now())?;
        if next > newest {
            return Ok(FilterChanges::Empty);
        }
        let changes = match kind {
            Kind::Logs(filter) => {
                let (first, last) = self.heights(&filter).await?.into_inner();
                // The range of a filter that names none is that of the newest block: what counts is what is new.
                let first = match filter.get_from_block() {
                    Some(_) => first.max(next),
                    None => next,
                };
                let last = match filter.get_to_block() {
                    Some(_) => last.min(newest),
                    None => newest,
                };
                let logs = self.find(query(&filter)?, first..=last).await?;
                FilterChanges::Logs(logs)
            }
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

    async fn filter_logs(&self, id: FilterId) -> RpcResult<Vec<LogJson>> {
        match self.filters.get(&id, Instant::now())?.0 {
            Kind::Logs(filter) => {
                let heights = self.heights(&filter).await?;
                self.find(query(&filter)?, heights).await
            }
            Kind::Blocks => Err(server("filter not found")),
        }
    }

    async fn uninstall_filter(&self, id: FilterId) -> RpcResult<bool> {
        Ok(self.filters.remove(&id))
    }
}

impl<C: Chain> Logs<C> {
    async fn newest(&self) -> RpcResult<u64> {
        Ok(head(&*self.chain).await?.header().height)
    }

    async fn add(&self, kind: Kind) -> RpcResult<U64> {
        let next = self.newest().await?.saturating_add(1);
        Ok(U64::from(self.filters.add(kind, next, Instant::now())))
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
fn query(filter: &Filter) -> RpcResult<LogQuery> {
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
        if let Some(block) = index.block(height)? {
            hashes.push(B256::from(block.hash().0));
        }
    }
    Ok(hashes)
}
