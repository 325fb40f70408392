//! The division that makes a mean of a weighted sum.

use super::MEAN_PLACES;
use og_program::numbers::divide;

/// `divide(sum · 2^12, total)` of each sum.
#[inline(always)]
pub(super) fn mean(sums: &[i64], total: u64, out: &mut [i64]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = divide(sum << MEAN_PLACES, total as i64);
    }
}
