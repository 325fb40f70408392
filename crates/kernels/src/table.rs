//! Tables, looked up one entry at a time: gathers are slower on the processors where they were measured.

use core::hint::black_box;

/// How many elements are looked up at once: their indices are computed in vectors and pass through memory, because taking
/// them out of vectors one by one is slower.
pub(crate) const CHUNK: usize = 64;

/// The table's entry at an index, the last for indices beyond it; 0 if the table is empty.
#[inline(always)]
pub(crate) fn entry(table: &[i16], index: u32) -> i16 {
    let last = table.len().saturating_sub(1);
    table.get((index as usize).min(last)).copied().unwrap_or(0)
}

/// Writes the entries at as many indices as there are values.
#[inline(always)]
pub(crate) fn look_up(table: &[i16], indices: &[u32; CHUNK], values: &mut [i64]) {
    for (value, index) in values.iter_mut().zip(black_box(indices)) {
        *value = i64::from(entry(table, *index));
    }
}
