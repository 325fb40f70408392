//! Products of two values: rows of one times rows of the other.

use crate::{
    lanes::{Lanes, Operation, pair},
    path::Kernels,
    tile::{self, piece, with_height},
};

/// Columns of a vector of results.
const COLUMNS: usize = 16;

/// The right factor of [`og_program::operation::Operation::Product`], laid out to be multiplied.
#[derive(Clone, Debug, Default)]
pub struct Factor {
    /// For each two vectors of rows and each pair of columns, that pair of each row.
    panels: Vec<[i16; 32]>,
    rows: usize,
    pairs: usize,
    largest: u64,
}

impl Factor {
    /// Replaces the factor by rows of `width` elements.
    pub fn fill(&mut self, mantissas: &[i16], width: usize) {
        let rows = mantissas.chunks_exact(width.max(1));
        (self.rows, self.pairs) = (rows.len(), width.div_ceil(2));
        self.panels.clear();
        self.panels
            .resize(self.rows.div_ceil(2 * COLUMNS) * 2 * self.pairs, [0; 32]);
        self.largest = 0;
        for (index, row) in rows.enumerate() {
            let largest = row.iter().map(|m| u64::from(m.unsigned_abs())).max();
            self.largest = self.largest.max(largest.unwrap_or(0));
            let (panel, place) = (index / (2 * COLUMNS), index % (2 * COLUMNS));
            let lines = self.panels[panel * 2 * self.pairs..][..2 * self.pairs].chunks_exact_mut(2);
            for (line, two) in lines.zip(row.chunks(2)) {
                let at = place % COLUMNS * 2;
                line[place / COLUMNS][at..at + two.len()].copy_from_slice(two);
            }
        }
    }

    /// How many rows it has: columns of a result.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the dot products of each row of `left`, of `width` elements, with each row of this factor, row by row.
    /// `buffer` is reused memory.
    pub fn product(
        &self,
        kernels: Kernels,
        left: &[i16],
        width: usize,
        buffer: &mut Vec<i32>,
        out: &mut [i64],
    ) {
        kernels.run(Product {
            right: self,
            left,
            width: width.max(1),
            buffer,
            out,
        });
    }
}

struct Product<'a> {
    right: &'a Factor,
    left: &'a [i16],
    width: usize,
    /// For each pair of columns, that pair of each left row.
    buffer: &'a mut Vec<i32>,
    out: &'a mut [i64],
}

impl Operation for Product<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let rows = self.left.len() / self.width;
        for tile in 0..rows.div_ceil(L::ROWS) {
            let (first, height) = piece(rows, L::ROWS, tile);
            with_height!(height, product_tile::<L>(lanes, &mut self, first));
        }
    }
}

#[inline(always)]
fn product_tile<L: Lanes, const R: usize>(lanes: L, of: &mut Product<'_>, first: usize) {
    let (right, width, buffer) = (of.right, of.width, &mut *of.buffer);
    buffer.clear();
    buffer.resize(right.pairs * R, 0);
    let left = &of.left[first * width..(first + R) * width];
    let mut largest = 0;
    for (r, row) in left.chunks_exact(width).enumerate() {
        let to = buffer.iter_mut().skip(r).step_by(R);
        for (to, two) in to.zip(row.chunks(2)) {
            *to = pair(two[0], two.get(1).copied().unwrap_or(0));
        }
        largest = row
            .iter()
            .fold(largest, |most, m| most.max(u64::from(m.unsigned_abs())));
    }
    // So many pairs of products stay below 2^31; one pair always does, for mantissas are symmetric.
    let pair_most = (largest * right.largest * 2).max(1);
    let pairs = (((1_u64 << 31) - 1) / pair_most).clamp(1, right.pairs.max(1) as u64) as usize;
    let panels = right.panels.chunks_exact((2 * right.pairs).max(1));
    for (index, panel) in panels.enumerate() {
        let mut sums = [[[0; COLUMNS]; 2]; R];
        for (panel, left) in panel.chunks(2 * pairs).zip(buffer.chunks(pairs * R)) {
            let acc = tile::accumulate::<L, R, 2>(lanes, tile::zero(lanes), panel, 2, left);
            for (acc, sums) in acc.into_iter().zip(&mut sums) {
                for (acc, sums) in acc.into_iter().zip(sums) {
                    lanes.spill(acc, sums);
                }
            }
        }
        for (sums, out) in sums
            .iter()
            .zip(of.out.chunks_exact_mut(right.rows).skip(first))
        {
            let out = out[index * 2 * COLUMNS..].iter_mut();
            out.zip(sums.as_flattened())
                .for_each(|(out, sum)| *out = *sum);
        }
    }
}
