//! Encoded rows into a matrix's bytes, blocks of 16 rows on several threads.

use super::{EncodedRow, MAX_SHIFT, MAX_UNIT, QuantiseError, Quantised, size_error};
use crate::tensor::{Tensor, TensorError};
use og_program::matrix::{BLOCK, Encoding, GROUP, Layout, Matrix};
use std::sync::Mutex;

/// The part of a matrix's bytes that belongs to one block of rows.
struct Block<'m> {
    /// Which.
    index: usize,
    multipliers: &'m mut [u8],
    minimums: &'m mut [u8],
    quants: &'m mut [u8],
    rows: &'m mut [Facts],
}

/// What is known of a row once it is encoded.
#[derive(Clone, Copy)]
struct Facts {
    unit: i32,
    sum: u64,
    error: f64,
    square: f64,
}

const UNKNOWN: Facts = Facts {
    unit: -MAX_UNIT,
    sum: 0,
    error: 0.0,
    square: 0.0,
};

/// Packs what `encode(row, unit)` gives; rows are asked again, with a unit, where theirs is too small beside the
/// greatest. `None` if a row cannot be written in the encoding.
pub(super) fn matrix<F>(
    tensor: &Tensor<'_>,
    encoding: Encoding,
    threads: usize,
    encode: F,
) -> Result<Option<Quantised>, QuantiseError>
where
    F: Fn(usize, Option<i32>) -> Result<Option<EncodedRow>, TensorError> + Sync,
{
    let too_large = || size_error(tensor);
    let mut matrix = Matrix {
        outputs: u32::try_from(tensor.rows()).map_err(|_| too_large())?,
        inputs: u32::try_from(tensor.columns()).map_err(|_| too_large())?,
        encoding,
        exponent: 0,
        largest_shift: 0,
        largest_row_sum: 0,
        hash: [0; 32],
    };
    let layout = matrix
        .layout()
        .filter(|_| matrix.outputs > 0 && matrix.inputs > 0);
    let layout = layout.ok_or_else(too_large)?;
    let mut bytes = vec![0; layout.bytes];
    let mut facts = vec![UNKNOWN; tensor.rows()];
    {
        let blocks = blocks_of(&mut bytes, &layout, &matrix, &mut facts);
        if !encode_blocks(blocks, encoding, threads, &encode)? {
            return Ok(None);
        }
    }
    let greatest = facts.iter().map(|f| f.unit).max().unwrap_or(0);
    // Rows of zeros have the least unit of all and need no room below the others.
    let nonzero = facts.iter().filter(|f| f.square > 0.0).map(|f| f.unit);
    let least = nonzero.min().unwrap_or(greatest).max(greatest - MAX_SHIFT);
    for row in 0..tensor.rows() {
        if facts[row].unit < least {
            let Some(encoded) = encode(row, Some(least))? else {
                return Ok(None);
            };
            let mut blocks = blocks_of(&mut bytes, &layout, &matrix, &mut facts);
            if let Some(block) = blocks.get_mut(row / BLOCK) {
                write(block, encoding, row % BLOCK, &encoded);
            }
        }
        bytes[layout.shifts.0 + row] = (facts[row].unit - least) as u8;
    }
    matrix.exponent = least;
    matrix.largest_shift = (greatest - least) as u8;
    matrix.largest_row_sum = facts.iter().map(|f| f.sum).max().unwrap_or(0);
    matrix.hash = *blake3::hash(&bytes).as_bytes();
    let error: f64 = facts.iter().map(|f| f.error).sum();
    let square: f64 = facts.iter().map(|f| f.square).sum();
    let relative_error = if square > 0.0 {
        (error / square).sqrt()
    } else {
        0.0
    };
    Ok(Some(Quantised {
        matrix,
        bytes,
        relative_error,
    }))
}

fn blocks_of<'m>(
    bytes: &'m mut [u8],
    layout: &Layout,
    matrix: &Matrix,
    facts: &'m mut [Facts],
) -> Vec<Block<'m>> {
    let (head, quants) = bytes.split_at_mut(layout.quants.0);
    let (head, minimums) = head.split_at_mut(layout.minimums.0);
    let (_, multipliers) = head.split_at_mut(layout.multipliers.0);
    let count = matrix.blocks();
    let mut minimums = minimums[..layout.minimums.1].chunks_mut((layout.minimums.1 / count).max(1));
    multipliers[..layout.multipliers.1]
        .chunks_mut(layout.multipliers.1 / count)
        .zip(quants[..layout.quants.1].chunks_mut(layout.quants.1 / count))
        .zip(facts.chunks_mut(BLOCK))
        .enumerate()
        .map(|(index, ((multipliers, quants), rows))| Block {
            index,
            multipliers,
            minimums: minimums.next().unwrap_or_default(),
            quants,
            rows,
        })
        .collect()
}

/// Encodes all blocks; false if a row cannot be written in the encoding.
fn encode_blocks<F>(
    blocks: Vec<Block<'_>>,
    encoding: Encoding,
    threads: usize,
    encode: &F,
) -> Result<bool, TensorError>
where
    F: Fn(usize, Option<i32>) -> Result<Option<EncodedRow>, TensorError> + Sync,
{
    let queue = Mutex::new(blocks.into_iter());
    let next = || queue.lock().map_or(None, |mut queue| queue.next());
    let work = || {
        while let Some(mut block) = next() {
            for row in 0..block.rows.len() {
                match encode(block.index * BLOCK + row, None)? {
                    Some(encoded) => write(&mut block, encoding, row, &encoded),
                    None => return Ok(false),
                }
            }
        }
        Ok(true)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            let given = match other.join() {
                Ok(given) => given,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            result = match (result, given) {
                (Ok(a), Ok(b)) => Ok(a && b),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        result
    })
}

/// Writes a row into its block; the places are those that `og_program::matrix::Weights::value` reads.
fn write(block: &mut Block<'_>, encoding: Encoding, row: usize, encoded: &EncodedRow) {
    let per_group = if encoding == Encoding::Int6 { 2 } else { 1 };
    for (index, multiplier) in encoded.multipliers.iter().enumerate() {
        let (group, half) = (index / per_group, index % per_group);
        block.multipliers[(group * per_group + half) * BLOCK + row] = *multiplier;
    }
    for (group, minimum) in encoded.minimums.iter().enumerate() {
        let at = (group * BLOCK + row) * 2;
        block.minimums[at..at + 2].copy_from_slice(&minimum.to_le_bytes());
    }
    for (group, quants) in encoded.quants.chunks_exact(GROUP).enumerate() {
        for (quad, four) in quants.chunks_exact(4).enumerate() {
            write_four(block.quants, encoding, group, quad, row * 4, four);
        }
    }
    block.rows[row] = Facts {
        unit: encoded.unit,
        sum: encoded.sum,
        error: encoded.error,
        square: encoded.square,
    };
}

fn write_four(
    bytes: &mut [u8],
    encoding: Encoding,
    group: usize,
    quad: usize,
    lane: usize,
    four: &[u8],
) {
    match encoding {
        Encoding::Int8 => {
            bytes[(group * 8 + quad) * 64 + lane..][..4].copy_from_slice(four);
        }
        Encoding::Int4 => {
            let to = &mut bytes[(group * 4 + quad / 2) * 64 + lane..][..4];
            for (to, quant) in to.iter_mut().zip(four) {
                *to = with_bits(*to, quad % 2 * 4, 15, *quant);
            }
        }
        Encoding::Int6 => {
            for (place, quant) in four.iter().enumerate() {
                let low = &mut bytes[group * 384 + quad / 2 * 64 + lane + place];
                *low = with_bits(*low, quad % 2 * 4, 15, *quant);
                let high = &mut bytes[group * 384 + 256 + quad / 4 * 64 + lane + place];
                *high = with_bits(*high, quad % 4 * 2, 3, quant >> 4);
            }
        }
    }
}

/// `byte` with the bits of `mask` at `places` replaced.
const fn with_bits(byte: u8, places: usize, mask: u8, bits: u8) -> u8 {
    byte & !(mask << places) | (bits & mask) << places
}
