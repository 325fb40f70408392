//! Division of many numbers by one, without dividing.

/// A divisor with its reciprocal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divisor {
    by: u64,
    /// ⌊(2^64 - 1) / by⌋.
    reciprocal: u64,
}

impl Divisor {
    /// A divisor that is not negative.
    pub(crate) fn new(by: u64) -> Self {
        let reciprocal = u64::MAX.checked_div(by).unwrap_or(0);
        Self { by, reciprocal }
    }

    /// `og_program::numbers::divide(a, by)` for magnitudes below 2^62.
    ///
    /// The reciprocal `m` satisfies `2^64 / by - 1 ≤ m ≤ 2^64 / by`, so `|a|·m / 2^64` is at most `|a| / by` and more than
    /// `|a| / by - 1/4`: its floor is the quotient or one less, which the remainder shows.
    #[inline(always)]
    pub(crate) fn divide(self, a: i64) -> i64 {
        if self.by == 0 {
            return 0;
        }
        let magnitude = a.unsigned_abs();
        let estimate = ((u128::from(magnitude) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = magnitude.wrapping_sub(estimate.wrapping_mul(self.by));
        let (more, left) = if rest >= self.by {
            (1, rest - self.by)
        } else {
            (0, rest)
        };
        let quotient = (estimate + more) as i64;
        // Towards minus infinity: ⌊-x⌋ = -⌈x⌉.
        if a < 0 {
            -quotient - i64::from(left > 0)
        } else {
            quotient
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Divisor;
    use og_program::numbers::divide;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quotients_equal_the_definition(a in -(1_i64 << 62)..(1 << 62), b in 0..=i64::MAX, s in 0..64_u32, t in 0..63_u32) {
            let (a, b) = (a >> s.min(61), b >> t);
            prop_assert_eq!(Divisor::new(b as u64).divide(a), divide(a, b));
        }

        #[test]
        fn multiples_and_their_neighbours_divide_well(b in 1..1_i64 << 31, q in -(1_i64 << 30)..1 << 30, by in -1..=1_i64) {
            let a = b * q + by;
            prop_assert_eq!(Divisor::new(b as u64).divide(a), divide(a, b));
        }
    }
}
