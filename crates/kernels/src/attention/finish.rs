//! The division that makes a mean of a weighted sum.

use super::MEAN_PLACES;
use crate::divide::Divisor;

/// `divide(sum · 2^12, total)` of each sum.
#[inline(always)]
pub(super) fn mean(sums: &[i64], total: u64, out: &mut [i64]) {
    let total = Divisor::new(total);
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = total.divide(sum << MEAN_PLACES);
    }
}
