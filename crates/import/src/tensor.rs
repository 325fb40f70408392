//! Matrices of floats as their files store them: rows become `f32` one at a time, so that no whole copy is needed.

pub mod blocks;
#[cfg(test)]
mod tests;

use blocks::Kind;

/// Why a row of a tensor cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// A weight is not a number or infinite.
    #[error(
        "{tensor}: element {index} is not finite; the file is damaged or its training diverged"
    )]
    NotFinite {
        /// Its name in the file.
        tensor: String,
        /// Row-major index of the element.
        index: u64,
    },
    /// The bytes are not as many as the shape needs.
    #[error("{tensor}: has {have} bytes, and {rows} rows of {columns} elements need {need}")]
    Length {
        /// Its name in the file.
        tensor: String,
        /// Rows.
        rows: usize,
        /// Elements of a row.
        columns: usize,
        /// Bytes that are there.
        have: usize,
        /// Bytes that there should be.
        need: usize,
    },
    /// Rows are not whole blocks of a quantised format.
    #[error("{tensor}: rows of {columns} elements are not whole blocks of {block}")]
    Blocks {
        /// Its name in the file.
        tensor: String,
        /// Elements of a row.
        columns: usize,
        /// Elements of a block.
        block: usize,
    },
    /// A part of a fused tensor that is not there.
    #[error("{tensor}: has {rows} rows, and rows up to {end} are needed")]
    Rows {
        /// Its name in the file.
        tensor: String,
        /// Rows that it has.
        rows: usize,
        /// End of the part that was asked for.
        end: usize,
    },
}

/// Where the elements of a tensor come from.
#[derive(Clone, Debug)]
enum Storage<'a> {
    Owned(Vec<f32>),
    Stored { kind: Kind, bytes: &'a [u8] },
    Random { seed: u64, deviation: f32 },
}

/// A matrix of floats: `rows` rows of `columns` elements, row-major. A vector is one row.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    name: String,
    rows: usize,
    columns: usize,
    storage: Storage<'a>,
}

impl<'a> Tensor<'a> {
    /// Floats in memory.
    ///
    /// # Errors
    /// [`TensorError::Length`] if there are not `rows · columns` of them.
    pub fn owned(
        name: impl Into<String>,
        rows: usize,
        columns: usize,
        values: Vec<f32>,
    ) -> Result<Self, TensorError> {
        let name = name.into();
        if rows.checked_mul(columns) != Some(values.len()) {
            let need = rows.saturating_mul(columns).saturating_mul(4);
            let have = values.len() * 4;
            return Err(TensorError::Length {
                tensor: name,
                rows,
                columns,
                have,
                need,
            });
        }
        let storage = Storage::Owned(values);
        Ok(Self {
            name,
            rows,
            columns,
            storage,
        })
    }

    /// Elements of a file, in its format.
    ///
    /// # Errors
    /// [`TensorError`] if the bytes do not make up `rows` rows of whole blocks.
    pub fn stored(
        name: impl Into<String>,
        rows: usize,
        columns: usize,
        kind: Kind,
        bytes: &'a [u8],
    ) -> Result<Self, TensorError> {
        let name = name.into();
        let block = kind.block_elements();
        if !columns.is_multiple_of(block) {
            return Err(TensorError::Blocks {
                tensor: name,
                columns,
                block,
            });
        }
        let need = (columns / block)
            .checked_mul(kind.block_bytes())
            .and_then(|row| row.checked_mul(rows));
        if need != Some(bytes.len()) {
            let have = bytes.len();
            let need = need.unwrap_or(usize::MAX);
            return Err(TensorError::Length {
                tensor: name,
                rows,
                columns,
                have,
                need,
            });
        }
        let storage = Storage::Stored { kind, bytes };
        Ok(Self {
            name,
            rows,
            columns,
            storage,
        })
    }

    /// Reproducible weights near a normal distribution, computed when they are read: for measurements.
    pub fn random(
        name: impl Into<String>,
        rows: usize,
        columns: usize,
        seed: u64,
        deviation: f32,
    ) -> Self {
        let storage = Storage::Random { seed, deviation };
        Self {
            name: name.into(),
            rows,
            columns,
            storage,
        }
    }

    /// Its name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// The format of the file and the bytes of a row, if it is stored in one; `None` beyond the last row.
    pub fn stored_row(&self, row: usize) -> Option<(Kind, &'a [u8])> {
        let Storage::Stored { kind, bytes } = &self.storage else {
            return None;
        };
        let length = self.columns / kind.block_elements() * kind.block_bytes();
        Some((*kind, bytes.get(row * length..(row + 1) * length)?))
    }

    /// Reads a row into `out`, whose length is `columns`.
    ///
    /// # Errors
    /// [`TensorError`] if an element is not finite or there is no such row.
    pub fn read_row(&self, row: usize, out: &mut [f32]) -> Result<(), TensorError> {
        let missing = || TensorError::Rows {
            tensor: self.name.clone(),
            rows: self.rows,
            end: row.saturating_add(1),
        };
        if row >= self.rows || out.len() != self.columns {
            return Err(missing());
        }
        match &self.storage {
            Storage::Owned(values) => {
                out.copy_from_slice(&values[row * self.columns..][..self.columns])
            }
            Storage::Stored { .. } => {
                let (kind, bytes) = self.stored_row(row).ok_or_else(missing)?;
                blocks::read(kind, bytes, out);
            }
            Storage::Random { seed, deviation } => random_row(*seed, row as u64, *deviation, out),
        }
        // A sum of zeros times elements is not zero as soon as one of them is not finite.
        if out.iter().map(|x| x * 0.0).sum::<f32>() == 0.0 {
            return Ok(());
        }
        let column = out.iter().position(|x| !x.is_finite()).unwrap_or(0);
        Err(TensorError::NotFinite {
            tensor: self.name.clone(),
            index: (row as u64)
                .saturating_mul(self.columns as u64)
                .saturating_add(column as u64),
        })
    }

    /// All elements, row-major.
    ///
    /// # Errors
    /// As [`Tensor::read_row`].
    pub fn read(&self) -> Result<Vec<f32>, TensorError> {
        let mut values = vec![0.0; self.rows * self.columns];
        for (row, out) in values.chunks_mut(self.columns.max(1)).enumerate() {
            self.read_row(row, out)?;
        }
        Ok(values)
    }

    /// The rows from `first`, `count` of them, of a fused tensor.
    ///
    /// # Errors
    /// [`TensorError::Rows`] if it has fewer.
    pub fn rows_from(self, first: usize, count: usize) -> Result<Self, TensorError> {
        let end = first.saturating_add(count);
        if end > self.rows {
            return Err(TensorError::Rows {
                tensor: self.name,
                rows: self.rows,
                end,
            });
        }
        let columns = self.columns;
        let storage = match self.storage {
            Storage::Owned(values) => {
                Storage::Owned(values[first * columns..end * columns].to_vec())
            }
            Storage::Stored { kind, bytes } => {
                let length = columns / kind.block_elements() * kind.block_bytes();
                Storage::Stored {
                    kind,
                    bytes: &bytes[first * length..end * length],
                }
            }
            Storage::Random { seed, deviation } => Storage::Random {
                seed: seed.wrapping_add((first as u64).wrapping_mul(ROW_STEP)),
                deviation,
            },
        };
        Ok(Self {
            name: self.name,
            rows: count,
            columns,
            storage,
        })
    }

    /// Rows as columns, in memory.
    ///
    /// # Errors
    /// As [`Tensor::read_row`].
    pub fn transposed(&self) -> Result<Self, TensorError> {
        let values = self.read()?;
        let (rows, columns) = (self.rows, self.columns);
        let turned = (0..columns).flat_map(|column| {
            let values = &values;
            (0..rows).map(move |row| values[row * columns + column])
        });
        Self::owned(self.name.clone(), columns, rows, turned.collect())
    }
}

const ROW_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sums of four uniform numbers, scaled to a standard deviation.
fn random_row(seed: u64, row: u64, deviation: f32, out: &mut [f32]) {
    let start = mixed(seed.wrapping_add(row.wrapping_mul(ROW_STEP)));
    // Four 16-bit numbers have a variance of 4 · 2^32 / 12.
    let scale = deviation * 12_f32.sqrt() / (2.0 * 65_536.0);
    for (index, x) in out.iter_mut().enumerate() {
        let bits = mixed(start.wrapping_add(index as u64));
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        *x = (sum as f32 - 131_070.0) * scale;
    }
}

/// The finaliser of SplitMix64.
pub(crate) const fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
