//! What a caller changes before its call: accounts, and the block around it.

use crate::error::{internal, invalid, server};
use alloy_primitives::Address;
use alloy_rpc_types_eth::{
    BlockOverrides,
    state::{AccountOverride, StateOverride},
};
use jsonrpsee::core::RpcResult;
use og_chain::Simulation;

/// Changes accounts.
pub(crate) fn override_state(
    simulation: &mut Simulation<'_>,
    overrides: &StateOverride,
) -> RpcResult<()> {
    for (address, account) in overrides {
        override_account(simulation, *address, account)?;
    }
    Ok(())
}

fn override_account(
    simulation: &mut Simulation<'_>,
    address: Address,
    change: &AccountOverride,
) -> RpcResult<()> {
    if change.move_precompile_to.is_some() {
        return Err(invalid(format!(
            "account {address}: movePrecompileToAddress is not supported, call the precompile where it is"
        )));
    }
    if change.balance.is_some() || change.nonce.is_some() {
        let mut account = simulation.account(address).map_err(|e| internal(&e))?;
        account.balance = change.balance.unwrap_or(account.balance);
        account.nonce = change.nonce.unwrap_or(account.nonce);
        simulation.set_account(address, &account);
    }
    if let Some(code) = &change.code {
        let set = simulation.set_code(address, code.clone());
        set.map_err(|e| internal(&e))?;
    }
    let slots = match (&change.state, &change.state_diff) {
        (Some(_), Some(_)) => {
            return Err(invalid(format!(
                "account {address} has both 'state' and 'stateDiff'"
            )));
        }
        (Some(state), None) => {
            simulation.clear_storage(address);
            Some(state)
        }
        (None, difference) => difference.as_ref(),
    };
    for (slot, value) in slots.into_iter().flatten() {
        simulation.set_storage(address, *slot, *value);
    }
    Ok(())
}

/// Changes what contracts see of the block.
pub(crate) fn override_block(
    simulation: &mut Simulation<'_>,
    overrides: &BlockOverrides,
) -> RpcResult<()> {
    let block = &mut simulation.environment;
    if overrides.beacon_root.is_some() {
        return Err(invalid("beaconRoot: this chain has no beacon roots"));
    }
    block.number = overrides.number.unwrap_or(block.number);
    block.difficulty = overrides.difficulty.unwrap_or(block.difficulty);
    block.timestamp = overrides
        .time
        .map_or(block.timestamp, alloy_primitives::U256::from);
    block.gas_limit = overrides.gas_limit.unwrap_or(block.gas_limit);
    block.beneficiary = overrides.coinbase.unwrap_or(block.beneficiary);
    block.prevrandao = overrides.random.or(block.prevrandao);
    if let Some(fee) = overrides.base_fee {
        block.basefee = u64::try_from(fee)
            .map_err(|_| server(format!("baseFeePerGas {fee} is beyond 64 bits")))?;
    }
    for (height, hash) in overrides.block_hash.iter().flatten() {
        simulation.set_block_hash(*height, *hash);
    }
    Ok(())
}
