//! Rows of 8-bit elements: groups of 32 that share an unsigned multiplier.

use super::{EncodedRow, power, unit_for};
use crate::tensor::{Tensor, TensorError};
use og_program::matrix::GROUP;

/// Elements are within ±127.
const LIMIT: f32 = 127.0;
/// Adding and subtracting 1.5 · 2^23 rounds a small float to the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// Encodes a row with multipliers up to `largest`; with the given unit, or the best of a few.
pub(super) fn encode(
    tensor: &Tensor<'_>,
    row: usize,
    factor: &(dyn Fn(usize) -> f32 + Sync),
    largest: u32,
    unit: Option<i32>,
) -> Result<EncodedRow, TensorError> {
    let mut values = vec![0.0; tensor.columns().next_multiple_of(GROUP)];
    tensor.read_row(row, &mut values[..tensor.columns()])?;
    for (column, value) in values.iter_mut().enumerate() {
        *value *= factor(column);
    }
    if let Some(unit) = unit {
        return Ok(with_unit(&values, unit, largest));
    }
    let greatest = values.iter().fold(0_f32, |most, x| most.max(x.abs()));
    let unit = unit_for(greatest, LIMIT * largest as f32);
    let fits = with_unit(&values, unit, largest);
    // Half the unit clips the greatest weights but is finer for all others: worth a look if it clips little.
    let clipped = f64::from(greatest) / (f64::from(LIMIT) * f64::from(largest) * power(unit - 1));
    if clipped < 1.25 {
        let finer = with_unit(&values, unit - 1, largest);
        if finer.error < fits.error {
            return Ok(finer);
        }
    }
    Ok(fits)
}

fn with_unit(values: &[f32], unit: i32, largest: u32) -> EncodedRow {
    let groups = values.len() / GROUP;
    let mut row = EncodedRow {
        unit,
        multipliers: Vec::with_capacity(groups),
        minimums: vec![],
        quants: vec![0; values.len()],
        sum: 0,
        error: 0.0,
        square: 0.0,
    };
    let size = power(unit) as f32;
    let mut best = [0_i8; GROUP];
    for (group, quants) in values
        .chunks_exact(GROUP)
        .zip(row.quants.chunks_exact_mut(GROUP))
    {
        let greatest = group.iter().fold(0_f32, |most, x| most.max(x.abs()));
        let fits = ((greatest / (LIMIT * size)).ceil()).clamp(1.0, largest as f32);
        let mut error = round_group(group, fits * size, &mut best);
        let mut multiplier = fits;
        if fits > 1.0 {
            let mut other = [0_i8; GROUP];
            let finer = round_group(group, (fits - 1.0) * size, &mut other);
            if finer < error {
                (error, multiplier, best) = (finer, fits - 1.0, other);
            }
        }
        let sum: u32 = best.iter().map(|q| u32::from(q.unsigned_abs())).sum();
        row.sum += u64::from(sum) * multiplier as u64;
        row.error += f64::from(error);
        row.square += f64::from(group.iter().map(|x| x * x).sum::<f32>());
        row.multipliers.push(multiplier as u8);
        for (to, q) in quants.iter_mut().zip(best) {
            *to = q as u8;
        }
    }
    row
}

/// Rounds a group to multiples of `step`; gives the sum of squared errors.
fn round_group(group: &[f32], step: f32, quants: &mut [i8; GROUP]) -> f32 {
    let inverse = 1.0 / step;
    let mut error = 0.0;
    for (x, quant) in group.iter().zip(quants) {
        let rounded = ((x * inverse).clamp(-LIMIT, LIMIT) + ROUND) - ROUND;
        let difference = x - rounded * step;
        error += difference * difference;
        *quant = rounded as i8;
    }
    error
}
