//! Element formats of model files: floats of 16 and 32 bits, and the block formats of GGUF.

use half::{bf16, f16};

/// How elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// IEEE 16-bit floats.
    F16,
    /// The upper half of 32-bit floats.
    Bf16,
    /// 32 elements of 8 bits with one scale.
    Q8_0,
    /// 32 elements of 4 bits with one scale.
    Q4_0,
    /// 256 elements of 4 bits; each 32 have a 6-bit scale and a 6-bit minimum.
    Q4K,
    /// 256 elements of 6 bits; each 16 have an 8-bit scale.
    Q6K,
}

impl Kind {
    /// Elements of a block.
    pub const fn block_elements(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 | Self::Q4_0 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }
}

/// A block of a 4- or 6-bit format: element `i` is `scales[i / group] · quants[i] - minimums[i / group]`.
pub struct Unpacked {
    /// Unsigned elements.
    pub quants: [u8; 256],
    /// Scale of each group.
    pub scales: [f32; 16],
    /// What is subtracted, of each group.
    pub minimums: [f32; 16],
    /// Elements in a group.
    pub group: usize,
    /// Elements in the block.
    pub elements: usize,
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Reads whole blocks into floats; `out` has as many elements as the blocks.
pub(super) fn read(kind: Kind, bytes: &[u8], out: &mut [f32]) {
    match kind {
        Kind::F32 => {
            for (x, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
        Kind::F16 => {
            for (x, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *x = f16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
        Kind::Bf16 => {
            for (x, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *x = bf16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
        Kind::Q8_0 => {
            for (part, block) in out.chunks_mut(32).zip(bytes.chunks_exact(34)) {
                let scale = half_at(block, 0);
                for (x, q) in part.iter_mut().zip(&block[2..]) {
                    *x = scale * f32::from(*q as i8);
                }
            }
        }
        Kind::Q4_0 | Kind::Q4K | Kind::Q6K => {
            let blocks = bytes.chunks_exact(kind.block_bytes());
            for (part, block) in out.chunks_mut(kind.block_elements()).zip(blocks) {
                let block = unpack(kind, block);
                for (i, x) in part.iter_mut().enumerate() {
                    let group = i / block.group;
                    *x = match kind {
                        // The reference multiplies the centred element, which rounds otherwise.
                        Kind::Q4K => {
                            block.scales[group] * f32::from(block.quants[i]) - block.minimums[group]
                        }
                        Kind::Q4_0 => block.scales[group] * (f32::from(block.quants[i]) - 8.0),
                        _ => block.scales[group] * (f32::from(block.quants[i]) - 32.0),
                    };
                }
            }
        }
    }
}

/// Unpacks one block of [`Kind::Q4_0`], [`Kind::Q4K`] or [`Kind::Q6K`]; `bytes` is exactly one block of it.
/// Other kinds give a block without elements.
pub fn unpack(kind: Kind, bytes: &[u8]) -> Unpacked {
    let mut block = Unpacked {
        quants: [0; 256],
        scales: [0.0; 16],
        minimums: [0.0; 16],
        group: 32,
        elements: 0,
    };
    if bytes.len() != kind.block_bytes() {
        return block;
    }
    match kind {
        Kind::Q4_0 => unpack_4_0(bytes, &mut block),
        Kind::Q4K => unpack_4_k(bytes, &mut block),
        Kind::Q6K => unpack_6_k(bytes, &mut block),
        _ => {}
    }
    block
}

fn unpack_4_0(bytes: &[u8], block: &mut Unpacked) {
    block.elements = 32;
    block.scales[0] = half_at(bytes, 0);
    block.minimums[0] = 8.0 * block.scales[0];
    for (i, both) in bytes[2..].iter().enumerate() {
        block.quants[i] = both & 15;
        block.quants[i + 16] = both >> 4;
    }
}

fn unpack_4_k(bytes: &[u8], block: &mut Unpacked) {
    block.elements = 256;
    let (scale, minimum) = (half_at(bytes, 0), half_at(bytes, 2));
    let packed = &bytes[4..16];
    for j in 0..8 {
        let (k, m) = if j < 4 {
            (packed[j] & 63, packed[j + 4] & 63)
        } else {
            (
                packed[j + 4] & 15 | packed[j - 4] >> 6 << 4,
                packed[j + 4] >> 4 | packed[j] >> 6 << 4,
            )
        };
        block.scales[j] = scale * f32::from(k);
        block.minimums[j] = minimum * f32::from(m);
    }
    for (i, both) in bytes[16..].iter().enumerate() {
        let at = i / 32 * 64 + i % 32;
        block.quants[at] = both & 15;
        block.quants[at + 32] = both >> 4;
    }
}

fn unpack_6_k(bytes: &[u8], block: &mut Unpacked) {
    block.elements = 256;
    block.group = 16;
    let (low, rest) = bytes.split_at(128);
    let (high, rest) = rest.split_at(64);
    let scale = half_at(rest, 16);
    for (group, k) in rest[..16].iter().enumerate() {
        block.scales[group] = scale * f32::from(*k as i8);
        block.minimums[group] = 32.0 * block.scales[group];
    }
    for i in 0..256 {
        let (half, quarter, place) = (i / 128, i % 128 / 32, i % 32);
        let both = low[half * 64 + quarter % 2 * 32 + place];
        let four = if quarter < 2 { both & 15 } else { both >> 4 };
        let two = high[half * 32 + place] >> (2 * quarter) & 3;
        block.quants[i] = four | two << 4;
    }
}
