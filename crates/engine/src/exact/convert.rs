//! Floats of requests as integers of programs and back: at the edge, and without floating-point arithmetic.

use og_program::numbers::{align, clamp_mantissa};

/// A finite float as `m · 2^e`.
fn parts_of(x: f32) -> (i64, i32) {
    let bits = x.to_bits();
    let (exponent, fraction) = ((bits >> 23 & 255) as i32, i64::from(bits & 0x7f_ffff));
    let (m, e) = match exponent {
        0 => (fraction, -149),
        _ => (fraction | 1 << 23, exponent - 150),
    };
    (if x.is_sign_negative() { -m } else { m }, e)
}

/// The multiple of `2^exponent` nearest to a finite float, halves going up, clamped to mantissas of `bits` bits.
pub(super) fn mantissa_of(x: f32, exponent: i32, bits: u8) -> i16 {
    let (m, e) = parts_of(x);
    clamp_mantissa(align(m, e, exponent), bits)
}

/// How many of ascending thresholds, as bits of floats, are less than or equal to `x`.
pub(super) fn rank_of(x: f32, thresholds: &[u32]) -> u32 {
    thresholds.partition_point(|threshold| f32::from_bits(*threshold) <= x) as u32
}

/// An integer as an index.
pub(super) fn integer_of(x: i64) -> Option<u32> {
    u32::try_from(x).ok()
}

/// The float nearest to `mantissa · 2^exponent`; the largest finite one beyond the range. Exact for all that a float
/// holds with 24 bits, and halves of what is below go away from zero.
pub(super) fn float_of(mantissa: i16, exponent: i32) -> f32 {
    let magnitude = u32::from(mantissa.unsigned_abs());
    let sign = u32::from(mantissa < 0) << 31;
    if magnitude == 0 {
        return 0.0;
    }
    // The place of the leading bit: the number is in [2^top, 2^(top + 1)).
    let top = magnitude.ilog2() as i32;
    let place = top.saturating_add(exponent);
    let bits = if place > 127 {
        f32::MAX.to_bits()
    } else if place >= -126 {
        let fraction = magnitude << (23 - top) & 0x7f_ffff;
        ((place + 127) as u32) << 23 | fraction
    } else {
        // In units of 2^-149, below 2^23.
        align(i64::from(magnitude), exponent, -149) as u32
    };
    f32::from_bits(sign | bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn floats_round_to_the_nearest_multiple(x in -1e6_f32..1e6, exponent in -20_i32..10) {
            let scaled = f64::from(x) / 2_f64.powi(exponent);
            let expected = (scaled + 0.5).floor().clamp(-32_767.0, 32_767.0);
            prop_assert_eq!(f64::from(mantissa_of(x, exponent, 16)), expected);
        }

        #[test]
        fn numbers_become_the_floats_that_they_are(m in any::<i16>(), exponent in -200_i32..140) {
            let exact = f64::from(m) * 2_f64.powi(exponent);
            let float = float_of(m, exponent);
            if exact.abs() > f64::from(f32::MAX) {
                prop_assert_eq!(float.abs(), f32::MAX);
            } else if exact.abs() >= f64::from(f32::MIN_POSITIVE) || exact == 0.0 {
                prop_assert_eq!(f64::from(float), exact);
            } else {
                prop_assert!((f64::from(float) - exact).abs() <= 2_f64.powi(-150));
            }
        }

        #[test]
        fn any_bits_of_a_float_are_taken(bits in any::<u32>(), exponent in -1024_i32..=1024) {
            mantissa_of(f32::from_bits(bits), exponent, 12);
        }
    }

    #[test]
    fn ranks_count_thresholds_up_to_a_number() {
        let thresholds = [-1.5_f32, 0.0, 2.5].map(f32::to_bits);
        let ranks = [-2.0, -1.5, -0.0, 2.4, 2.5, 9.0].map(|x| rank_of(x, &thresholds));
        assert_eq!(ranks, [0, 1, 2, 2, 3, 3]);
        assert_eq!(
            (integer_of(-1), integer_of(7), integer_of(1 << 32)),
            (None, Some(7), None)
        );
        assert_eq!(
            (float_of(3, i32::MAX), float_of(-3, i32::MIN)),
            (f32::MAX, -0.0)
        );
    }
}
