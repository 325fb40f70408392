//! Sixteen 32-bit lanes, one implementation for each path: the only vocabulary in which kernels are written.
//!
//! A value of a type that implements [`Lanes`] proves that the processor has its instructions, because only detection
//! makes one. Kernels are generic functions marked `#[inline(always)]`, entered through `enter`, which carries the
//! instructions' target features, so that everything inlined into it is compiled with them.

mod portable;
pub(crate) use portable::Portable;

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Avx512, Avx512Vnni};

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
mod neon;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;

/// Something that can be compiled for every path.
pub(crate) trait Operation {
    /// What it gives.
    type Output;
    /// Does it. Implementations are `#[inline(always)]`.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Sixteen lanes of 32 bits, each also two lanes of 16 bits, the low one first. All arithmetic wraps.
pub(crate) trait Lanes: Copy {
    /// The sixteen lanes.
    type V: Copy;
    /// Sixteen lanes of 64 bits, in an order of the path's own.
    type W: Copy;
    /// How many rows a tile of two blocks has at most, so that its sums stay in registers: 1 to 8.
    const ROWS: usize;

    /// All zero.
    fn zero(self) -> Self::V;
    /// All `x`.
    fn splat(self, x: i32) -> Self::V;
    /// Four bytes to a lane.
    fn load_bytes(self, bytes: &[u8; 64]) -> Self::V;
    /// Two elements to a lane.
    fn load(self, from: &[i16; 32]) -> Self::V;
    /// One lane to two elements.
    fn store(self, x: Self::V, to: &mut [i16; 32]);
    /// One lane to an element.
    fn store_lanes(self, x: Self::V, to: &mut [i32; 16]);
    /// Unsigned bytes, one to a lane.
    fn widen_u8(self, bytes: &[u8; 16]) -> Self::V;
    /// Unsigned little-endian 16-bit numbers, one to a lane.
    fn widen_u16(self, bytes: &[u8; 32]) -> Self::V;
    /// `a + b` in 32 bits.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// The greater, signed, in 32 bits.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// Bits in both.
    fn and(self, a: Self::V, b: Self::V) -> Self::V;
    /// Bits in either.
    fn or(self, a: Self::V, b: Self::V) -> Self::V;
    /// Each 16-bit lane shifted left by `n < 16`.
    fn shl16(self, x: Self::V, n: u32) -> Self::V;
    /// Each 16-bit lane shifted right by `n < 16`, zeros coming in.
    fn shr16(self, x: Self::V, n: u32) -> Self::V;
    /// Each 16-bit lane shifted right by `n < 16`, the sign coming in.
    fn sar16(self, x: Self::V, n: u32) -> Self::V;
    /// The low 16 bits of `a·b`, in 16-bit lanes.
    fn mul16(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b` in 16-bit lanes.
    fn sub16(self, a: Self::V, b: Self::V) -> Self::V;
    /// The magnitude in 16-bit lanes.
    fn abs16(self, x: Self::V) -> Self::V;
    /// The low half of each lane in both halves.
    fn twice16(self, x: Self::V) -> Self::V;
    /// `acc + a0·b0 + a1·b1` for the signed halves of each lane.
    fn dot(self, acc: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// Adds each lane, sign-extended, to a 64-bit sum.
    fn spill(self, x: Self::V, to: &mut [i64; 16]);
    /// All zero.
    fn wide_zero(self) -> Self::W;
    /// `acc + a·b` in 64 bits, `a` and `b` sign-extended.
    fn wide_add(self, acc: Self::W, a: Self::V, b: Self::V) -> Self::W;
    /// The 64-bit lanes in order.
    fn wide_store(self, x: Self::W, to: &mut [i64; 16]);
    /// Asks for the memory `ahead` bytes after the start of `from`, which may lie outside.
    fn prefetch(self, from: &[u8], ahead: usize);
}

/// Two 16-bit numbers as one lane, `a` in the low half.
#[inline(always)]
pub(crate) const fn pair(a: i16, b: i16) -> i32 {
    (a as u16 as u32 | (b as u16 as u32) << 16) as i32
}

#[cfg(test)]
mod tests;
