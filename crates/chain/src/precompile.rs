//! The native-move precompile: how the OPG contract moves coin from one account to another.
//!
//! It takes `abi.encode(from, to, amount)` and answers one word, 1. It obeys the contract at
//! [`OPG`] alone, called by a plain `CALL` without value outside static calls: only there does
//! `CALLER` name the contract whose code decided about the move. Anything else reverts with a
//! reason and changes nothing. On a chain without that contract it is out of reach.
//!
//! Gas is that of a `CALL` with value to `to` (EIP-150, 161, 2929) without the stipend, because no
//! code runs there, and access to `from`.

use crate::{contracts::OPG, transaction::EVM_FORK};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::{Revert, SolError as _, SolValue as _};
use revm::{
    Database,
    context::{Cfg, ContextError, ContextTr, JournalTr as _},
    context_interface::journaled_state::JournalLoadError,
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::{AddressSet, hardfork::SpecId},
};

/// Where the precompile stands on every chain.
pub const NATIVE_MOVE: Address = address!("0x0000000000000000000000000000000000000a10");

const INPUT_BYTES: usize = 96;

/// Ethereum's precompiles and the native move.
#[derive(Debug)]
pub(crate) struct Precompiles {
    ethereum: EthPrecompiles,
    addresses: AddressSet,
}

impl Precompiles {
    pub(crate) fn new() -> Self {
        let ethereum = EthPrecompiles::new(EVM_FORK);
        let mut addresses = ethereum.warm_addresses().clone();
        addresses.insert(NATIVE_MOVE);
        Self {
            ethereum,
            addresses,
        }
    }
}

impl<C> PrecompileProvider<C> for Precompiles
where
    C: ContextTr<Cfg: Cfg<Spec = SpecId>>,
{
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: SpecId) -> bool {
        // Every block runs under the one fork that `new` knows.
        false
    }

    fn run(
        &mut self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if inputs.bytecode_address == NATIVE_MOVE {
            return Ok(Some(native_move(context, inputs)));
        }
        PrecompileProvider::<C>::run(&mut self.ethereum, context, inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}

/// Why coin does not move.
enum Failure<E> {
    /// The caller may not, or the balance is too low: reverts with this reason.
    Refused(&'static str),
    OutOfGas,
    /// The state could not be read: there is no result at all.
    Database(E),
}

type DatabaseError<C> = <<C as ContextTr>::Db as Database>::Error;

fn native_move<C: ContextTr>(context: &mut C, inputs: &CallInputs) -> InterpreterResult {
    let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
    let (result, output) = match try_move(context, inputs, &mut gas) {
        Ok(()) => {
            let answer = B256::from(U256::ONE);
            (InstructionResult::Return, answer.into())
        }
        Err(Failure::Refused(reason)) => {
            let reason = Revert::from(reason).abi_encode();
            (InstructionResult::Revert, reason.into())
        }
        Err(Failure::OutOfGas) => {
            gas.spend_all();
            (InstructionResult::PrecompileOOG, Bytes::new())
        }
        Err(Failure::Database(error)) => {
            *context.error() = Err(ContextError::Db(error));
            (InstructionResult::FatalExternalError, Bytes::new())
        }
    };
    InterpreterResult::new(result, output, gas)
}

fn try_move<C: ContextTr>(
    context: &mut C,
    inputs: &CallInputs,
    gas: &mut Gas,
) -> Result<(), Failure<DatabaseError<C>>> {
    check_caller(inputs).map_err(Failure::Refused)?;
    let (from, to, amount) =
        decode(&inputs.input.as_bytes(context)).ok_or(Failure::Refused("malformed input"))?;
    access(context, from, gas)?;
    let creates = access(context, to, gas)? && !amount.is_zero();
    let prices = context.cfg().gas_params();
    if !amount.is_zero() {
        let value = prices.transfer_value_cost();
        charge(gas, value.saturating_sub(prices.call_stipend()))?;
    }
    if creates {
        charge(gas, prices.new_account_cost(true, true))?;
    }
    // What a failed transfer has begun is undone with everything else of this call.
    match context.journal_mut().transfer_loaded(from, to, amount) {
        None => Ok(()),
        Some(_) => Err(Failure::Refused("balance is too low")),
    }
}

fn check_caller(inputs: &CallInputs) -> Result<(), &'static str> {
    if inputs.scheme != CallScheme::Call || inputs.is_static {
        return Err("only by a plain call that may change state");
    }
    if inputs.caller != OPG {
        return Err("only by the OPG contract");
    }
    if inputs.transfers_value() {
        return Err("takes no value");
    }
    Ok(())
}

/// Exactly three words, the first two of them addresses.
fn decode(input: &[u8]) -> Option<(Address, Address, U256)> {
    if input.len() != INPUT_BYTES {
        return None;
    }
    <(Address, Address, U256)>::abi_decode_params_validate(input).ok()
}

/// Loads an account and pays for that (EIP-2929); whether the account is empty (EIP-161).
fn access<C: ContextTr>(
    context: &mut C,
    address: Address,
    gas: &mut Gas,
) -> Result<bool, Failure<DatabaseError<C>>> {
    let prices = context.cfg().gas_params();
    let cold = prices.cold_account_additional_cost();
    charge(gas, prices.warm_storage_read_cost())?;
    let skip_cold = gas.remaining() < cold;
    let account = context
        .journal_mut()
        .load_account_info_skip_cold_load(address, false, skip_cold)
        .map_err(|error| match error {
            JournalLoadError::DBError(error) => Failure::Database(error),
            JournalLoadError::ColdLoadSkipped => Failure::OutOfGas,
        })?;
    if account.is_cold {
        charge(gas, cold)?;
    }
    Ok(account.is_empty)
}

fn charge<E>(gas: &mut Gas, cost: u64) -> Result<(), Failure<E>> {
    if gas.record_regular_cost(cost) {
        Ok(())
    } else {
        Err(Failure::OutOfGas)
    }
}
