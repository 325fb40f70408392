//! Few rows: weights stream once through registers.

use super::{
    Product,
    activations::{PAIRS, Tile},
    format::Format,
    view::BlockView,
    write,
};
use crate::{
    lanes::Lanes,
    tile::{MOST_ROWS, with_height},
};

/// How far ahead of the weights that are multiplied others are asked for, in bytes. The processor's own prefetching stops
/// at the end of a page.
const AHEAD: usize = 4096;

/// Computes a product for any number of rows. Sums of a group's small integers fit 32 bits: at most 32 · 2^7 · 2^15.
#[inline(always)]
pub(crate) fn run<L: Lanes, F: Format>(lanes: L, format: F, product: Product<'_>) {
    let first = product.blocks.start;
    let mut out = product.out;
    for block in product.blocks {
        let view = product.view.block(block);
        for tile in 0..product.activations.tiles() {
            let tile = product.activations.tile(tile);
            let mut sums = [[0; 16]; MOST_ROWS];
            with_height!(
                tile.height,
                rows::<L, F>(lanes, format, &view, &tile, &mut sums)
            );
            for (r, sums) in sums.iter().take(tile.height).enumerate() {
                let columns = out.row(tile.first + r).get_mut((block - first) * 16..);
                write(columns.unwrap_or(&mut []), sums, view.shifts);
            }
        }
    }
}

/// The sums of one block for `R` rows.
#[inline(always)]
fn rows<L: Lanes, F: Format, const R: usize>(
    lanes: L,
    _: F,
    block: &BlockView<'_>,
    tile: &Tile<'_>,
    out: &mut [[i64; 16]; MOST_ROWS],
) {
    let mut wide = [lanes.wide_zero(); R];
    let groups = block.quants.chunks_exact(F::GROUP_BYTES);
    let groups = groups.zip(block.multipliers.chunks_exact(16 * F::PARTS));
    let rows = tile
        .pairs
        .chunks_exact(PAIRS * R)
        .zip(tile.sums.chunks_exact(2 * R));
    for (g, ((quants, multipliers), (pairs, sums))) in groups.zip(rows).enumerate() {
        for line in 0..F::GROUP_BYTES / 64 {
            lanes.prefetch(quants, AHEAD + line * 64);
        }
        let multipliers = multipliers.as_chunks::<16>().0;
        for (part, multiplier) in multipliers.iter().enumerate() {
            let mut acc: [L::V; R] = core::array::from_fn(|r| match F::OFFSET {
                0 => lanes.zero(),
                offset => lanes.splat(sums[part * R + r] * -offset),
            });
            for j in part * 4 / F::PARTS..(part + 1) * 4 / F::PARTS {
                let chunk = F::chunk(lanes, quants, j);
                for (i, weights) in chunk.into_iter().enumerate() {
                    let pairs = &pairs[(j * 4 + i) * R..][..R];
                    for r in 0..R {
                        acc[r] = lanes.dot(acc[r], weights, lanes.splat(pairs[r]));
                    }
                }
            }
            let multiplier = lanes.widen_u8(multiplier);
            for r in 0..R {
                wide[r] = lanes.wide_add(wide[r], acc[r], multiplier);
            }
        }
        if F::MINIMUM
            && let Some(minimum) = block
                .minimums
                .get(g * 32..)
                .and_then(|n| n.first_chunk::<32>())
        {
            let minimum = lanes.widen_u16(minimum);
            for r in 0..R {
                let sum = lanes.splat(-(sums[r] + sums[R + r]));
                wide[r] = lanes.wide_add(wide[r], sum, minimum);
            }
        }
    }
    for r in 0..R {
        lanes.wide_store(wide[r], &mut out[r]);
    }
}
