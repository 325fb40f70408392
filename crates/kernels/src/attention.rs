//! Attention over cached keys and values.
//!
//! The cache of one key head is made of blocks of [`POSITIONS`] positions, each [`Plan::block_len`] numbers: first keys,
//! for each pair of elements that pair of each position; then values, for each pair of positions that pair of each
//! element. So scores and weighted sums are both what [`crate::tile`] does, with queries or weights as rows.

mod finish;
mod scores;
mod weighted;
mod wide;

use crate::{
    columns::Columns,
    lanes::{Lanes, Operation},
    path::Kernels,
    tile::{piece, with_height},
};
use core::ops::Range;
use og_program::{
    operation::{Attention, Scale, Table, Vector},
    value::{Type, moved},
};

/// Positions of a block.
pub const POSITIONS: usize = 32;

/// Places by which a mean is finer than the values it is of.
const MEAN_PLACES: u32 = 12;

/// What `og_program::operation::Operation::Attend` needs to know, worked out once.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    attention: &'a Attention,
    weights: &'a [i16],
    cap: Option<&'a Table>,
    group: usize,
    key_width: usize,
    value_width: usize,
    /// Whether a score fits 32 bits.
    narrow: bool,
    /// The largest magnitude of a value.
    largest_value: u64,
}

/// One position that asks: a row of queries of all heads, and the positions that it sees.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// Mantissas of all query heads.
    pub mantissas: &'a [i16],
    /// Positions that it sees; see [`Plan::visible`].
    pub visible: Range<usize>,
}

/// Memory that is reused from one call to the next: about `8 · (8 · positions + 4 · width of a key + 8 · width of a
/// value)` bytes.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch {
    /// For each pair of a key's elements, that pair of each row.
    queries: Vec<i32>,
    /// For each row, a score for each position.
    scores: Vec<i32>,
    /// For each block and row, the weights of its positions in pairs.
    weights: Vec<[i32; POSITIONS / 2]>,
    /// For each block, the sum of each row's weights.
    block_sums: Vec<u32>,
    /// For each row, the sum of weighted values, in vectors of sixteen.
    sums: Vec<[i64; 16]>,
}

impl<'a> Plan<'a> {
    /// A plan for an attention whose operands have the types `[queries, keys, values]`; `weights` and `cap` are the vector
    /// and the table that it names. All of a checked program.
    #[must_use]
    pub fn new(
        attention: &'a Attention,
        [queries, keys, values]: [&Type; 3],
        weights: &'a Vector,
        cap: Option<&'a Table>,
    ) -> Self {
        let (heads, kv_heads) = (attention.heads.max(1), attention.kv_heads.max(1));
        let key_width = (keys.width / kv_heads) as usize;
        let largest = |of: &Type| of.largest().unsigned_abs();
        let score = largest(queries)
            .saturating_mul(largest(keys))
            .saturating_mul(key_width as u64);
        Self {
            attention,
            weights: &weights.mantissas,
            cap,
            group: (heads / kv_heads) as usize,
            key_width,
            value_width: (values.width / kv_heads) as usize,
            narrow: score < 1 << 31,
            largest_value: largest(values),
        }
    }

    /// 16-bit numbers of one block of one key head. A multiple of 32; begin blocks at multiples of 64 bytes.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.keys_len() + POSITIONS * self.value_vectors() * 16
    }

    fn keys_len(&self) -> usize {
        self.key_pairs() * 2 * POSITIONS
    }

    fn key_pairs(&self) -> usize {
        self.key_width.div_ceil(2)
    }

    fn value_vectors(&self) -> usize {
        self.value_width.div_ceil(16)
    }

    /// Writes a position's key and value of one head into its place of a block: `place` is the position modulo
    /// [`POSITIONS`]. What the block held in other places stays.
    pub fn append(&self, block: &mut [i16], place: usize, key: &[i16], value: &[i16]) {
        let place = place % POSITIONS;
        let (keys, values) = block.split_at_mut(self.keys_len().min(block.len()));
        for (line, pair) in keys.chunks_exact_mut(2 * POSITIONS).zip(key.chunks(2)) {
            line[2 * place..][..pair.len()].copy_from_slice(pair);
        }
        let line = self.value_vectors() * 32;
        let values = values
            .chunks_exact_mut(line)
            .nth(place / 2)
            .unwrap_or(&mut []);
        let places = values.iter_mut().skip(place % 2).step_by(2);
        for (to, from) in places.zip(value) {
            *to = *from;
        }
    }

    /// The positions that `position` sees, of `count` positions that there are.
    #[must_use]
    pub fn visible(&self, position: usize, causal: bool, count: usize) -> Range<usize> {
        let window = self
            .attention
            .window
            .map_or(usize::MAX, |window| window as usize);
        let end = if causal {
            position + 1
        } else {
            count.min(position.saturating_add(window))
        };
        let start = (position + 1).saturating_sub(window);
        start.min(end)..end
    }

    /// Exponents of the result, one for each query head, given those of the values.
    #[must_use]
    pub fn exponents(&self, values: &[i32]) -> Vec<i32> {
        let each = |e: &i32| core::iter::repeat_n(moved(*e, -(MEAN_PLACES as i32)), self.group);
        values.iter().flat_map(each).collect()
    }

    fn scale(&self, head: usize) -> Scale {
        let none = Scale {
            multiplier: 1,
            places: 0,
        };
        self.attention.scales.get(head).copied().unwrap_or(none)
    }
}

/// Writes the wide result of attention of some query heads: `out` has a row for each query and, for each head of `heads`,
/// as many columns as a value is wide. All queries see one sequence; `block(kv_head, index)` gives its cache, and every
/// position that a query sees has been appended to it. Threads share the work by taking different heads, best those of
/// whole key heads.
pub fn attend<'c>(
    kernels: Kernels,
    plan: &Plan<'_>,
    heads: Range<usize>,
    queries: &[Query<'_>],
    block: impl Fn(usize, usize) -> &'c [i16],
    scratch: &mut AttentionScratch,
    mut out: Columns<'_>,
) {
    let mut head = heads.start;
    while head < heads.end {
        let kv_head = head / plan.group.max(1);
        let end = ((kv_head + 1) * plan.group.max(1)).min(heads.end);
        let block = |index: usize| block(kv_head, index);
        if plan.narrow {
            kernels.run(KeyHead {
                plan,
                heads: head..end,
                first: heads.start,
                queries,
                block,
                scratch: &mut *scratch,
                out: &mut out,
            });
        } else {
            wide::attend(plan, head..end, heads.start, queries, block, &mut out);
        }
        head = end;
    }
}

/// The query heads of one key head.
struct KeyHead<'a, 'o, B> {
    plan: &'a Plan<'a>,
    heads: Range<usize>,
    /// The head of the first columns of `out`.
    first: usize,
    queries: &'a [Query<'a>],
    block: B,
    scratch: &'a mut AttentionScratch,
    out: &'a mut Columns<'o>,
}

/// One row of a tile: a head of a query.
#[derive(Clone, Copy)]
struct Place {
    query: usize,
    head: usize,
}

impl<'c, B: Fn(usize) -> &'c [i16]> Operation for KeyHead<'_, '_, B> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let rows = self.queries.len() * self.heads.len();
        let most = L::ROWS;
        for tile in 0..rows.div_ceil(most) {
            let (first, height) = piece(rows, most, tile);
            with_height!(height, attend_tile::<L, _>(lanes, &mut self, first));
        }
    }
}

/// `R` rows from row `first` on.
#[inline(always)]
fn attend_tile<'c, L: Lanes, B: Fn(usize) -> &'c [i16], const R: usize>(
    lanes: L,
    of: &mut KeyHead<'_, '_, B>,
    first: usize,
) {
    let places: [Place; R] = core::array::from_fn(|r| Place {
        query: (first + r) / of.heads.len(),
        head: of.heads.start + (first + r) % of.heads.len(),
    });
    let visible = places.map(|place| of.queries[place.query].visible.clone());
    let start = visible.iter().map(|v| v.start).min().unwrap_or(0) / POSITIONS;
    let end = visible
        .iter()
        .map(|v| v.end)
        .max()
        .unwrap_or(0)
        .div_ceil(POSITIONS);
    let blocks = start.min(end)..end;
    let (plan, scratch) = (of.plan, &mut *of.scratch);
    scores::interleave(plan, of.queries, &places, &mut scratch.queries);
    scores::compute::<L, R>(lanes, plan, blocks.clone(), &of.block, scratch);
    let totals = scores::weigh::<R>(plan, &places, &visible, blocks.clone(), scratch);
    weighted::sum::<L, R>(lanes, plan, blocks, &of.block, scratch);
    for (r, place) in places.into_iter().enumerate() {
        let width = plan.value_width;
        let columns = (place.head - of.first) * width..(place.head - of.first + 1) * width;
        let out = of.out.row(place.query).get_mut(columns).unwrap_or(&mut []);
        let vectors = plan.value_vectors();
        let sums = scratch.sums[r * vectors..][..vectors].as_flattened();
        finish::mean(sums, totals[r], out);
    }
}

#[cfg(test)]
mod tests;
