//! Sixteen lanes in one 512-bit register, with and without VNNI.

use super::{Lanes, Operation};
use core::arch::x86_64::*;

macro_rules! avx512 {
    ($(#[$doc:meta])* $name:ident, $features:literal, [$($feature:tt),*], |$acc:ident, $a:ident, $b:ident| $dot:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(());

        impl $name {
            /// A value, if this processor has the instructions.
            pub(crate) fn detect() -> Option<Self> {
                ($(std::is_x86_feature_detected!($feature))&&*).then_some(Self(()))
            }

            /// Runs an operation, compiled with these instructions.
            #[inline]
            pub(crate) fn enter<O: Operation>(self, operation: O) -> O::Output {
                #[target_feature(enable = $features)]
                fn inner<O: Operation>(lanes: $name, operation: O) -> O::Output {
                    operation.run(lanes)
                }
                // SAFETY: `self` exists, so `detect` has found the features.
                unsafe { inner(self, operation) }
            }
        }

        // In all of the following, `self` exists only where `detect` has found the features, and every pointer comes
        // from a reference to as many bytes as are read or written.
        impl Lanes for $name {
            type V = __m512i;
            // The even lanes, then the odd ones.
            type W = [__m512i; 2];
            const ROWS: usize = 8;

            #[inline(always)]
            fn zero(self) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_setzero_si512() }
            }
            #[inline(always)]
            fn splat(self, x: i32) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_set1_epi32(x) }
            }
            #[inline(always)]
            fn load_bytes(self, bytes: &[u8; 64]) -> Self::V {
                // SAFETY: features detected; 64 bytes are readable.
                unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
            }
            #[inline(always)]
            fn load(self, from: &[i16; 32]) -> Self::V {
                // SAFETY: features detected; 64 bytes are readable.
                unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
            }
            #[inline(always)]
            fn store(self, x: Self::V, to: &mut [i16; 32]) {
                // SAFETY: features detected; 64 bytes are writable.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
            }
            #[inline(always)]
            fn store_lanes(self, x: Self::V, to: &mut [i32; 16]) {
                // SAFETY: features detected; 64 bytes are writable.
                unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
            }
            #[inline(always)]
            fn widen_u8(self, bytes: &[u8; 16]) -> Self::V {
                // SAFETY: features detected; 16 bytes are readable.
                unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
            }
            #[inline(always)]
            fn widen_u16(self, bytes: &[u8; 32]) -> Self::V {
                // SAFETY: features detected; 32 bytes are readable.
                unsafe { _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast())) }
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_add_epi32(a, b) }
            }
            #[inline(always)]
            fn max(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_max_epi32(a, b) }
            }
            #[inline(always)]
            fn and(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_and_si512(a, b) }
            }
            #[inline(always)]
            fn or(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_or_si512(a, b) }
            }
            #[inline(always)]
            fn shl16(self, x: Self::V, n: u32) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_sll_epi16(x, _mm_cvtsi32_si128(n as i32)) }
            }
            #[inline(always)]
            fn shr16(self, x: Self::V, n: u32) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_srl_epi16(x, _mm_cvtsi32_si128(n as i32)) }
            }
            #[inline(always)]
            fn sar16(self, x: Self::V, n: u32) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_sra_epi16(x, _mm_cvtsi32_si128(n as i32)) }
            }
            #[inline(always)]
            fn mul16(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_mullo_epi16(a, b) }
            }
            #[inline(always)]
            fn sub16(self, a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_sub_epi16(a, b) }
            }
            #[inline(always)]
            fn abs16(self, x: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_abs_epi16(x) }
            }
            #[inline(always)]
            fn twice16(self, x: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { _mm512_mask_blend_epi16(0xaaaa_aaaa, x, _mm512_slli_epi32::<16>(x)) }
            }
            #[inline(always)]
            fn dot(self, $acc: Self::V, $a: Self::V, $b: Self::V) -> Self::V {
                // SAFETY: features detected.
                unsafe { $dot }
            }
            #[inline(always)]
            fn spill(self, x: Self::V, to: &mut [i64; 16]) {
                let to = to.as_mut_ptr();
                // SAFETY: features detected; 128 bytes are readable and writable.
                unsafe {
                    let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
                    let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(x));
                    let low = _mm512_add_epi64(low, _mm512_loadu_si512(to.cast()));
                    let high = _mm512_add_epi64(high, _mm512_loadu_si512(to.add(8).cast()));
                    _mm512_storeu_si512(to.cast(), low);
                    _mm512_storeu_si512(to.add(8).cast(), high);
                }
            }
            #[inline(always)]
            fn wide_zero(self) -> Self::W {
                [self.zero(); 2]
            }
            #[inline(always)]
            fn wide_add(self, acc: Self::W, a: Self::V, b: Self::V) -> Self::W {
                // SAFETY: features detected.
                unsafe {
                    let (odd_a, odd_b) = (_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
                    [
                        _mm512_add_epi64(acc[0], _mm512_mul_epi32(a, b)),
                        _mm512_add_epi64(acc[1], _mm512_mul_epi32(odd_a, odd_b)),
                    ]
                }
            }
            #[inline(always)]
            fn wide_store(self, x: Self::W, to: &mut [i64; 16]) {
                let mut halves = [[0_i64; 8]; 2];
                for (half, x) in halves.iter_mut().zip(x) {
                    // SAFETY: features detected; 64 bytes are writable.
                    unsafe { _mm512_storeu_si512(half.as_mut_ptr().cast(), x) }
                }
                for (i, to) in to.iter_mut().enumerate() {
                    *to = halves[i % 2][i / 2];
                }
            }
            #[inline(always)]
            fn prefetch(self, from: &[u8], ahead: usize) {
                // SAFETY: features detected; a prefetch never faults, whatever the address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(ahead).cast()) }
            }
        }
    };
}

avx512! {
    /// AVX-512 F, BW, DQ and VL.
    Avx512, "avx512f,avx512bw,avx512dq,avx512vl", ["avx512f", "avx512bw", "avx512dq", "avx512vl"],
    |acc, a, b| _mm512_add_epi32(acc, _mm512_madd_epi16(a, b))
}

avx512! {
    /// AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"],
    |acc, a, b| _mm512_dpwssd_epi32(acc, a, b)
}
