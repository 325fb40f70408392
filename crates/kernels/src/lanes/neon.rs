//! Sixteen lanes in four 128-bit registers of 64-bit ARM.

use super::{Lanes, Operation};
use core::arch::aarch64::*;

/// NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    /// A value, if this processor has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs an operation, compiled with these instructions.
    #[inline]
    pub(crate) fn enter<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "neon")]
        fn inner<O: Operation>(lanes: Neon, operation: O) -> O::Output {
            operation.run(lanes)
        }
        // SAFETY: `self` exists, so `detect` has found NEON.
        unsafe { inner(self, operation) }
    }
}

/// Four registers, each computed by an expression of the names given.
macro_rules! four {
    ($($x:ident),+ => $each:expr) => {
        // SAFETY: a `Neon` exists only where `detect` has found NEON; the expression touches registers only.
        core::array::from_fn(|i| { $(let $x = $x[i];)+ unsafe { $each } })
    };
}

/// The same, seen as eight 16-bit lanes.
macro_rules! four16 {
    ($($x:ident),+ => $each:expr) => {
        four!($($x),+ => {
            $(let $x = vreinterpretq_s16_s32($x);)+
            vreinterpretq_s32_s16($each)
        })
    };
}

impl Lanes for Neon {
    type V = [int32x4_t; 4];
    type W = [int64x2_t; 8];
    const ROWS: usize = 2;

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0)
    }
    #[inline(always)]
    fn splat(self, x: i32) -> Self::V {
        // SAFETY: NEON was detected.
        unsafe { [vdupq_n_s32(x); 4] }
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 64]) -> Self::V {
        // SAFETY: NEON was detected; 64 bytes are readable.
        core::array::from_fn(|i| unsafe {
            vreinterpretq_s32_u8(vld1q_u8(bytes.as_ptr().add(i * 16)))
        })
    }
    #[inline(always)]
    fn load(self, from: &[i16; 32]) -> Self::V {
        // SAFETY: NEON was detected; 32 elements are readable.
        core::array::from_fn(|i| unsafe {
            vreinterpretq_s32_s16(vld1q_s16(from.as_ptr().add(i * 8)))
        })
    }
    #[inline(always)]
    fn store(self, x: Self::V, to: &mut [i16; 32]) {
        for (to, x) in to.as_chunks_mut::<8>().0.iter_mut().zip(x) {
            // SAFETY: NEON was detected; 8 elements are writable.
            unsafe { vst1q_s16(to.as_mut_ptr(), vreinterpretq_s16_s32(x)) }
        }
    }
    #[inline(always)]
    fn store_lanes(self, x: Self::V, to: &mut [i32; 16]) {
        for (to, x) in to.as_chunks_mut::<4>().0.iter_mut().zip(x) {
            // SAFETY: NEON was detected; 4 elements are writable.
            unsafe { vst1q_s32(to.as_mut_ptr(), x) }
        }
    }
    #[inline(always)]
    fn widen_u8(self, bytes: &[u8; 16]) -> Self::V {
        // SAFETY: NEON was detected; 16 bytes are readable.
        unsafe {
            let bytes = vld1q_u8(bytes.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            [
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                vreinterpretq_s32_u32(vmovl_high_u16(low)),
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                vreinterpretq_s32_u32(vmovl_high_u16(high)),
            ]
        }
    }
    #[inline(always)]
    fn widen_u16(self, bytes: &[u8; 32]) -> Self::V {
        // SAFETY: NEON was detected; 32 bytes are readable, 8 of them for each register.
        core::array::from_fn(|i| unsafe {
            let eight = vreinterpret_u16_u8(vld1_u8(bytes.as_ptr().add(i * 8)));
            vreinterpretq_s32_u32(vmovl_u16(eight))
        })
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        four!(a, b => vaddq_s32(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        four!(a, b => vmaxq_s32(a, b))
    }
    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        four!(a, b => vandq_s32(a, b))
    }
    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        four!(a, b => vorrq_s32(a, b))
    }
    #[inline(always)]
    fn shl16(self, x: Self::V, n: u32) -> Self::V {
        four16!(x => vshlq_s16(x, vdupq_n_s16(n as i16)))
    }
    #[inline(always)]
    fn shr16(self, x: Self::V, n: u32) -> Self::V {
        four16!(x => {
            let shifted = vshlq_u16(vreinterpretq_u16_s16(x), vdupq_n_s16(-(n as i16)));
            vreinterpretq_s16_u16(shifted)
        })
    }
    #[inline(always)]
    fn sar16(self, x: Self::V, n: u32) -> Self::V {
        four16!(x => vshlq_s16(x, vdupq_n_s16(-(n as i16))))
    }
    #[inline(always)]
    fn mul16(self, a: Self::V, b: Self::V) -> Self::V {
        four16!(a, b => vmulq_s16(a, b))
    }
    #[inline(always)]
    fn sub16(self, a: Self::V, b: Self::V) -> Self::V {
        four16!(a, b => vsubq_s16(a, b))
    }
    #[inline(always)]
    fn abs16(self, x: Self::V) -> Self::V {
        four16!(x => vabsq_s16(x))
    }
    #[inline(always)]
    fn twice16(self, x: Self::V) -> Self::V {
        four!(x => vsliq_n_s32::<16>(x, x))
    }
    #[inline(always)]
    fn dot(self, acc: Self::V, a: Self::V, b: Self::V) -> Self::V {
        four!(acc, a, b => {
            let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vaddq_s32(acc, vpaddq_s32(low, vmull_high_s16(a, b)))
        })
    }
    #[inline(always)]
    fn spill(self, x: Self::V, to: &mut [i64; 16]) {
        for (to, x) in to.as_chunks_mut::<4>().0.iter_mut().zip(x) {
            let (low, high) = (to.as_mut_ptr(), to.as_mut_ptr().wrapping_add(2));
            // SAFETY: NEON was detected; 4 elements are readable and writable.
            unsafe {
                vst1q_s64(low, vaddw_s32(vld1q_s64(low), vget_low_s32(x)));
                vst1q_s64(high, vaddw_high_s32(vld1q_s64(high), x));
            }
        }
    }
    #[inline(always)]
    fn wide_zero(self) -> Self::W {
        // SAFETY: NEON was detected.
        unsafe { [vdupq_n_s64(0); 8] }
    }
    #[inline(always)]
    fn wide_add(self, acc: Self::W, a: Self::V, b: Self::V) -> Self::W {
        core::array::from_fn(|i| {
            let (acc, a, b) = (acc[i], a[i / 2], b[i / 2]);
            // SAFETY: NEON was detected.
            unsafe {
                if i % 2 == 0 {
                    vmlal_s32(acc, vget_low_s32(a), vget_low_s32(b))
                } else {
                    vmlal_high_s32(acc, a, b)
                }
            }
        })
    }
    #[inline(always)]
    fn wide_store(self, x: Self::W, to: &mut [i64; 16]) {
        for (to, x) in to.as_chunks_mut::<2>().0.iter_mut().zip(x) {
            // SAFETY: NEON was detected; 2 elements are writable.
            unsafe { vst1q_s64(to.as_mut_ptr(), x) }
        }
    }
    // There is no stable intrinsic; the processor's own prefetching has to do.
    #[inline(always)]
    fn prefetch(self, _: &[u8], _: usize) {}
}
