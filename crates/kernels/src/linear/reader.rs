//! One row of a matrix, a group at a time.

use super::view::{BlockView, View};
use og_program::matrix::{BLOCK, Encoding, GROUP, Weights};

/// Reads one output's weights.
pub(crate) struct RowReader<'a> {
    block: Option<BlockView<'a>>,
    encoding: Encoding,
    row: usize,
}

impl<'a> RowReader<'a> {
    /// A reader of an output that the matrix has. If the bytes are not the matrix's, all weights are 0.
    pub(crate) fn new(weights: &Weights<'a>, output: usize) -> Self {
        let view = View::new(weights).ok();
        Self {
            block: view.map(|view| view.block(output / BLOCK)),
            encoding: weights.matrix.encoding,
            row: output % BLOCK,
        }
    }

    /// The weights of one group, before the row's shift, as [`Weights::value`] defines them.
    pub(crate) fn group(&self, group: usize) -> [i32; GROUP] {
        let mut out = [0; GROUP];
        let Some(block) = self.block else { return out };
        let of = |part: &'a [u8], each: usize| part.get(group * each..(group + 1) * each);
        // The four bytes of this row in a line of 64.
        let four = |line: usize, quants: &[u8]| -> [i32; 4] {
            let four = quants
                .get(line * 64 + self.row * 4..)
                .and_then(|q| q.first_chunk::<4>());
            four.unwrap_or(&[0; 4]).map(i32::from)
        };
        let byte = |bytes: Option<&[u8]>, at: usize| -> i32 {
            bytes
                .and_then(|bytes| bytes.get(at))
                .map_or(0, |byte| i32::from(*byte))
        };
        for (quad, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            // Where two quads share a line, the second has the high half of each byte.
            let half = |both: [i32; 4]| both.map(|both| both >> (quad % 2 * 4) & 15);
            *out = match self.encoding {
                Encoding::Int8 => {
                    let quants = of(block.quants, 512).unwrap_or(&[]);
                    let k = byte(of(block.multipliers, 16), self.row);
                    four(quad, quants).map(|q| k * i32::from(q as u8 as i8))
                }
                Encoding::Int4 => {
                    let quants = of(block.quants, 256).unwrap_or(&[]);
                    let k = byte(of(block.multipliers, 16), self.row);
                    let minimum = of(block.minimums, 32);
                    let n = byte(minimum, self.row * 2) | byte(minimum, self.row * 2 + 1) << 8;
                    half(four(quad / 2, quants)).map(|q| k * q - n)
                }
                Encoding::Int6 => {
                    let quants = of(block.quants, 384).unwrap_or(&[]);
                    let k = byte(of(block.multipliers, 32), quad / 4 * 16 + self.row);
                    let low = half(four(quad / 2, quants));
                    let high = four(4 + quad / 4, quants).map(|q| q >> (quad % 4 * 2) & 3);
                    core::array::from_fn(|i| k * ((low[i] | high[i] << 4) - 32))
                }
            };
        }
        out
    }
}
