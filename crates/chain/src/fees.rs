//! The base fee: EIP-1559 with Ethereum's parameters, kept within 64 bits.

use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use og_types::Header;

/// Highest base fee per gas: one whole token. It keeps the rule's arithmetic within 64 bits.
pub const MAX_BASE_FEE_PER_GAS: u64 = 1_000_000_000_000_000_000;

/// The base fee per gas of the block after `parent`. It is burnt.
pub fn next_base_fee(parent: &Header) -> u64 {
    calc_next_block_base_fee(
        parent.gas_used.min(parent.gas_limit),
        parent.gas_limit,
        parent.base_fee_per_gas.min(MAX_BASE_FEE_PER_GAS),
        BaseFeeParams::ethereum(),
    )
    .min(MAX_BASE_FEE_PER_GAS)
}
