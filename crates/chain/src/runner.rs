//! Running a block's transactions one after another, and what their receipts say.

use crate::{
    evm::{Machine, RunError, block_environment, configuration, machine, run},
    receipts::{Log, TransactionReceipt},
    rules::Rules,
    transaction::Transaction,
    view::View,
};
use alloy_primitives::Address;
use og_types::{Amount, Header};
use revm::context::result::ExecutionResult;

/// Runs transactions one after another and collects their receipts.
pub(crate) struct Runner<'view, 'cache> {
    machine: Machine<'view, 'cache>,
    base_fee_per_gas: u64,
    gas_left: u64,
    gas_used: u64,
    receipts: Vec<TransactionReceipt>,
}

/// Why a transaction is not part of a block.
pub(crate) enum TransactionRunError {
    /// It may use more gas than the block has left.
    Gas { needed: u64, left: u64 },
    /// It is not valid in this state, or the state could not be read.
    Run(RunError),
}

impl<'view, 'cache> Runner<'view, 'cache> {
    pub(crate) fn new(
        rules: &Rules,
        header: &Header,
        fee_recipient: Address,
        view: &'view mut View<'cache>,
    ) -> Self {
        Self {
            machine: machine(
                view,
                configuration(rules.chain_id()),
                block_environment(header, fee_recipient),
                (),
            ),
            base_fee_per_gas: header.base_fee_per_gas,
            gas_left: header.gas_limit,
            gas_used: 0,
            receipts: Vec::new(),
        }
    }

    /// Gas that transactions may still ask for.
    pub(crate) const fn gas_left(&self) -> u64 {
        self.gas_left
    }

    pub(crate) fn run(&mut self, transaction: &Transaction) -> Result<(), TransactionRunError> {
        if transaction.gas_limit() > self.gas_left {
            return Err(TransactionRunError::Gas {
                needed: transaction.gas_limit(),
                left: self.gas_left,
            });
        }
        let result =
            run(&mut self.machine, transaction.to_evm()).map_err(TransactionRunError::Run)?;
        let gas_used = result.tx_gas_used();
        self.gas_left = self.gas_left.saturating_sub(gas_used);
        self.gas_used = self.gas_used.saturating_add(gas_used);
        let receipt = self.receipt(transaction, result);
        self.receipts.push(receipt);
        Ok(())
    }

    fn receipt(&self, transaction: &Transaction, result: ExecutionResult) -> TransactionReceipt {
        TransactionReceipt {
            transaction_hash: transaction.hash(),
            transaction_index: u32::try_from(self.receipts.len()).unwrap_or(u32::MAX),
            transaction_type: transaction.transaction_type(),
            from: transaction.sender(),
            to: transaction.to(),
            contract_address: result.created_address(),
            success: result.is_success(),
            gas_used: result.tx_gas_used(),
            cumulative_gas_used: self.gas_used,
            effective_gas_price: Amount(transaction.effective_gas_price(self.base_fee_per_gas)),
            logs: logs(result),
        }
    }

    pub(crate) fn finish(self) -> (Vec<TransactionReceipt>, u64) {
        (self.receipts, self.gas_used)
    }
}

/// The events of a transaction; one that failed has none.
fn logs(result: ExecutionResult) -> Vec<Log> {
    if !result.is_success() {
        return Vec::new();
    }
    result
        .into_logs()
        .into_iter()
        .map(|log| {
            let (topics, data) = log.data.split();
            Log {
                address: log.address,
                topics,
                data,
            }
        })
        .collect()
}
