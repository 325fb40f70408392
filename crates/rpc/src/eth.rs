//! The `eth_`, `net_` and `web3_` methods: enough of Ethereum's for wallets and libraries.

use crate::{
    calls::Call,
    chain::Chain,
    error::{internal, server, transaction_error, with_code},
    index::{Index, IndexError},
    patience::await_final,
    states::States,
    views,
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2930::AccessListResult};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256, keccak256};
use alloy_rpc_types_eth::{
    Block as BlockJson, BlockOverrides, Transaction as TransactionJson,
    TransactionReceipt as ReceiptJson, TransactionRequest,
    simulate::{SimulatePayload, SimulatedBlock},
    state::StateOverride,
};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
    types::{ErrorObjectOwned, error::METHOD_NOT_FOUND_CODE},
};
use og_chain::{Account, Block, Key, fees::next_base_fee};
use og_types::BlockHash;
use serde_json::Value as Json;
use std::sync::Arc;

/// The tip per gas that is suggested: blocks are rarely full, and then any tip is enough.
const SUGGESTED_TIP: u64 = 1_000_000;
/// What `web3_clientVersion` says.
const CLIENT_VERSION: &str = concat!("og/", env!("CARGO_PKG_VERSION"));

/// Ethereum's methods.
#[rpc(server)]
pub(crate) trait EthereumApi {
    /// The EIP-155 chain id.
    #[method(name = "eth_chainId")]
    async fn chain_id(&self) -> RpcResult<U64>;

    /// The chain id in decimal.
    #[method(name = "net_version")]
    async fn network_version(&self) -> RpcResult<String>;

    /// Name and version of this program.
    #[method(name = "web3_clientVersion")]
    async fn client_version(&self) -> RpcResult<String>;

    /// Whether connections of other validators are taken.
    #[method(name = "net_listening")]
    async fn listening(&self) -> RpcResult<bool>;

    /// Validators connected to this one.
    #[method(name = "net_peerCount")]
    async fn peer_count(&self) -> RpcResult<U64>;

    /// Keccak-256 of some bytes.
    #[method(name = "web3_sha3")]
    async fn sha3(&self, bytes: Bytes) -> RpcResult<B256>;

    /// Whether the node is catching up: it answers only from final blocks, so there is nothing to wait for.
    #[method(name = "eth_syncing")]
    async fn syncing(&self) -> RpcResult<bool>;

    /// Accounts that the node signs for: none.
    #[method(name = "eth_accounts")]
    async fn accounts(&self) -> RpcResult<Vec<Address>>;

    /// Height of the newest final block.
    #[method(name = "eth_blockNumber")]
    async fn block_number(&self) -> RpcResult<U64>;

    /// A block by height or tag.
    #[method(name = "eth_getBlockByNumber")]
    async fn block_by_number(
        &self,
        number: BlockNumberOrTag,
        full: Option<bool>,
    ) -> RpcResult<Option<BlockJson>>;

    /// A block by hash.
    #[method(name = "eth_getBlockByHash")]
    async fn block_by_hash(&self, hash: B256, full: Option<bool>) -> RpcResult<Option<BlockJson>>;

    /// An account's balance.
    #[method(name = "eth_getBalance")]
    async fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256>;

    /// An account's nonce; of `pending`, the one after those that wait.
    #[method(name = "eth_getTransactionCount")]
    async fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64>;

    /// A contract's code.
    #[method(name = "eth_getCode")]
    async fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes>;

    /// A contract's storage slot.
    #[method(name = "eth_getStorageAt")]
    async fn storage(
        &self,
        address: Address,
        slot: U256,
        block: Option<BlockId>,
    ) -> RpcResult<B256>;

    /// Runs a call on the state after a block, perhaps changed, and forgets it.
    #[method(name = "eth_call")]
    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Bytes>;

    /// The gas that a transaction would need.
    #[method(name = "eth_estimateGas")]
    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<U64>;

    /// The accounts and slots that a transaction would access (EIP-2930), and the gas that it uses when it names them.
    #[method(name = "eth_createAccessList")]
    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> RpcResult<AccessListResult>;

    /// Runs blocks of calls that nobody signed, one on top of another.
    #[method(name = "eth_simulateV1")]
    async fn simulate(
        &self,
        payload: SimulatePayload,
        block: Option<BlockId>,
    ) -> RpcResult<Vec<SimulatedBlock>>;

    /// Ethereum's proofs, which this chain's state does not have: says where its own are.
    #[method(name = "eth_getProof")]
    async fn proof(&self, address: Address, slots: Json, block: Option<BlockId>)
    -> RpcResult<Json>;

    /// A price per gas that the next block takes.
    #[method(name = "eth_gasPrice")]
    async fn gas_price(&self) -> RpcResult<U256>;

    /// A tip per gas that the next block takes.
    #[method(name = "eth_maxPriorityFeePerGas")]
    async fn max_priority_fee_per_gas(&self) -> RpcResult<U256>;

    /// Hands a signed transaction to the mempool.
    #[method(name = "eth_sendRawTransaction")]
    async fn send_raw_transaction(&self, raw: Bytes) -> RpcResult<B256>;

    /// What a transaction did.
    #[method(name = "eth_getTransactionReceipt")]
    async fn transaction_receipt(&self, hash: B256) -> RpcResult<Option<ReceiptJson>>;

    /// A transaction, final or waiting.
    #[method(name = "eth_getTransactionByHash")]
    async fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<TransactionJson>>;
}

/// Answers Ethereum's methods for one validator.
pub(crate) struct Ethereum<C> {
    chain: Arc<C>,
    states: Arc<States<C>>,
}

impl<C: Chain> Ethereum<C> {
    pub(crate) fn new(states: Arc<States<C>>) -> Self {
        Self {
            chain: states.chain().clone(),
            states,
        }
    }
}

#[async_trait]
impl<C: Chain> EthereumApiServer for Ethereum<C> {
    async fn chain_id(&self) -> RpcResult<U64> {
        Ok(U64::from(self.chain.rules().chain_id()))
    }

    async fn network_version(&self) -> RpcResult<String> {
        Ok(self.chain.rules().chain_id().to_string())
    }

    async fn client_version(&self) -> RpcResult<String> {
        Ok(CLIENT_VERSION.to_owned())
    }

    async fn listening(&self) -> RpcResult<bool> {
        Ok(true)
    }

    async fn peer_count(&self) -> RpcResult<U64> {
        Ok(U64::from(self.chain.peers().unwrap_or_default()))
    }

    async fn sha3(&self, bytes: Bytes) -> RpcResult<B256> {
        Ok(keccak256(bytes))
    }

    async fn syncing(&self) -> RpcResult<bool> {
        Ok(false)
    }

    async fn accounts(&self) -> RpcResult<Vec<Address>> {
        Ok(vec![])
    }

    async fn block_number(&self) -> RpcResult<U64> {
        Ok(U64::from(head(&*self.chain).await?.header().height))
    }

    async fn block_by_number(
        &self,
        number: BlockNumberOrTag,
        full: Option<bool>,
    ) -> RpcResult<Option<BlockJson>> {
        self.block_json(full, number.into()).await
    }

    async fn block_by_hash(&self, hash: B256, full: Option<bool>) -> RpcResult<Option<BlockJson>> {
        self.block_json(full, hash.into()).await
    }

    async fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256> {
        Ok(self.account(address, block).await?.balance)
    }

    async fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64> {
        let is_pending = block == Some(BlockId::Number(BlockNumberOrTag::Pending));
        let nonce = self.account(address, block).await?.nonce;
        let waiting = self.chain.pending_nonce(&address).filter(|_| is_pending);
        Ok(U64::from(waiting.unwrap_or(nonce).max(nonce)))
    }

    async fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes> {
        let code_hash = self.account(address, block).await?.code_hash;
        if code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        // Code is named by its hash and never deleted, so a newer state gives the same.
        let code = self.states.value(Key::code(code_hash), None).await?;
        Ok(code.unwrap_or_default())
    }

    async fn storage(
        &self,
        address: Address,
        slot: U256,
        block: Option<BlockId>,
    ) -> RpcResult<B256> {
        let value = self
            .states
            .value(Key::storage(address, slot), block)
            .await?;
        Ok(value.map_or(B256::ZERO, |value| B256::left_padding_from(&value)))
    }

    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<Bytes> {
        let call = Call {
            request,
            block,
            state_overrides,
            block_overrides,
        };
        self.states.call(call).await
    }

    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> RpcResult<U64> {
        let call = Call {
            request,
            block,
            state_overrides,
            block_overrides,
        };
        self.states.estimate(call).await.map(U64::from)
    }

    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> RpcResult<AccessListResult> {
        let call = Call {
            request,
            block,
            state_overrides,
            block_overrides: None,
        };
        self.states.access_list(call).await
    }

    async fn simulate(
        &self,
        payload: SimulatePayload,
        block: Option<BlockId>,
    ) -> RpcResult<Vec<SimulatedBlock>> {
        self.states.simulate(payload, block).await
    }

    async fn proof(&self, _: Address, _: Json, _: Option<BlockId>) -> RpcResult<Json> {
        Err(with_code(
            METHOD_NOT_FOUND_CODE,
            "the state is no Merkle-Patricia trie: og_getProof gives proofs of this chain's own form",
        ))
    }

    async fn gas_price(&self) -> RpcResult<U256> {
        let base_fee = next_base_fee(head(&*self.chain).await?.header());
        Ok(U256::from(base_fee) + U256::from(SUGGESTED_TIP))
    }

    async fn max_priority_fee_per_gas(&self) -> RpcResult<U256> {
        Ok(U256::from(SUGGESTED_TIP))
    }

    async fn send_raw_transaction(&self, raw: Bytes) -> RpcResult<B256> {
        let taken = self.chain.submit_transaction(raw).await;
        let hash = taken.map_err(transaction_error)?;
        await_final(&*self.chain, hash).await;
        Ok(hash)
    }

    async fn transaction_receipt(&self, hash: B256) -> RpcResult<Option<ReceiptJson>> {
        indexed(&*self.chain, move |index| {
            let Some((block, position)) = index.transaction(&hash)? else {
                return Ok(None);
            };
            let receipts = index.receipts(block.header().height)?;
            Ok(views::receipt(&block, &receipts, position as usize))
        })
        .await
    }

    async fn transaction_by_hash(&self, hash: B256) -> RpcResult<Option<TransactionJson>> {
        // The mempool first: between the two a transaction can only move into a block.
        let waiting = self.chain.pending_transaction(&hash);
        let found = indexed(&*self.chain, move |index| index.transaction(&hash)).await?;
        let Some((block, position)) = found else {
            return Ok(waiting.map(|transaction| views::pending(&transaction)));
        };
        let transactions = block.decoded_transactions().map_err(|e| internal(&e))?;
        let position = position as usize;
        let transaction = transactions.get(position);
        Ok(transaction.map(|transaction| views::included(&block, position, transaction)))
    }
}

impl<C: Chain> Ethereum<C> {
    async fn block_json(&self, full: Option<bool>, block: BlockId) -> RpcResult<Option<BlockJson>> {
        let found = indexed(&*self.chain, move |index| {
            let Some(block) = found_block(index, block)? else {
                return Ok(None);
            };
            let receipts = index.receipts(block.header().height)?;
            Ok(Some((block, receipts)))
        })
        .await?;
        let Some((block, receipts)) = found else {
            return Ok(None);
        };
        views::block(self.chain.rules(), &block, &receipts, full.unwrap_or(false))
            .map(Some)
            .map_err(|error| internal(&error))
    }

    async fn account(&self, address: Address, block: Option<BlockId>) -> RpcResult<Account> {
        let value = self.states.value(Key::account(address), block).await?;
        Account::from_value(value.as_ref()).map_err(|error| internal(&error))
    }
}

/// The newest final block.
pub(crate) async fn head<C: Chain>(chain: &C) -> RpcResult<Block> {
    indexed(chain, Index::head)
        .await?
        .ok_or_else(|| server("no block is final yet: try again"))
}

/// The block that is meant, if it is there.
pub(crate) fn found_block(index: &Index, block: BlockId) -> Result<Option<Block>, IndexError> {
    match block {
        BlockId::Hash(hash) => index.block_by_hash(&BlockHash(hash.block_hash.0)),
        BlockId::Number(BlockNumberOrTag::Number(height)) => index.block(height),
        // Ethereum means the oldest that the node has.
        BlockId::Number(BlockNumberOrTag::Earliest) => {
            index.block(index.oldest()?.unwrap_or_default())
        }
        // A block is executed before it is proposed, so none is pending; every block is final.
        BlockId::Number(
            BlockNumberOrTag::Latest
            | BlockNumberOrTag::Safe
            | BlockNumberOrTag::Finalized
            | BlockNumberOrTag::Pending,
        ) => index.head(),
    }
}

/// Reads the index where reading may block.
pub(crate) async fn indexed<C: Chain, T: Send + 'static>(
    chain: &C,
    read: impl FnOnce(&Index) -> Result<T, IndexError> + Send + 'static,
) -> RpcResult<T> {
    let index = chain.index().clone();
    match tokio::task::spawn_blocking(move || read(&index)).await {
        Ok(result) => result.map_err(ErrorObjectOwned::from),
        Err(error) => Err(internal(&error)),
    }
}
