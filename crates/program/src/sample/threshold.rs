//! Thresholds of top-k and top-p: selection, not sorting.

use std::cmp::Reverse;

/// The `k`th greatest of more than `k ≥ 1` numbers.
pub(super) fn kth_greatest(numbers: impl Iterator<Item = i64>, k: usize) -> i64 {
    let mut numbers: Vec<i64> = numbers.collect();
    let (_, least, _) = numbers.select_nth_unstable_by_key(k - 1, |x| Reverse(*x));
    *least
}

/// The greatest weight `v` such that weights of at least `v` together are at least `share` (in units of 2^-16) of
/// `total`, the sum of all.
pub(super) fn least_of_share(weights: impl Iterator<Item = i64>, total: i64, share: u32) -> i64 {
    let mut weights: Vec<i64> = weights.filter(|weight| *weight > 0).collect();
    let mut missing = (i128::from(total) * i128::from(share) + 0xffff) >> 16;
    let mut rest = weights.as_mut_slice();
    // Greater weights than those of `rest` are counted, and are not enough.
    while rest.len() > 1 {
        let (greater, middle, less) =
            rest.select_nth_unstable_by_key((rest.len() - 1) / 2, |weight| Reverse(*weight));
        let upper = greater.iter().sum::<i64>();
        if i128::from(upper) >= missing && !greater.is_empty() {
            rest = greater;
        } else if i128::from(upper + *middle) >= missing || less.is_empty() {
            return *middle;
        } else {
            missing -= i128::from(upper + *middle);
            rest = less;
        }
    }
    rest.first().copied().unwrap_or(0)
}
