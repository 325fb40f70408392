//! Blocks, transactions and receipts in Ethereum's JSON, so that its tools can read them.
//!
//! What Ethereum has and this chain has not is there with its neutral value: no uncles, no
//! difficulty, no nonce. A block's hash is that of our header and not of the JSON's fields.

use crate::index::FoundLogs;
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Header as EthereumHeader, Receipt, ReceiptEnvelope, ReceiptWithBloom,
    TxType, transaction::Recovered,
};
use alloy_primitives::{B256, Bloom, BloomInput, Log as EthereumLog, U256};
use alloy_rpc_types_eth::{
    Block as BlockJson, BlockTransactions, Header as HeaderJson, Log as LogJson,
    Transaction as TransactionJson, TransactionReceipt as ReceiptJson,
};
use og_chain::{Block, Log, Rules, Transaction, TransactionReceipt, block::BlockTransactionError};
use og_types::{BlockHash, Header};

const MS_PER_SECOND: u64 = 1000;

/// A block with its transactions in full, or by their hashes.
pub(crate) fn block(
    rules: &Rules,
    block: &Block,
    receipts: &[TransactionReceipt],
    full: bool,
) -> Result<BlockJson, BlockTransactionError> {
    let transactions = if full {
        let list = block.decoded_transactions()?.iter().enumerate();
        let list = list.map(|(index, one)| included(block, index, one));
        BlockTransactions::Full(list.collect())
    } else {
        let hashes = receipts.iter().map(|receipt| receipt.transaction_hash);
        BlockTransactions::Hashes(hashes.collect())
    };
    Ok(BlockJson {
        header: header(rules, block, receipts),
        uncles: Vec::new(),
        transactions,
        withdrawals: None,
    })
}

/// A block's header.
pub(crate) fn header(rules: &Rules, block: &Block, receipts: &[TransactionReceipt]) -> HeaderJson {
    let header = block.header();
    let seat = rules.validators().get(&header.proposer);
    HeaderJson {
        hash: hash(block),
        inner: EthereumHeader {
            parent_hash: B256::from(header.parent.0),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: seat.map(|seat| seat.fee_recipient).unwrap_or_default(),
            state_root: header.state_root,
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            logs_bloom: receipts
                .iter()
                .fold(Bloom::ZERO, |all, receipt| all | bloom(&receipt.logs)),
            number: header.height,
            gas_limit: header.gas_limit,
            gas_used: header.gas_used,
            timestamp: timestamp(header),
            base_fee_per_gas: Some(header.base_fee_per_gas),
            ..EthereumHeader::default()
        },
        total_difficulty: None,
        size: Some(U256::from(block.bytes().len())),
    }
}

fn hash(block: &Block) -> B256 {
    B256::from(block.hash().0)
}

/// Seconds since the Unix epoch, as the EVM sees them.
pub(crate) fn timestamp(header: &Header) -> u64 {
    header.timestamp_ms / MS_PER_SECOND
}

fn bloom(logs: &[Log]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        for topic in &log.topics {
            bloom.accrue(BloomInput::Raw(topic.as_slice()));
        }
    }
    bloom
}

/// The transaction at `index` of a block.
pub(crate) fn included(block: &Block, index: usize, transaction: &Transaction) -> TransactionJson {
    let base_fee = block.header().base_fee_per_gas;
    TransactionJson {
        block_hash: Some(hash(block)),
        block_number: Some(block.header().height),
        transaction_index: Some(index as u64),
        effective_gas_price: Some(transaction.effective_gas_price(base_fee)),
        block_timestamp: Some(timestamp(block.header())),
        ..pending(transaction)
    }
}

/// A transaction that waits.
pub(crate) fn pending(transaction: &Transaction) -> TransactionJson {
    TransactionJson {
        inner: Recovered::new_unchecked(transaction.envelope().clone(), transaction.sender()),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        // What it will pay is not known: Ethereum's nodes show the most that it may be.
        effective_gas_price: Some(transaction.max_fee_per_gas()),
        block_timestamp: None,
    }
}

/// The receipt at `index` of a block's receipts.
pub(crate) fn receipt(
    block: &Block,
    receipts: &[TransactionReceipt],
    index: usize,
) -> Option<ReceiptJson> {
    let receipt = receipts.get(index)?;
    let logs_before: usize = receipts.iter().take(index).map(|one| one.logs.len()).sum();
    let logs = receipt.logs.iter().enumerate();
    let logs = logs.map(|(position, one)| LogJson {
        transaction_hash: Some(receipt.transaction_hash),
        transaction_index: Some(receipt.transaction_index.into()),
        ..log(block.header(), block.hash(), one, logs_before + position)
    });
    let consensus = ReceiptWithBloom {
        receipt: Receipt {
            status: receipt.success.into(),
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: logs.collect(),
        },
        logs_bloom: bloom(&receipt.logs),
    };
    Some(ReceiptJson {
        inner: envelope(receipt.transaction_type, consensus)?,
        transaction_hash: receipt.transaction_hash,
        transaction_index: Some(receipt.transaction_index.into()),
        block_hash: Some(hash(block)),
        block_number: Some(block.header().height),
        gas_used: receipt.gas_used,
        effective_gas_price: receipt.effective_gas_price.0,
        blob_gas_used: None,
        blob_gas_price: None,
        from: receipt.from,
        to: receipt.to,
        contract_address: receipt.contract_address,
    })
}

fn envelope(
    transaction_type: u8,
    receipt: ReceiptWithBloom<Receipt<LogJson>>,
) -> Option<ReceiptEnvelope<LogJson>> {
    Some(match TxType::try_from(transaction_type).ok()? {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    })
}

/// All logs of a block.
pub(crate) fn block_logs(block: &Block, receipts: &[TransactionReceipt]) -> Vec<LogJson> {
    let logs = receipts.iter().flat_map(|receipt| {
        let logs = receipt.logs.iter();
        logs.map(move |one| (receipt, one))
    });
    logs.enumerate()
        .map(|(position, (receipt, one))| LogJson {
            transaction_hash: Some(receipt.transaction_hash),
            transaction_index: Some(receipt.transaction_index.into()),
            ..log(block.header(), block.hash(), one, position)
        })
        .collect()
}

/// A log, of a transaction that is yet to be named.
fn log(header: &Header, hash: BlockHash, log: &Log, position: usize) -> LogJson {
    LogJson {
        inner: EthereumLog::new_unchecked(log.address, log.topics.clone(), log.data.clone()),
        block_hash: Some(B256::from(hash.0)),
        block_number: Some(header.height),
        block_timestamp: Some(timestamp(header)),
        transaction_hash: None,
        transaction_index: None,
        log_index: Some(position as u64),
        removed: false,
    }
}

/// Logs that were found.
pub(crate) fn logs(found: &FoundLogs) -> impl Iterator<Item = LogJson> {
    found.logs.iter().map(|one| LogJson {
        transaction_hash: Some(one.transaction_hash),
        transaction_index: Some(one.transaction_index.into()),
        ..log(&found.header, found.hash, &one.log, one.position)
    })
}
