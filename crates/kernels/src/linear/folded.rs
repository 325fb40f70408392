//! Many rows: weights are folded into 16 bits once for all of them, a panel at a time.

use super::{
    Product,
    activations::{PAIRS, Tile},
    format::{Format, fold},
    write,
};
use crate::{
    lanes::Lanes,
    tile::{self, with_height},
};

/// Groups of a panel: 256 columns of 32 outputs are 16 KiB.
const PANEL_GROUPS: usize = 8;
/// Vectors of a panel: a pair of columns of sixteen outputs each.
const PANEL: usize = PANEL_GROUPS * PAIRS * 2;

/// Computes a product of a matrix that folds.
#[inline(always)]
pub(crate) fn run<L: Lanes, F: Format>(lanes: L, _: F, product: Product<'_>) {
    let Product {
        view,
        prepared,
        activations,
        blocks,
        mut out,
    } = product;
    // Sums of all rows for two blocks.
    let mut sums = vec![[[0_i64; 16]; 2]; activations.rows()];
    let mut panel = [[0_i16; 32]; PANEL];
    let first = blocks.start;
    for block in blocks.clone().step_by(2) {
        let views = [block, (block + 1).min(blocks.end - 1)].map(|block| view.block(block));
        let both = block + 1 < blocks.end;
        sums.fill([[0; 16]; 2]);
        for start in (0..view.groups).step_by(PANEL_GROUPS) {
            let groups = start..(start + PANEL_GROUPS).min(view.groups);
            let vectors = groups.len() * PAIRS * 2;
            for (group, panel) in groups.clone().zip(panel.chunks_exact_mut(PAIRS * 2)) {
                for (b, view) in views.iter().enumerate() {
                    let mut folded = [lanes.zero(); 16];
                    fold::<L, F>(lanes, view, group, &mut folded);
                    for (pair, folded) in folded.into_iter().enumerate() {
                        lanes.store(folded, &mut panel[pair * 2 + b]);
                    }
                }
            }
            for tile in 0..activations.tiles() {
                let tile = activations.tile(tile);
                let columns = prepared.columns(&tile.bounds);
                let sums = &mut sums[tile.first..tile.first + tile.height];
                let pairs = groups.start * PAIRS * tile.height..groups.end * PAIRS * tile.height;
                segments(
                    lanes,
                    &panel[..vectors],
                    &tile,
                    &tile.pairs[pairs],
                    columns,
                    sums,
                );
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let columns = out
                .row(row)
                .get_mut((block - first) * 16..)
                .unwrap_or(&mut []);
            let (left, right) = columns.split_at_mut(columns.len().min(16));
            write(left, &sums[0], views[0].shifts);
            if both {
                write(right, &sums[1], views[1].shifts);
            }
        }
    }
}

/// Adds a panel's products with a tile to 64-bit sums; 32-bit sums run over `columns` at a time.
#[inline(always)]
fn segments<L: Lanes>(
    lanes: L,
    panel: &[[i16; 32]],
    tile: &Tile<'_>,
    pairs: &[i32],
    columns: usize,
    sums: &mut [[[i64; 16]; 2]],
) {
    let panels = panel.chunks(columns / 2 * 2);
    for (panel, pairs) in panels.zip(pairs.chunks(columns / 2 * tile.height)) {
        with_height!(tile.height, segment::<L>(lanes, panel, pairs, sums));
    }
}

#[inline(always)]
fn segment<L: Lanes, const R: usize>(
    lanes: L,
    panel: &[[i16; 32]],
    pairs: &[i32],
    sums: &mut [[[i64; 16]; 2]],
) {
    let acc = tile::accumulate::<L, R, 2>(lanes, tile::zero(lanes), panel, 2, pairs);
    for (acc, sums) in acc.into_iter().zip(sums) {
        for (acc, sums) in acc.into_iter().zip(sums) {
            lanes.spill(acc, sums);
        }
    }
}
