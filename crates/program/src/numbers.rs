//! Arithmetic that is defined by what its results satisfy, not by how they are computed
//! (`docs/spec/program.md`, section 3).

/// Largest magnitude of a wide number: 2^62 - 1.
pub const WIDE_MAX: i64 = (1 << 62) - 1;

/// Exponent of a row of zeros, lower than that of any other row.
pub const ZERO_EXPONENT: i32 = -32_768;

/// The least `n` with `|x| < 2^n`.
pub const fn bits(x: i64) -> u32 {
    u64::BITS - x.unsigned_abs().leading_zeros()
}

/// The largest magnitude of a mantissa of `bits` bits: `2^(bits - 1) - 1`. `bits` is 2 to 16.
pub const fn mantissa_max(bits: u8) -> i16 {
    ((1_i32 << (bits - 1)) - 1) as i16
}

/// The `y` with `x + h = y·2^s + r`, `0 ≤ r < 2^s` and `h = 2^(s-1)` (0 for `s = 0`): division by a
/// power of two, halves going up. `s` is at most 62 and `|x|` below 2^63 - 2^61.
#[inline]
pub const fn shift(x: i64, s: u32) -> i64 {
    match s {
        0 => x,
        s => (x + (1 << (s - 1))) >> s,
    }
}

/// `shift(x·k, s)`: multiplication by a fraction. The product is below 2^62 (widths are proven).
pub const fn rescale(x: i64, k: u32, s: u32) -> i64 {
    shift(x * k as i64, s)
}

/// The `q` with `a = q·b + r` and `0 ≤ r < b`; 0 for `b = 0`.
#[inline]
pub const fn divide(a: i64, b: i64) -> i64 {
    match b {
        0 => 0,
        b => a.div_euclid(b),
    }
}

/// `x·2^from` as a multiple of `2^to`: exact and clamped to ±[`WIDE_MAX`] where `from ≥ to`, rounded as
/// [`shift`] does otherwise.
#[inline]
pub const fn align(x: i64, from: i32, to: i32) -> i64 {
    if from < to {
        let places = to.abs_diff(from);
        return shift(x, if places > 62 { 62 } else { places });
    }
    let places = from.abs_diff(to);
    if x == 0 {
        return 0;
    }
    if places.saturating_add(bits(x)) > 62 {
        return if x < 0 { -WIDE_MAX } else { WIDE_MAX };
    }
    x << places
}

/// An inverse square root: `r` and the even `t` with `c = b·2^t` in `[2^30, 2^32)` (for a negative `t`
/// shifted down without rounding) and `r²·c ≤ 2^62 < (r+1)²·c`. So `1/√b ≈ r·2^(t/2 - 31)` and `r` is in
/// `[2^15, 2^16]`. `None` for `b ≤ 0`.
pub const fn inverse_root(b: i64) -> Option<(u32, i32)> {
    if b <= 0 {
        return None;
    }
    let mut t = 32 - bits(b) as i32;
    if t % 2 != 0 {
        t -= 1;
    }
    let c = if t >= 0 { b << t } else { b >> -t };
    let (mut low, mut high) = (1_u64 << 15, (1_u64 << 16) + 1);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if middle as u128 * middle as u128 * c as u128 <= 1 << 62 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some((low as u32, t))
}

/// The exponent of a row whose largest magnitude is `largest · 2^exponent` when its mantissas have
/// `bits` bits, and by how many places they are shifted: see `normalise` in the specification.
pub const fn row_exponent(largest: i64, exponent: i32, mantissa_bits: u8) -> (i32, u32) {
    if largest == 0 {
        return (ZERO_EXPONENT, 0);
    }
    let places = bits(largest).saturating_sub(mantissa_bits as u32 - 1);
    let to = clamp_exponent(exponent.saturating_add(places as i32));
    // Where the exponent is clamped, the mantissas are the same numbers at that exponent, clamped too.
    let places = if to > exponent {
        to.abs_diff(exponent)
    } else {
        0
    };
    (to, if places > 62 { 62 } else { places })
}

/// Exponents stay within ±32767 whatever a program does.
pub const fn clamp_exponent(exponent: i32) -> i32 {
    if exponent > 32_767 {
        32_767
    } else if exponent < -32_767 {
        -32_767
    } else {
        exponent
    }
}

/// `x` clamped to the symmetric range of mantissas of `bits` bits.
pub fn clamp_mantissa(x: i64, bits: u8) -> i16 {
    let limit = i64::from(mantissa_max(bits));
    x.clamp(-limit, limit) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shift_satisfies_its_definition(x in -(1_i64 << 62)..(1 << 62), s in 0_u32..=62) {
            let half = if s == 0 { 0 } else { 1_i128 << (s - 1) };
            let remainder = i128::from(x) + half - (i128::from(shift(x, s)) << s);
            prop_assert!((0..1_i128 << s).contains(&remainder));
        }

        #[test]
        fn divide_satisfies_its_definition(a in any::<i64>(), b in 1..i64::MAX) {
            let remainder = i128::from(a) - i128::from(divide(a, b)) * i128::from(b);
            prop_assert!((0..i128::from(b)).contains(&remainder));
        }

        #[test]
        fn inverse_root_satisfies_its_definition(b in 1..=i64::MAX, places in 0_u32..63) {
            let b = (b >> places).max(1);
            let (r, t) = inverse_root(b).unwrap();
            let c = if t >= 0 { i128::from(b) << t } else { i128::from(b) >> -t };
            prop_assert!(t % 2 == 0 && (1 << 30..1_i128 << 32).contains(&c));
            let r = i128::from(r);
            prop_assert!(r * r * c <= 1 << 62 && (1 << 62) < (r + 1) * (r + 1) * c);
        }

        #[test]
        fn align_is_exact_upwards_and_rounds_downwards(x in -(1_i64 << 40)..(1 << 40), from in -40..40, to in -40..40) {
            let y = align(x, from, to);
            if from < to {
                prop_assert_eq!(y, shift(x, (to - from).min(62) as u32));
            } else {
                let exact = i128::from(x) << (from - to);
                let limit = i128::from(WIDE_MAX);
                prop_assert_eq!(i128::from(y), exact.clamp(-limit, limit));
            }
        }

        #[test]
        fn a_row_exponent_makes_the_largest_fit(largest in 1_i64..(1 << 62), bits in 10_u8..=16) {
            let (exponent, places) = row_exponent(largest, 0, bits);
            prop_assert_eq!(exponent, places as i32);
            // Rounding may give 2^(bits - 1), which is then clamped by one.
            prop_assert!(shift(largest, places) <= i64::from(mantissa_max(bits)) + 1);
            prop_assert!(places == 0 || shift(largest, places - 1) > i64::from(mantissa_max(bits)));
        }
    }

    #[test]
    fn nothing_divides_by_zero() {
        assert_eq!(divide(7, 0), 0);
        assert_eq!(inverse_root(0), None);
        assert_eq!(row_exponent(0, 5, 12), (ZERO_EXPONENT, 0));
        assert_eq!(align(0, i32::MAX, i32::MIN), 0);
        assert_eq!(align(-1, i32::MAX, i32::MIN), -WIDE_MAX);
    }
}
