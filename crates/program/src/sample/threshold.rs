//! Thresholds of top-k and top-p: selection, not sorting.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The `k`th greatest of some numbers; `None` if `k` is 0 or there are not more than `k`.
pub(super) fn kth_greatest(numbers: impl Iterator<Item = i64>, k: usize) -> Option<i64> {
    /// A heap of more than this is slower than a list of all numbers.
    const LARGEST_HEAP: usize = 256;
    if k == 0 {
        return None;
    }
    if k > LARGEST_HEAP {
        let mut numbers: Vec<i64> = numbers.collect();
        let more = numbers.len() > k;
        return more.then(|| *numbers.select_nth_unstable_by_key(k - 1, |x| Reverse(*x)).1);
    }
    let mut greatest = BinaryHeap::with_capacity(k + 1);
    let mut more = false;
    for x in numbers {
        if greatest.len() < k {
            greatest.push(Reverse(x));
            continue;
        }
        more = true;
        if let Some(mut least) = greatest.peek_mut()
            && x > least.0
        {
            *least = Reverse(x);
        }
    }
    greatest.peek().filter(|_| more).map(|least| least.0)
}

/// The greatest weight `v` such that weights of at least `v` together are at least `share` (in units of 2^-16) of
/// the sum of all. Weights are above 0.
pub(super) fn least_of_share(weights: impl Iterator<Item = u32>, share: u32) -> u32 {
    let mut weights: Vec<u32> = weights.collect();
    let sum = |weights: &[u32]| weights.iter().map(|w| u128::from(*w)).sum::<u128>();
    let mut missing = (sum(&weights) * u128::from(share)).div_ceil(1 << 16);
    let mut rest = weights.as_mut_slice();
    // Greater weights than those of `rest` are counted, and are not enough.
    while rest.len() > 1 {
        let (greater, middle, less) =
            rest.select_nth_unstable_by_key((rest.len() - 1) / 2, |weight| Reverse(*weight));
        let upper = sum(greater);
        if upper >= missing && !greater.is_empty() {
            rest = greater;
        } else if upper + u128::from(*middle) >= missing || less.is_empty() {
            return *middle;
        } else {
            missing -= upper + u128::from(*middle);
            rest = less;
        }
    }
    rest.first().copied().unwrap_or(0)
}
