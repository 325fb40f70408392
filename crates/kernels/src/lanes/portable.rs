//! Sixteen lanes in plain Rust.

use super::Lanes;

/// Runs everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// Applies `f` to each lane.
#[inline(always)]
fn each(mut x: [i32; 16], f: impl Fn(i32) -> i32) -> [i32; 16] {
    for lane in &mut x {
        *lane = f(*lane);
    }
    x
}

/// Applies `f` to each pair of lanes.
#[inline(always)]
fn both(mut a: [i32; 16], b: [i32; 16], f: impl Fn(i32, i32) -> i32) -> [i32; 16] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = f(*a, b);
    }
    a
}

/// The two halves of a lane.
#[inline(always)]
const fn halves(x: i32) -> (i16, i16) {
    (x as i16, (x >> 16) as i16)
}

/// Applies `f` to both halves of a lane.
#[inline(always)]
fn on_halves(x: i32, f: impl Fn(i16) -> i16) -> i32 {
    let (low, high) = halves(x);
    super::pair(f(low), f(high))
}

impl Lanes for Portable {
    type V = [i32; 16];
    type W = [i64; 16];
    const ROWS: usize = 2;

    #[inline(always)]
    fn zero(self) -> Self::V {
        [0; 16]
    }
    #[inline(always)]
    fn splat(self, x: i32) -> Self::V {
        [x; 16]
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 64]) -> Self::V {
        let mut out = [0; 16];
        for (out, four) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *out = i32::from_le_bytes(*four);
        }
        out
    }
    #[inline(always)]
    fn load(self, from: &[i16; 32]) -> Self::V {
        let mut out = [0; 16];
        for (out, two) in out.iter_mut().zip(from.as_chunks::<2>().0) {
            *out = super::pair(two[0], two[1]);
        }
        out
    }
    #[inline(always)]
    fn store(self, x: Self::V, to: &mut [i16; 32]) {
        for (to, x) in to.as_chunks_mut::<2>().0.iter_mut().zip(x) {
            *to = halves(x).into();
        }
    }
    #[inline(always)]
    fn store_lanes(self, x: Self::V, to: &mut [i32; 16]) {
        *to = x;
    }
    #[inline(always)]
    fn widen_u8(self, bytes: &[u8; 16]) -> Self::V {
        let mut out = [0; 16];
        for (out, byte) in out.iter_mut().zip(bytes) {
            *out = i32::from(*byte);
        }
        out
    }
    #[inline(always)]
    fn widen_u16(self, bytes: &[u8; 32]) -> Self::V {
        let mut out = [0; 16];
        for (out, two) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *out = i32::from(u16::from_le_bytes(*two));
        }
        out
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        both(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        both(a, b, |a, b| a.max(b))
    }
    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        both(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        both(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn shl16(self, x: Self::V, n: u32) -> Self::V {
        each(x, |x| on_halves(x, |h| h.wrapping_shl(n)))
    }
    #[inline(always)]
    fn shr16(self, x: Self::V, n: u32) -> Self::V {
        each(x, |x| on_halves(x, |h| (h as u16).wrapping_shr(n) as i16))
    }
    #[inline(always)]
    fn sar16(self, x: Self::V, n: u32) -> Self::V {
        each(x, |x| on_halves(x, |h| h.wrapping_shr(n)))
    }
    #[inline(always)]
    fn mul16(self, a: Self::V, b: Self::V) -> Self::V {
        both(a, b, |a, b| {
            let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
            super::pair(a0.wrapping_mul(b0), a1.wrapping_mul(b1))
        })
    }
    #[inline(always)]
    fn sub16(self, a: Self::V, b: Self::V) -> Self::V {
        both(a, b, |a, b| {
            let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
            super::pair(a0.wrapping_sub(b0), a1.wrapping_sub(b1))
        })
    }
    #[inline(always)]
    fn abs16(self, x: Self::V) -> Self::V {
        each(x, |x| on_halves(x, i16::wrapping_abs))
    }
    #[inline(always)]
    fn twice16(self, x: Self::V) -> Self::V {
        each(x, |x| super::pair(x as i16, x as i16))
    }
    #[inline(always)]
    fn dot(self, acc: Self::V, a: Self::V, b: Self::V) -> Self::V {
        let products = both(a, b, |a, b| {
            let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
            (i32::from(a0) * i32::from(b0)).wrapping_add(i32::from(a1) * i32::from(b1))
        });
        both(acc, products, i32::wrapping_add)
    }
    #[inline(always)]
    fn spill(self, x: Self::V, to: &mut [i64; 16]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = to.wrapping_add(i64::from(x));
        }
    }
    #[inline(always)]
    fn wide_zero(self) -> Self::W {
        [0; 16]
    }
    #[inline(always)]
    fn wide_add(self, mut acc: Self::W, a: Self::V, b: Self::V) -> Self::W {
        for ((acc, a), b) in acc.iter_mut().zip(a).zip(b) {
            *acc = acc.wrapping_add(i64::from(a) * i64::from(b));
        }
        acc
    }
    #[inline(always)]
    fn wide_store(self, x: Self::W, to: &mut [i64; 16]) {
        *to = x;
    }
    #[inline(always)]
    fn prefetch(self, _: &[u8], _: usize) {}
}
