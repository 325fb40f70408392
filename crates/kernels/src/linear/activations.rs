//! Rows of activations, laid out as the kernels read them.

use super::DIRECT_ROWS;
use crate::{
    lanes::{Lanes, Operation, pair},
    path::{Kernels, Path},
    tile,
};
use og_program::matrix::GROUP;

/// Pairs of columns of a group.
pub(crate) const PAIRS: usize = GROUP / 2;
/// Columns of the windows over which sums of squares are known, see [`super::Prepared`].
pub(crate) const WINDOWS: [usize; 5] = [8, 32, 64, 128, 256];

/// Rows of int16 mantissas, interleaved; shared by all threads and all matrices with as many inputs.
///
/// Rows form tiles of nearly equal height. A tile holds, for each pair of columns, that pair of each row; pairs are
/// columns 0 and 2, then 1 and 3 of each four. Beside them stand the sums over half groups, for encodings with offsets,
/// and the greatest sums of squares, for the proof that sums of products fit. Refill it instead of making a new one: its
/// memory is reused.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    rows: usize,
    inputs: usize,
    most: usize,
    path: Option<Path>,
    pairs: Vec<i32>,
    sums: Vec<i32>,
    bounds: Vec<Bounds>,
}

/// What is known of the rows of a tile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// The largest magnitude.
    pub(crate) largest: u16,
    /// For each of [`WINDOWS`], the largest sum of squares over such a window of a row.
    pub(crate) squares: [u64; WINDOWS.len()],
}

/// Mantissas are not rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivationError {
    /// There is not a whole number of rows.
    #[error("{got} mantissas are not rows of {inputs}")]
    Length {
        /// How many there are.
        got: usize,
        /// Elements of a row.
        inputs: usize,
    },
}

/// Some rows, interleaved.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// The first row.
    pub(crate) first: usize,
    /// How many rows.
    pub(crate) height: usize,
    /// For each pair of columns, that pair of each row.
    pub(crate) pairs: &'a [i32],
    /// For each half group, the sum of each row.
    pub(crate) sums: &'a [i32],
    /// Bounds of all rows.
    pub(crate) bounds: Bounds,
}

impl Activations {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the rows by those of `mantissas`, one after another, each of `inputs` elements.
    ///
    /// # Errors
    /// [`ActivationError::Length`]; then there are no rows.
    pub fn fill(
        &mut self,
        kernels: Kernels,
        mantissas: &[i16],
        inputs: usize,
    ) -> Result<(), ActivationError> {
        self.rows = 0;
        if inputs == 0 || !mantissas.len().is_multiple_of(inputs) {
            let got = mantissas.len();
            return Err(ActivationError::Length { got, inputs });
        }
        self.fill_rows(kernels, mantissas.chunks_exact(inputs), inputs);
        Ok(())
    }

    /// Replaces the rows by those of an iterator, each of `inputs` elements (what is missing is 0, what is more is left out).
    pub fn fill_rows<'a>(
        &mut self,
        kernels: Kernels,
        rows: impl ExactSizeIterator<Item = &'a [i16]>,
        inputs: usize,
    ) {
        let groups = inputs.div_ceil(GROUP);
        (self.rows, self.inputs) = (rows.len(), inputs);
        let folds = self.rows > DIRECT_ROWS;
        self.most = kernels.run(TileRows);
        self.path = Some(kernels.path());
        self.pairs.resize(self.rows * groups * PAIRS, 0);
        self.sums.resize(self.rows * groups * 2, 0);
        self.bounds.clear();
        self.bounds.resize(self.tiles(), Bounds::default());
        let mut rows = rows;
        for tile in 0..self.tiles() {
            let (first, height) = self.place(tile);
            let pairs = &mut self.pairs[first * groups * PAIRS..][..height * groups * PAIRS];
            let sums = &mut self.sums[first * groups * 2..][..height * groups * 2];
            for (r, row) in rows.by_ref().take(height).enumerate() {
                let row = row.get(..inputs).unwrap_or(row);
                let bounds = folds.then_some(&mut self.bounds[tile]);
                kernels.run(Interleave {
                    row,
                    pairs: &mut pairs[r..],
                    sums: &mut sums[r..],
                    height,
                    bounds,
                });
            }
        }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// The path whose kernels filled it; only they read it.
    pub(crate) const fn path(&self) -> Option<Path> {
        self.path
    }

    /// How many tiles there are.
    pub(crate) const fn tiles(&self) -> usize {
        match self.most {
            0 => 0,
            most => self.rows.div_ceil(most),
        }
    }

    /// The first row and the height of a tile.
    const fn place(&self, tile: usize) -> (usize, usize) {
        tile::piece(self.rows, self.most, tile)
    }

    /// One tile.
    #[inline]
    pub(crate) fn tile(&self, tile: usize) -> Tile<'_> {
        let (first, height) = self.place(tile);
        let groups = self.inputs.div_ceil(GROUP);
        Tile {
            first,
            height,
            pairs: &self.pairs[first * groups * PAIRS..][..height * groups * PAIRS],
            sums: &self.sums[first * groups * 2..][..height * groups * 2],
            bounds: self.bounds[tile],
        }
    }
}

/// How high a path's tiles are.
struct TileRows;

impl Operation for TileRows {
    type Output = usize;
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> usize {
        L::ROWS
    }
}

/// Writes one row into every `height`th place of `pairs` and `sums`.
struct Interleave<'a> {
    row: &'a [i16],
    pairs: &'a mut [i32],
    sums: &'a mut [i32],
    height: usize,
    bounds: Option<&'a mut Bounds>,
}

impl Operation for Interleave<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let mut pairs = self.pairs.iter_mut().step_by(self.height);
        let sums = self.sums.iter_mut().step_by(self.height);
        let (whole, rest) = self.row.as_chunks::<16>();
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let mut halves = whole.iter().chain(core::iter::once(&last));
        for sum in sums {
            let half = halves.next().unwrap_or(&[0; 16]);
            *sum = half.iter().map(|m| i32::from(*m)).sum();
            for quad in half.as_chunks::<4>().0 {
                if let (Some(even), Some(odd)) = (pairs.next(), pairs.next()) {
                    *even = pair(quad[0], quad[2]);
                    *odd = pair(quad[1], quad[3]);
                }
            }
        }
        if let Some(bounds) = self.bounds {
            bounds.add(self.row);
        }
    }
}

impl Bounds {
    /// Widens the bounds to hold for one more row.
    #[inline(always)]
    fn add(&mut self, row: &[i16]) {
        let largest = row
            .iter()
            .fold(0, |largest, m| largest.max(m.unsigned_abs()));
        self.largest = self.largest.max(largest);
        for panel in row.chunks(256) {
            // Sums of squares of 8 columns each, then of the wider windows that they make up.
            let mut eights = [0_u64; 32];
            for (sum, eight) in eights.iter_mut().zip(panel.chunks(8)) {
                let squares = eight
                    .iter()
                    .map(|m| i64::from(i32::from(*m) * i32::from(*m)));
                *sum = squares.sum::<i64>() as u64;
            }
            for (largest, window) in self.squares.iter_mut().zip(WINDOWS) {
                for sums in eights.chunks_exact(window / 8) {
                    *largest = (*largest).max(sums.iter().sum());
                }
            }
        }
    }
}
