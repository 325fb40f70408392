//! What is checked of a matrix's bytes while a model is loaded: their hash, shifts and row sums, tile by tile.

use super::FileError;
use crate::matrix::{BLOCK, Encoding, GROUP, Layout, Matrix, Weights};

/// What a program declares of a matrix so that its widths can be proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Largest shift of a row.
    pub largest_shift: u8,
    /// Largest `Σ |value(o, i)|` of a row, before its shift.
    pub largest_row_sum: u64,
}

/// Sums of the magnitudes of one tile's elements, for each of its rows.
type TileSums = fn(&Tile<'_>) -> [u64; BLOCK];

/// The bytes of one tile: 16 outputs by 32 inputs.
struct Tile<'a> {
    multipliers: &'a [u8],
    minimums: &'a [u8],
    quants: &'a [u8],
}

/// Measures the bytes of a matrix, whose `largest_shift`, `largest_row_sum` and `hash` are not looked at.
///
/// # Errors
/// [`FileError::Matrix`] if there are not as many bytes as its layout has.
pub fn measure(matrix: &Matrix, bytes: &[u8]) -> Result<Measure, FileError> {
    let other_size = FileError::Matrix("their number is not that of its shape");
    let (Some(weights), Some(layout)) = (Weights::new(matrix, bytes), matrix.layout()) else {
        return Err(other_size);
    };
    let shifts = part(bytes, layout.shifts);
    let largest_shift = shifts
        .iter()
        .take(matrix.outputs as usize)
        .copied()
        .max()
        .unwrap_or(0);
    Ok(Measure {
        largest_shift,
        largest_row_sum: largest_row_sum(&weights, &layout),
    })
}

/// A matrix with everything that its bytes say: hash, largest shift, largest row sum.
///
/// # Errors
/// [`FileError::Matrix`] if there are not as many bytes as its layout has.
pub fn describe(
    [outputs, inputs]: [u32; 2],
    encoding: Encoding,
    exponent: i32,
    bytes: &[u8],
) -> Result<Matrix, FileError> {
    let mut matrix = Matrix {
        outputs,
        inputs,
        encoding,
        exponent,
        largest_shift: 0,
        largest_row_sum: 0,
        hash: blake3::hash(bytes).into(),
    };
    let measured = measure(&matrix, bytes)?;
    matrix.largest_shift = measured.largest_shift;
    matrix.largest_row_sum = measured.largest_row_sum;
    Ok(matrix)
}

/// Whether these are the bytes of a matrix of the program, and hold what it declares: their number, their hash, no shift
/// above `largest_shift`, no row sum above `largest_row_sum`.
///
/// # Errors
/// [`FileError::Matrix`] says what is different.
pub fn check_matrix(matrix: &Matrix, bytes: &[u8]) -> Result<(), FileError> {
    let measured = measure(matrix, bytes)?;
    if measured.largest_shift > matrix.largest_shift {
        return Err(FileError::Matrix("a row's shift is above the declared one"));
    }
    if measured.largest_row_sum > matrix.largest_row_sum {
        return Err(FileError::Matrix("a row's sum is above the declared one"));
    }
    if *blake3::hash(bytes).as_bytes() != matrix.hash {
        return Err(FileError::Matrix(
            "their hash is another; copy the file again",
        ));
    }
    Ok(())
}

fn part(bytes: &[u8], (offset, length): (usize, usize)) -> &[u8] {
    bytes.get(offset..offset + length).unwrap_or(&[])
}

fn largest_row_sum(weights: &Weights<'_>, layout: &Layout) -> u64 {
    let matrix = weights.matrix;
    let (multipliers, minimums, quants, sums): (_, _, _, TileSums) = match matrix.encoding {
        Encoding::Int8 => (16, 0, 512, int8),
        Encoding::Int4 => (16, 32, 256, int4),
        Encoding::Int6 => (32, 0, 384, int6),
    };
    let of_tile = |whole: (usize, usize), each: usize, tile: usize| {
        part(weights.bytes, (whole.0 + tile * each, each))
    };
    let (whole_groups, rest) = (
        matrix.inputs as usize / GROUP,
        matrix.inputs as usize % GROUP,
    );
    let mut largest = 0;
    for block in 0..matrix.blocks() {
        let mut rows = [0_u64; BLOCK];
        for group in 0..whole_groups {
            let tile = block * matrix.groups() + group;
            let of_group = sums(&Tile {
                multipliers: of_tile(layout.multipliers, multipliers, tile),
                minimums: of_tile(layout.minimums, minimums, tile),
                quants: of_tile(layout.quants, quants, tile),
            });
            for (row, sum) in rows.iter_mut().zip(of_group) {
                *row += sum;
            }
        }
        let real = BLOCK.min(matrix.outputs as usize - block * BLOCK);
        for (row, sum) in rows.iter_mut().enumerate().take(real) {
            let output = block * BLOCK + row;
            let last = (0..rest).map(|place| weights.value(output, whole_groups * GROUP + place));
            *sum += last.map(i64::unsigned_abs).sum::<u64>();
            largest = largest.max(*sum);
        }
    }
    largest
}

fn int8(tile: &Tile<'_>) -> [u64; BLOCK] {
    let mut sums = [0_u32; BLOCK];
    for line in tile.quants.chunks_exact(64) {
        for (sum, four) in sums.iter_mut().zip(line.chunks_exact(4)) {
            *sum += four
                .iter()
                .map(|quant| u32::from((*quant as i8).unsigned_abs()))
                .sum::<u32>();
        }
    }
    let mut scaled = [0; BLOCK];
    for ((out, sum), multiplier) in scaled.iter_mut().zip(sums).zip(tile.multipliers) {
        *out = u64::from(sum) * u64::from(*multiplier);
    }
    scaled
}

fn int4(tile: &Tile<'_>) -> [u64; BLOCK] {
    let mut sums = [0; BLOCK];
    for (row, sum) in sums.iter_mut().enumerate() {
        let multiplier = tile.multipliers.get(row).map_or(0, |k| i32::from(*k));
        let minimum = tile.minimums.get(row * 2..).and_then(<[u8]>::first_chunk);
        let minimum = minimum.map_or(0, |n| i32::from(u16::from_le_bytes(*n)));
        for line in tile.quants.chunks_exact(64) {
            for both in line.iter().skip(row * 4).take(4) {
                let low = (multiplier * i32::from(both & 15) - minimum).unsigned_abs();
                let high = (multiplier * i32::from(both >> 4) - minimum).unsigned_abs();
                *sum += u64::from(low + high);
            }
        }
    }
    sums
}

fn int6(tile: &Tile<'_>) -> [u64; BLOCK] {
    let mut sums = [0; BLOCK];
    let (low, high) = tile.quants.split_at(256.min(tile.quants.len()));
    // Each half has 16 inputs: two lines of low bits, one of high bits, and a multiplier for each row.
    let halves = low.chunks_exact(128).zip(high.chunks_exact(64));
    for ((low, high), multipliers) in halves.zip(tile.multipliers.chunks_exact(BLOCK)) {
        let mut quants = [0_u32; BLOCK];
        for (lane, high) in high.iter().enumerate() {
            let pair = [low.get(lane), low.get(lane + 64)];
            let of_lane = pair.into_iter().flatten().enumerate().map(|(line, both)| {
                let high = u32::from(*high) >> (4 * line);
                let first = u32::from(both & 15) | (high & 3) << 4;
                let second = u32::from(both >> 4) | (high >> 2 & 3) << 4;
                first.abs_diff(32) + second.abs_diff(32)
            });
            if let Some(sum) = quants.get_mut(lane / 4) {
                *sum += of_lane.sum::<u32>();
            }
        }
        for ((sum, quants), multiplier) in sums.iter_mut().zip(quants).zip(multipliers) {
            *sum += u64::from(quants) * u64::from(*multiplier);
        }
    }
    sums
}
