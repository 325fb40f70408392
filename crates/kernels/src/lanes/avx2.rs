//! Sixteen lanes in two 256-bit registers.

use super::{Lanes, Operation};
use core::arch::x86_64::*;

/// AVX2. Products of 16-bit pairs are `vpmaddwd`: `vpmaddubsw` would saturate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// A value, if this processor has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        std::is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Runs an operation, compiled with these instructions.
    #[inline]
    pub(crate) fn enter<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2")]
        fn inner<O: Operation>(lanes: Avx2, operation: O) -> O::Output {
            operation.run(lanes)
        }
        // SAFETY: `self` exists, so `detect` has found AVX2.
        unsafe { inner(self, operation) }
    }
}

/// A pair of registers, each computed by an expression of the names given.
macro_rules! both {
    ($($x:ident),+ => $each:expr) => {
        // SAFETY: an `Avx2` exists only where `detect` has found AVX2; the expression touches registers only.
        core::array::from_fn(|i| { $(let $x = $x[i];)+ unsafe { $each } })
    };
}

impl Lanes for Avx2 {
    type V = [__m256i; 2];
    // Even lanes of both halves, then odd lanes of both.
    type W = [__m256i; 4];
    const ROWS: usize = 3;

    #[inline(always)]
    fn zero(self) -> Self::V {
        // SAFETY: AVX2 was detected.
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    fn splat(self, x: i32) -> Self::V {
        // SAFETY: AVX2 was detected.
        unsafe { [_mm256_set1_epi32(x); 2] }
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 64]) -> Self::V {
        let from: *const __m256i = bytes.as_ptr().cast();
        // SAFETY: AVX2 was detected; 64 bytes are readable.
        unsafe { [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))] }
    }
    #[inline(always)]
    fn load(self, from: &[i16; 32]) -> Self::V {
        let from: *const __m256i = from.as_ptr().cast();
        // SAFETY: AVX2 was detected; 64 bytes are readable.
        unsafe { [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))] }
    }
    #[inline(always)]
    fn store(self, x: Self::V, to: &mut [i16; 32]) {
        let to: *mut __m256i = to.as_mut_ptr().cast();
        // SAFETY: AVX2 was detected; 64 bytes are writable.
        unsafe {
            _mm256_storeu_si256(to, x[0]);
            _mm256_storeu_si256(to.add(1), x[1]);
        }
    }
    #[inline(always)]
    fn store_lanes(self, x: Self::V, to: &mut [i32; 16]) {
        let to: *mut __m256i = to.as_mut_ptr().cast();
        // SAFETY: AVX2 was detected; 64 bytes are writable.
        unsafe {
            _mm256_storeu_si256(to, x[0]);
            _mm256_storeu_si256(to.add(1), x[1]);
        }
    }
    #[inline(always)]
    fn widen_u8(self, bytes: &[u8; 16]) -> Self::V {
        // SAFETY: AVX2 was detected; 16 bytes are readable.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            [
                _mm256_cvtepu8_epi32(bytes),
                _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes)),
            ]
        }
    }
    #[inline(always)]
    fn widen_u16(self, bytes: &[u8; 32]) -> Self::V {
        let from: *const __m128i = bytes.as_ptr().cast();
        // SAFETY: AVX2 was detected; 32 bytes are readable.
        unsafe {
            [
                _mm256_cvtepu16_epi32(_mm_loadu_si128(from)),
                _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(1))),
            ]
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        both!(a, b => _mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        both!(a, b => _mm256_max_epi32(a, b))
    }
    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        both!(a, b => _mm256_and_si256(a, b))
    }
    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        both!(a, b => _mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn shl16(self, x: Self::V, n: u32) -> Self::V {
        both!(x => _mm256_sll_epi16(x, _mm_cvtsi32_si128(n as i32)))
    }
    #[inline(always)]
    fn shr16(self, x: Self::V, n: u32) -> Self::V {
        both!(x => _mm256_srl_epi16(x, _mm_cvtsi32_si128(n as i32)))
    }
    #[inline(always)]
    fn sar16(self, x: Self::V, n: u32) -> Self::V {
        both!(x => _mm256_sra_epi16(x, _mm_cvtsi32_si128(n as i32)))
    }
    #[inline(always)]
    fn mul16(self, a: Self::V, b: Self::V) -> Self::V {
        both!(a, b => _mm256_mullo_epi16(a, b))
    }
    #[inline(always)]
    fn sub16(self, a: Self::V, b: Self::V) -> Self::V {
        both!(a, b => _mm256_sub_epi16(a, b))
    }
    #[inline(always)]
    fn abs16(self, x: Self::V) -> Self::V {
        both!(x => _mm256_abs_epi16(x))
    }
    #[inline(always)]
    fn twice16(self, x: Self::V) -> Self::V {
        both!(x => _mm256_blend_epi16::<0xaa>(x, _mm256_slli_epi32::<16>(x)))
    }
    #[inline(always)]
    fn dot(self, acc: Self::V, a: Self::V, b: Self::V) -> Self::V {
        both!(acc, a, b => _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)))
    }
    #[inline(always)]
    fn spill(self, x: Self::V, to: &mut [i64; 16]) {
        let to: *mut __m256i = to.as_mut_ptr().cast();
        // SAFETY: AVX2 was detected; 128 bytes are readable and writable.
        unsafe {
            for (i, x) in x.into_iter().enumerate() {
                let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x));
                let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(x));
                for (to, x) in [(to.add(2 * i), low), (to.add(2 * i + 1), high)] {
                    _mm256_storeu_si256(to, _mm256_add_epi64(x, _mm256_loadu_si256(to)));
                }
            }
        }
    }
    #[inline(always)]
    fn wide_zero(self) -> Self::W {
        // SAFETY: AVX2 was detected.
        unsafe { [_mm256_setzero_si256(); 4] }
    }
    #[inline(always)]
    fn wide_add(self, acc: Self::W, a: Self::V, b: Self::V) -> Self::W {
        // SAFETY: AVX2 was detected.
        let odd = |x: Self::V| x.map(|x| unsafe { _mm256_srli_epi64::<32>(x) });
        let (a, b) = ([a, odd(a)], [b, odd(b)]);
        core::array::from_fn(|i| {
            // SAFETY: AVX2 was detected.
            unsafe { _mm256_add_epi64(acc[i], _mm256_mul_epi32(a[i / 2][i % 2], b[i / 2][i % 2])) }
        })
    }
    #[inline(always)]
    fn wide_store(self, x: Self::W, to: &mut [i64; 16]) {
        let mut quarters = [[0_i64; 4]; 4];
        for (quarter, x) in quarters.iter_mut().zip(x) {
            // SAFETY: AVX2 was detected; 32 bytes are writable.
            unsafe { _mm256_storeu_si256(quarter.as_mut_ptr().cast(), x) }
        }
        for (i, to) in to.iter_mut().enumerate() {
            *to = quarters[i % 2 * 2 + i / 8][i % 8 / 2];
        }
    }
    #[inline(always)]
    fn prefetch(self, from: &[u8], ahead: usize) {
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(ahead).cast()) }
    }
}
