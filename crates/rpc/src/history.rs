//! The `eth_` methods about what is in final blocks: receipts and transactions by block, and what blocks cost.

mod fees;

use crate::{
    chain::Chain,
    error::{internal, invalid},
    eth::{found_block, indexed},
    views,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::{
    Block as BlockJson, FeeHistory, Transaction as TransactionJson,
    TransactionReceipt as ReceiptJson,
};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use og_chain::{Block, TransactionReceipt};
use std::sync::Arc;

/// Most blocks that one history of fees is about; who asks for more gets these.
const MAX_FEE_BLOCKS: u64 = 1024;
/// Most percentiles of one history of fees.
const MAX_PERCENTILES: usize = 100;

/// Methods about blocks.
#[rpc(server)]
pub(crate) trait HistoryApi {
    /// What all transactions of a block did.
    #[method(name = "eth_getBlockReceipts")]
    async fn block_receipts(&self, block: BlockId) -> RpcResult<Option<Vec<ReceiptJson>>>;

    /// How many transactions a block has, by height or tag.
    #[method(name = "eth_getBlockTransactionCountByNumber")]
    async fn count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    /// How many transactions a block has, by hash.
    #[method(name = "eth_getBlockTransactionCountByHash")]
    async fn count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;

    /// A transaction by its place in a block.
    #[method(name = "eth_getTransactionByBlockNumberAndIndex")]
    async fn transaction_by_number(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<TransactionJson>>;

    /// A transaction by its place in a block.
    #[method(name = "eth_getTransactionByBlockHashAndIndex")]
    async fn transaction_by_block_hash(
        &self,
        hash: B256,
        index: U64,
    ) -> RpcResult<Option<TransactionJson>>;

    /// The signed bytes of a transaction, final or waiting (EIP-2718).
    #[method(name = "eth_getRawTransactionByHash")]
    async fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>>;

    /// The signed bytes of a transaction by its place in a block (EIP-2718).
    #[method(name = "eth_getRawTransactionByBlockNumberAndIndex")]
    async fn raw_transaction_by_number(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<Bytes>>;

    /// The signed bytes of a transaction by its place in a block (EIP-2718).
    #[method(name = "eth_getRawTransactionByBlockHashAndIndex")]
    async fn raw_transaction_by_block_hash(
        &self,
        hash: B256,
        index: U64,
    ) -> RpcResult<Option<Bytes>>;

    /// Uncles of a block: there are none.
    #[method(name = "eth_getUncleCountByBlockNumber")]
    async fn uncles_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    /// Uncles of a block: there are none.
    #[method(name = "eth_getUncleCountByBlockHash")]
    async fn uncles_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;

    /// An uncle: there are none.
    #[method(name = "eth_getUncleByBlockNumberAndIndex")]
    async fn uncle_by_number(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<BlockJson>>;

    /// An uncle: there are none.
    #[method(name = "eth_getUncleByBlockHashAndIndex")]
    async fn uncle_by_hash(&self, hash: B256, index: U64) -> RpcResult<Option<BlockJson>>;

    /// Base fees, fullness and tips of the `count` blocks up to `newest`.
    #[method(name = "eth_feeHistory")]
    async fn fee_history(
        &self,
        count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory>;
}

/// Answers the methods about blocks.
pub(crate) struct History<C>(pub(crate) Arc<C>);

#[async_trait]
impl<C: Chain> HistoryApiServer for History<C> {
    async fn block_receipts(&self, block: BlockId) -> RpcResult<Option<Vec<ReceiptJson>>> {
        let found = self.block_and_receipts(block).await?;
        Ok(found.map(|(block, receipts)| {
            let each = 0..receipts.len();
            each.filter_map(|index| views::receipt(&block, &receipts, index))
                .collect()
        }))
    }

    async fn count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        self.count(number.into()).await
    }

    async fn count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        self.count(hash.into()).await
    }

    async fn transaction_by_number(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<TransactionJson>> {
        self.transaction(number.into(), index).await
    }

    async fn transaction_by_block_hash(
        &self,
        hash: B256,
        index: U64,
    ) -> RpcResult<Option<TransactionJson>> {
        self.transaction(hash.into(), index).await
    }

    async fn raw_transaction(&self, hash: B256) -> RpcResult<Option<Bytes>> {
        // The mempool first: between the two a transaction can only move into a block.
        if let Some(waiting) = self.0.pending_transaction(&hash) {
            return Ok(Some(waiting.raw().clone()));
        }
        let found = indexed(&*self.0, move |index| index.transaction(&hash)).await?;
        Ok(
            found
                .and_then(|(block, position)| block.transactions().get(position as usize).cloned()),
        )
    }

    async fn raw_transaction_by_number(
        &self,
        number: BlockNumberOrTag,
        index: U64,
    ) -> RpcResult<Option<Bytes>> {
        self.raw(number.into(), index).await
    }

    async fn raw_transaction_by_block_hash(
        &self,
        hash: B256,
        index: U64,
    ) -> RpcResult<Option<Bytes>> {
        self.raw(hash.into(), index).await
    }

    async fn uncles_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        Ok(self.count(number.into()).await?.map(|_| U64::ZERO))
    }

    async fn uncles_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        Ok(self.count(hash.into()).await?.map(|_| U64::ZERO))
    }

    async fn uncle_by_number(
        &self,
        _number: BlockNumberOrTag,
        _index: U64,
    ) -> RpcResult<Option<BlockJson>> {
        Ok(None)
    }

    async fn uncle_by_hash(&self, _hash: B256, _index: U64) -> RpcResult<Option<BlockJson>> {
        Ok(None)
    }

    async fn fee_history(
        &self,
        count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory> {
        let percentiles = percentiles.unwrap_or_default();
        let rise = percentiles.is_sorted_by(|a, b| a <= b);
        let within = percentiles.iter().all(|one| (0.0..=100.0).contains(one));
        if percentiles.len() > MAX_PERCENTILES || !rise || !within {
            return Err(invalid(format!(
                "rewardPercentiles: at most {MAX_PERCENTILES} numbers from 0 to 100, ascending"
            )));
        }
        let found = indexed(&*self.0, move |index| found_block(index, newest.into())).await?;
        let newest = found
            .ok_or_else(|| invalid("newestBlock: there is no such block yet: ask for latest"))?;
        let newest = newest.header().height;
        let count = count.to::<u64>().min(MAX_FEE_BLOCKS);
        if count == 0 {
            return Ok(FeeHistory::default());
        }
        indexed(&*self.0, move |index| {
            fees::history(index, newest, count, &percentiles)
        })
        .await
    }
}

impl<C: Chain> History<C> {
    async fn block_and_receipts(
        &self,
        block: BlockId,
    ) -> RpcResult<Option<(Block, Vec<TransactionReceipt>)>> {
        indexed(&*self.0, move |index| {
            let Some(block) = found_block(index, block)? else {
                return Ok(None);
            };
            let receipts = index.receipts(block.header().height)?;
            Ok(Some((block, receipts)))
        })
        .await
    }

    async fn count(&self, block: BlockId) -> RpcResult<Option<U64>> {
        let found = indexed(&*self.0, move |index| found_block(index, block)).await?;
        Ok(found.map(|block| U64::from(block.transactions().len())))
    }

    async fn transaction(&self, block: BlockId, index: U64) -> RpcResult<Option<TransactionJson>> {
        let Some(block) = indexed(&*self.0, move |index| found_block(index, block)).await? else {
            return Ok(None);
        };
        let transactions = block.decoded_transactions().map_err(|e| internal(&e))?;
        let Ok(position) = usize::try_from(index.to::<u64>()) else {
            return Ok(None);
        };
        let transaction = transactions.get(position);
        Ok(transaction.map(|transaction| views::included(&block, position, transaction)))
    }

    async fn raw(&self, block: BlockId, index: U64) -> RpcResult<Option<Bytes>> {
        let found = indexed(&*self.0, move |index| found_block(index, block)).await?;
        Ok(found.and_then(|block| {
            let position = usize::try_from(index.to::<u64>()).ok()?;
            block.transactions().get(position).cloned()
        }))
    }
}
