//! Numbers with fractions. They are read once, here, as the nearest multiple of 2^-16, and reckoned with as integers ever after.

use og_types::language::ONE;

/// The nearest multiple of 2^-16, halves away from zero; what is out of range becomes the outermost.
///
/// Multiplying by a power of two is exact, so every machine finds the same multiple.
pub(crate) fn read(value: f64) -> i64 {
    (value * ONE as f64).round() as i64
}

/// The number that a multiple of 2^-16 is. Exact below 2^53.
pub(crate) fn write(multiple: i64) -> f64 {
    multiple as f64 / ONE as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fractions_become_the_nearest_multiple() {
        assert_eq!(read(0.7), 45_875);
        assert_eq!(read(-2.0), -2 * ONE);
        assert_eq!(read(1.0 / 131_072.0), 1, "a half goes away from zero");
        assert_eq!(read(1e300), i64::MAX);
        assert_eq!(write(45_875), 0.699_996_948_242_187_5);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(multiple in -(1_i64 << 52)..1 << 52) {
            prop_assert_eq!(read(write(multiple)), multiple);
        }
    }
}
