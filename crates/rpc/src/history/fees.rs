//! What blocks cost: base fees, fullness and tips (`eth_feeHistory`).

use crate::index::{Index, IndexError};
use alloy_rpc_types_eth::FeeHistory;
use og_chain::{TransactionReceipt, fees::next_base_fee};
use og_types::Header;

/// The history of the `count` blocks up to `newest`, fewer where older ones are not kept.
pub(super) fn history(
    index: &Index,
    newest: u64,
    count: u64,
    percentiles: &[f64],
) -> Result<FeeHistory, IndexError> {
    let oldest = index.oldest()?.unwrap_or_default();
    let first = newest.saturating_sub(count - 1).max(oldest.min(newest));
    let mut history = FeeHistory {
        oldest_block: first,
        reward: (!percentiles.is_empty()).then(Vec::new),
        ..FeeHistory::default()
    };
    for height in first..=newest {
        let Some(header) = index.header(height)? else {
            break;
        };
        history
            .base_fee_per_gas
            .push(header.base_fee_per_gas.into());
        history
            .gas_used_ratio
            .push(header.gas_used as f64 / header.gas_limit.max(1) as f64);
        if let Some(rewards) = &mut history.reward {
            rewards.push(tips(&header, &index.receipts(height)?, percentiles));
        }
        if height == newest {
            history.base_fee_per_gas.push(next_base_fee(&header).into());
        }
    }
    Ok(history)
}

/// The tips that were paid at most for each percentile of a block's gas; zeros of an empty block.
fn tips(header: &Header, receipts: &[TransactionReceipt], percentiles: &[f64]) -> Vec<u128> {
    let base_fee = u128::from(header.base_fee_per_gas);
    let mut paid: Vec<(u128, u64)> = receipts
        .iter()
        .map(|receipt| {
            let tip = receipt.effective_gas_price.0.saturating_sub(base_fee);
            (tip, receipt.gas_used)
        })
        .collect();
    paid.sort_unstable();
    let of = |percentile: &f64| {
        let wanted = header.gas_used as f64 * percentile / 100.0;
        let mut gas = 0.0;
        let reached = paid.iter().find(|(_, used)| {
            gas += *used as f64;
            gas >= wanted
        });
        reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(of).collect()
}
