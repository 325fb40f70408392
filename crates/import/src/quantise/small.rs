//! Rows that come in 4 or 6 bits: their elements are kept, scales become 8-bit multipliers.

use super::{EncodedRow, power, unit_for};
use crate::tensor::{Tensor, TensorError, blocks};
use og_program::matrix::{Encoding, GROUP};

/// Minimums that keep folded elements within 16 bits.
const LARGEST_MINIMUM: f64 = 28_000.0;

/// A group before its scale is an integer: element `i` is `scale · quants[i] - minimum`, `scale ≥ 0`.
struct Group {
    quants: Vec<u8>,
    scale: f64,
    minimum: f64,
}

/// Encodes a row with the given unit or the best; `None` if it cannot be written so and needs 8 bits.
pub(super) fn encode(
    tensor: &Tensor<'_>,
    row: usize,
    factor: f32,
    encoding: Encoding,
    unit: Option<i32>,
) -> Result<Option<EncodedRow>, TensorError> {
    // Also finds what is not finite.
    let mut values = vec![0.0; tensor.columns()];
    tensor.read_row(row, &mut values)?;
    let groups = groups_of(tensor, row, f64::from(factor), encoding);
    let greatest = groups.iter().fold(0_f64, |most, g| most.max(g.scale));
    let unit = unit.unwrap_or_else(|| unit_for(greatest as f32, 255.0));
    let deepest = groups.iter().fold(0_f64, |most, g| most.max(g.minimum));
    let bounded =
        deepest / power(unit) <= LARGEST_MINIMUM && groups.iter().all(|g| g.minimum >= 0.0);
    if encoding == Encoding::Int4 && !bounded {
        return Ok(None);
    }
    let mut encoded = EncodedRow {
        unit,
        multipliers: Vec::with_capacity(groups.len()),
        minimums: vec![],
        quants: Vec::with_capacity(values.len().next_multiple_of(GROUP)),
        sum: 0,
        error: 0.0,
        square: values.iter().map(|x| f64::from(x * factor).powi(2)).sum(),
    };
    for group in &groups {
        match encoding {
            Encoding::Int4 => push_4(&mut encoded, group, power(unit)),
            _ => push_6(&mut encoded, group, power(unit)),
        }
    }
    Ok(Some(encoded))
}

fn groups_of(tensor: &Tensor<'_>, row: usize, factor: f64, encoding: Encoding) -> Vec<Group> {
    let Some((kind, bytes)) = tensor.stored_row(row) else {
        return vec![];
    };
    let top = if encoding == Encoding::Int4 { 15 } else { 63 };
    let mut groups = vec![];
    for bytes in bytes.chunks_exact(kind.block_bytes()) {
        let block = blocks::unpack(kind, bytes);
        let quants = block.quants[..block.elements].chunks(block.group);
        for ((quants, scale), minimum) in quants.zip(block.scales).zip(block.minimums) {
            let (scale, minimum) = (f64::from(scale) * factor, f64::from(minimum) * factor);
            groups.push(if scale < 0.0 {
                // s·q - n = -s·(top - q) - (n - s·top)
                Group {
                    quants: quants.iter().map(|q| top - q).collect(),
                    scale: -scale,
                    minimum: minimum - scale * f64::from(top),
                }
            } else {
                Group {
                    quants: quants.to_vec(),
                    scale,
                    minimum,
                }
            });
        }
    }
    groups
}

/// `k·q - n`: the minimum takes up on average what the multiplier's rounding adds.
fn push_4(row: &mut EncodedRow, group: &Group, unit: f64) {
    let multiplier = (group.scale / unit).round().clamp(0.0, 255.0);
    let drift = multiplier - group.scale / unit;
    let mean = group.quants.iter().map(|q| f64::from(*q)).sum::<f64>() / group.quants.len() as f64;
    let minimum = (group.minimum / unit + drift * mean)
        .round()
        .clamp(0.0, 65_535.0);
    for quant in &group.quants {
        let integer = multiplier * f64::from(*quant) - minimum;
        let exact = group.scale * f64::from(*quant) - group.minimum;
        row.sum += integer.abs() as u64;
        row.error += (integer * unit - exact).powi(2);
    }
    row.multipliers.push(multiplier as u8);
    row.minimums.push(minimum as u16);
    row.quants.extend(&group.quants);
}

/// `k·(q - 32)`: where the greatest element is positive (+32 of the source), the group is stretched a little or
/// that element clipped, whichever is nearer.
fn push_6(row: &mut EncodedRow, group: &Group, unit: f64) {
    let exact = |quant: &u8| group.scale * f64::from(*quant) - group.minimum;
    let middle = (group.scale / unit).round();
    let mut best: Option<(f64, f64, Vec<f64>)> = None;
    for stretch in [0.0, 0.005, 0.01, 0.02, 0.033] {
        let multiplier = (middle * (1.0 + stretch)).round().clamp(0.0, 255.0);
        let step = multiplier * unit;
        let rounded: Vec<f64> = group
            .quants
            .iter()
            .map(|q| {
                if step > 0.0 {
                    (exact(q) / step).round().clamp(-32.0, 31.0)
                } else {
                    0.0
                }
            })
            .collect();
        let pairs = group.quants.iter().zip(&rounded);
        let error: f64 = pairs.map(|(q, r)| (r * step - exact(q)).powi(2)).sum();
        if best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, multiplier, rounded));
        }
    }
    let Some((error, multiplier, rounded)) = best else {
        return;
    };
    row.error += error;
    row.multipliers.push(multiplier as u8);
    for quant in rounded {
        row.sum += (multiplier * quant.abs()) as u64;
        row.quants.push((quant + 32.0) as u8);
    }
}
