//! How each encoding is unpacked into 16-bit pairs.
//!
//! A lane holds two columns of one row: columns 0 and 2 of a quad (the even bytes), or 1 and 3 (the odd bytes), because
//! shifts alone split a quad that way. [`super::Activations`] are interleaved to match.

use super::view::BlockView;
use crate::lanes::Lanes;

/// An encoding, as the kernels see it.
pub(crate) trait Format: Copy {
    /// Bytes of quants of one group of one block.
    const GROUP_BYTES: usize;
    /// Multipliers for each row and group: 1, or one for each half of a group.
    const PARTS: usize;
    /// What is subtracted from a quant.
    const OFFSET: i32;
    /// Whether each group has a minimum, subtracted after multiplication.
    const MINIMUM: bool;

    /// The quants of quads `2j` and `2j + 1` of a group: even and odd bytes of the first, then of the second.
    fn chunk<L: Lanes>(lanes: L, group: &[u8], j: usize) -> [L::V; 4];
}

/// Chunk `j` of 64 bytes.
#[inline(always)]
fn bytes<L: Lanes>(lanes: L, group: &[u8], j: usize) -> L::V {
    match group
        .get(j * 64..)
        .and_then(|rest| rest.first_chunk::<64>())
    {
        Some(bytes) => lanes.load_bytes(bytes),
        None => lanes.zero(),
    }
}

/// [`og_program::matrix::Encoding::Int8`].
#[derive(Clone, Copy)]
pub(crate) struct Int8;

impl Format for Int8 {
    const GROUP_BYTES: usize = 512;
    const PARTS: usize = 1;
    const OFFSET: i32 = 0;
    const MINIMUM: bool = false;

    #[inline(always)]
    fn chunk<L: Lanes>(lanes: L, group: &[u8], j: usize) -> [L::V; 4] {
        let first = bytes(lanes, group, 2 * j);
        let second = bytes(lanes, group, 2 * j + 1);
        [
            lanes.sar16(lanes.shl16(first, 8), 8),
            lanes.sar16(first, 8),
            lanes.sar16(lanes.shl16(second, 8), 8),
            lanes.sar16(second, 8),
        ]
    }
}

/// The four nibbles of 16-bit lanes: low and high of the even byte and the odd one, in the order of [`Format::chunk`].
#[inline(always)]
fn nibbles<L: Lanes>(lanes: L, x: L::V) -> [L::V; 4] {
    let mask = lanes.splat(0x000f_000f);
    [
        lanes.and(x, mask),
        lanes.and(lanes.shr16(x, 8), mask),
        lanes.and(lanes.shr16(x, 4), mask),
        lanes.shr16(x, 12),
    ]
}

/// [`og_program::matrix::Encoding::Int4`].
#[derive(Clone, Copy)]
pub(crate) struct Int4;

impl Format for Int4 {
    const GROUP_BYTES: usize = 256;
    const PARTS: usize = 1;
    const OFFSET: i32 = 0;
    const MINIMUM: bool = true;

    #[inline(always)]
    fn chunk<L: Lanes>(lanes: L, group: &[u8], j: usize) -> [L::V; 4] {
        nibbles(lanes, bytes(lanes, group, j))
    }
}

/// [`og_program::matrix::Encoding::Int6`].
#[derive(Clone, Copy)]
pub(crate) struct Int6;

impl Format for Int6 {
    const GROUP_BYTES: usize = 384;
    const PARTS: usize = 2;
    const OFFSET: i32 = 32;
    const MINIMUM: bool = false;

    #[inline(always)]
    fn chunk<L: Lanes>(lanes: L, group: &[u8], j: usize) -> [L::V; 4] {
        let low = nibbles(lanes, bytes(lanes, group, j));
        // Bits 4·(j%2) to 4·(j%2) + 3 of each byte: two bits of quad 2j, then two of quad 2j + 1.
        let high = lanes.shr16(bytes(lanes, group, 4 + j / 2), 4 * (j as u32 % 2));
        let mask = lanes.splat(0x0030_0030);
        [
            lanes.or(low[0], lanes.and(lanes.shl16(high, 4), mask)),
            lanes.or(low[1], lanes.and(lanes.shr16(high, 4), mask)),
            lanes.or(low[2], lanes.and(lanes.shl16(high, 2), mask)),
            lanes.or(low[3], lanes.and(lanes.shr16(high, 6), mask)),
        ]
    }
}

/// The weights of one group of a block as 16-bit pairs, their multipliers folded in. They fit if the matrix's minimums
/// are below 2^15; otherwise they wrap.
#[inline(always)]
pub(crate) fn fold<L: Lanes, F: Format>(
    lanes: L,
    block: &BlockView<'_>,
    group: usize,
    out: &mut [L::V; 16],
) {
    let quants = &block.quants[group * F::GROUP_BYTES..][..F::GROUP_BYTES];
    let multipliers = &block.multipliers[group * F::PARTS * 16..][..F::PARTS * 16];
    let minimum = block
        .minimums
        .get(group * 32..)
        .and_then(|rest| rest.first_chunk::<32>());
    let minimum = lanes.twice16(minimum.map_or(lanes.zero(), |n| lanes.widen_u16(n)));
    let multipliers = multipliers.as_chunks::<16>().0;
    for (j, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let multiplier = lanes.twice16(lanes.widen_u8(&multipliers[j * F::PARTS / 4]));
        for (out, quants) in out.iter_mut().zip(F::chunk(lanes, quants, j)) {
            let mut x = quants;
            if F::OFFSET != 0 {
                x = lanes.sub16(x, lanes.splat(F::OFFSET << 16 | F::OFFSET));
            }
            x = lanes.mul16(x, multiplier);
            if F::MINIMUM {
                x = lanes.sub16(x, minimum);
            }
            *out = x;
        }
    }
}
