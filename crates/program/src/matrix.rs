//! Weights: small integers in groups that share a multiplier (`docs/formats/model.md` has the layout).

use minicbor::{Decode, Encode};

/// Outputs that stand together in the layout.
pub const BLOCK: usize = 16;
/// Inputs that share a multiplier in the layout ([`Encoding::Int6`] has two multipliers in a group).
pub const GROUP: usize = 32;

/// How the elements of a matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Encoding {
    /// `k·q`: `q` of 8 bits, one multiplier `k` for 32 inputs.
    #[n(0)]
    Int8,
    /// `k·q - n`: `q` of 4 bits without a sign, one `k` and one minimum `n` for 32 inputs.
    #[n(1)]
    Int4,
    /// `k·(q - 32)`: `q` of 6 bits without a sign, one `k` for 16 inputs.
    #[n(2)]
    Int6,
}

/// The shape of a matrix and where its bytes are: section `section` of the model file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Matrix {
    /// Rows: elements of the result.
    #[n(0)]
    pub outputs: u32,
    /// Columns: elements of the operand.
    #[n(1)]
    pub inputs: u32,
    /// How elements are stored.
    #[n(2)]
    pub encoding: Encoding,
    /// Exponent of all elements: element `(o, i)` is `value(o, i) · 2^(shift(o) + exponent)`.
    #[n(3)]
    pub exponent: i32,
    /// Largest shift of a row that the file may hold.
    #[n(4)]
    pub largest_shift: u8,
    /// Largest `Σ |value(o, i)|` of a row, before its shift. Whoever loads the matrix checks it.
    #[n(5)]
    pub largest_row_sum: u64,
    /// BLAKE3 hash of the bytes.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub hash: [u8; 32],
}

/// Where the parts of a matrix stand in its bytes, each as (offset, length).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// One byte for each output: the shift of its row.
    pub shifts: (usize, usize),
    /// One byte for each multiplier.
    pub multipliers: (usize, usize),
    /// Two bytes, little-endian, for each minimum.
    pub minimums: (usize, usize),
    /// The small integers.
    pub quants: (usize, usize),
    /// Bytes in all.
    pub bytes: usize,
}

impl Matrix {
    /// Blocks of 16 outputs.
    pub fn blocks(&self) -> usize {
        (self.outputs as usize).div_ceil(BLOCK)
    }

    /// Groups of 32 inputs.
    pub fn groups(&self) -> usize {
        (self.inputs as usize).div_ceil(GROUP)
    }

    /// Where its parts stand; each begins at a multiple of 64 bytes, the small integers at one of 512, so that a tile of
    /// [`Encoding::Int8`] or [`Encoding::Int4`] lies in one chunk of the hash. `None` if that overflows.
    pub fn layout(&self) -> Option<Layout> {
        let blocks = self.blocks();
        let tiles = blocks.checked_mul(self.groups())?;
        let (multipliers, minimums, quants) = match self.encoding {
            Encoding::Int8 => (16, 0, 512),
            Encoding::Int4 => (16, 32, 256),
            Encoding::Int6 => (32, 0, 384),
        };
        let mut bytes = 0_usize;
        let mut place = |count: usize, each: usize, alignment: usize| {
            let length = count.checked_mul(each)?;
            let offset = bytes.checked_next_multiple_of(alignment)?;
            bytes = offset.checked_add(length.checked_next_multiple_of(64)?)?;
            Some((offset, length))
        };
        let shifts = place(blocks, BLOCK, 64)?;
        let multipliers = place(tiles, multipliers, 64)?;
        let minimums = place(tiles, minimums, 64)?;
        let quants = place(tiles, quants, 512)?;
        Some(Layout {
            shifts,
            multipliers,
            minimums,
            quants,
            bytes,
        })
    }
}

/// A matrix with its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Shape and encoding.
    pub matrix: &'a Matrix,
    /// Bytes as [`Matrix::layout`] says.
    pub bytes: &'a [u8],
}

impl<'a> Weights<'a> {
    /// Joins a matrix and its bytes; `None` if there are not as many bytes as its layout has.
    pub fn new(matrix: &'a Matrix, bytes: &'a [u8]) -> Option<Self> {
        (matrix.layout()?.bytes == bytes.len()).then_some(Self { matrix, bytes })
    }

    fn byte(&self, part: (usize, usize), index: usize) -> u8 {
        self.bytes.get(part.0 + index).copied().unwrap_or(0)
    }

    /// The shift of a row.
    pub fn shift(&self, output: usize) -> u32 {
        self.matrix
            .layout()
            .map_or(0, |layout| u32::from(self.byte(layout.shifts, output)))
    }

    /// The integer at (`output`, `input`), before the row's shift: the multiplier is folded in.
    pub fn value(&self, output: usize, input: usize) -> i64 {
        let Some(layout) = self.matrix.layout() else {
            return 0;
        };
        let (block, row) = (output / BLOCK, output % BLOCK);
        let (group, place) = (input / GROUP, input % GROUP);
        let (quad, lane) = (place / 4, row * 4 + place % 4);
        let tile = block * self.matrix.groups() + group;
        match self.matrix.encoding {
            Encoding::Int8 => {
                let quant = self.byte(layout.quants, (tile * 8 + quad) * 64 + lane) as i8;
                i64::from(self.byte(layout.multipliers, tile * 16 + row)) * i64::from(quant)
            }
            Encoding::Int4 => {
                let both = self.byte(layout.quants, (tile * 4 + quad / 2) * 64 + lane);
                let quant = if quad % 2 == 0 { both & 15 } else { both >> 4 };
                let at = (tile * 16 + row) * 2;
                let minimum = [
                    self.byte(layout.minimums, at),
                    self.byte(layout.minimums, at + 1),
                ];
                i64::from(self.byte(layout.multipliers, tile * 16 + row)) * i64::from(quant)
                    - i64::from(u16::from_le_bytes(minimum))
            }
            Encoding::Int6 => {
                let both = self.byte(layout.quants, tile * 384 + quad / 2 * 64 + lane);
                let low = if quad % 2 == 0 { both & 15 } else { both >> 4 };
                let four = self.byte(layout.quants, tile * 384 + 256 + quad / 4 * 64 + lane);
                let quant = low | (four >> (quad % 4 * 2) & 3) << 4;
                let multiplier = self.byte(layout.multipliers, (tile * 2 + quad / 4) * 16 + row);
                i64::from(multiplier) * (i64::from(quant) - 32)
            }
        }
    }

    /// `Σ value(output, i) · x[i]`, times 2 to the row's shift.
    pub fn dot(&self, output: usize, x: &[i16]) -> i64 {
        let sum: i64 = x
            .iter()
            .enumerate()
            .map(|(i, m)| self.value(output, i) * i64::from(*m))
            .sum();
        sum << self.shift(output)
    }
}
