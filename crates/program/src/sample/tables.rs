//! Powers and logarithms of e, by integers: two tables whose entries are the integers nearest to what they stand for.

/// Bits of a number of units of 2^-16 that the fine table takes.
const FINE_BITS: u32 = 11;
/// Entries of the coarse table: 24 units of 1, beyond which a power is less than half of 2^-31.
const COARSE: usize = 24 * 32;
/// Entries of the fine table.
const FINE: usize = 1 << FINE_BITS;

/// Entry `k` is the integer nearest to 2^31·e^(-k/32).
static COARSE_POWERS: [u32; COARSE] = powers(32);
/// Entry `k` is the integer nearest to 2^31·e^(-k/65536).
static FINE_POWERS: [u32; FINE] = powers(1 << 16);

/// The integers nearest to 2^31·e^(-k/divisor), from powers of e^(-1/divisor) with 63 places. Each product loses less than
/// 2^-62, and a test shows that none of these entries is so near to a half that this could matter.
const fn powers<const COUNT: usize>(divisor: u128) -> [u32; COUNT] {
    let mut entries = [0; COUNT];
    let ratio = ratio(divisor);
    let mut power = 1_u128 << 63;
    let mut k = 0;
    while k < COUNT {
        entries[k] = ((power + (1 << 31)) >> 32) as u32;
        power = (power * ratio) >> 63;
        k += 1;
    }
    entries
}

/// 2^63·e^(-1/divisor), by its series with 120 places.
const fn ratio(divisor: u128) -> u128 {
    let (mut term, mut n) = (1_u128 << 120, 1);
    let (mut added, mut taken) = (term, 0);
    while term > 0 {
        term /= divisor * n;
        if n % 2 == 1 {
            taken += term;
        } else {
            added += term;
        }
        n += 1;
    }
    (added - taken) >> 57
}

/// 2^62·e^-x for `x ≥ 0` in units of 2^-16: the product of two entries.
#[inline]
pub(super) fn power(x: i64) -> i64 {
    let coarse = usize::try_from(x >> FINE_BITS).ok();
    let coarse = coarse.and_then(|x| COARSE_POWERS.get(x)).copied();
    let fine = FINE_POWERS[x as usize % FINE];
    i64::from(coarse.unwrap_or(0)) * i64::from(fine)
}

/// 2^32·ln 2, to the nearest integer.
const LN_2: i64 = 2_977_044_472;

/// ln(x / 2^31) in units of 2^-16, for `x ≥ 2^31`; 0 below.
///
/// `x` is scaled to `m` in [2^31, 2^32); twenty times `m` is squared, and each time that the square is 2 or more, it is halved
/// and a binary place of the logarithm to base 2 is 1.
pub(super) fn logarithm(x: i64) -> i64 {
    let Ok(whole @ 31..) = u32::try_from(i64::from(crate::numbers::bits(x)) - 1) else {
        return 0;
    };
    let mut m = (x as u64) << (63 - whole) >> 32;
    let mut places = i64::from(whole - 31);
    for _ in 0..20 {
        let square = (m * m) >> 31;
        let carry = square >> 32;
        m = square >> carry;
        places = places << 1 | carry as i64;
    }
    crate::numbers::shift(places * LN_2, 36)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// By doubles, whose error is far below the distance of any entry from a half.
    #[test]
    fn entries_are_the_nearest_integers() {
        let near = |entries: &[u32], divisor: f64| {
            for (k, entry) in entries.iter().enumerate() {
                let exact = (31.0_f64 * 2.0_f64.ln() - k as f64 / divisor).exp();
                // Nearer to a half, neither side would be proven.
                assert!((f64::from(*entry) - exact).abs() < 0.499_99, "entry {k}");
            }
        };
        near(&COARSE_POWERS, 32.0);
        near(&FINE_POWERS, 65_536.0);
    }

    #[test]
    fn entries_never_change() {
        let all = COARSE_POWERS.iter().chain(&FINE_POWERS);
        let bytes: Vec<u8> = all.flat_map(|entry| entry.to_be_bytes()).collect();
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "1bd8433accad698fa44547856ead64c7cdbcabf77fe6406c9f413ef385f7dd9a"
        );
    }

    #[test]
    fn logarithms_are_within_a_unit() {
        for bits in 31..62 {
            for step in 0..1_000_i64 {
                let x = (1_i64 << bits) + (step << bits) / 1_000;
                let exact = (x as f64 / 2.0_f64.powi(31)).ln() * 65_536.0;
                assert!((logarithm(x) as f64 - exact).abs() < 0.6, "{x}");
            }
        }
        assert_eq!(logarithm(0), 0);
    }
}
