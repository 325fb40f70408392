//! Values of earlier positions in blocks of the cache: what delays read.

use super::{
    cache::BLOCK_POSITIONS,
    plan::Delayed,
    values::{Buffer, ValueRef},
};
use og_program::value::{Form, Type};

/// Writes a value into the place of `position` in its block.
pub(super) fn write(delayed: &Delayed, value: ValueRef<'_>, position: usize, block: &mut [i16]) {
    let slot = position % BLOCK_POSITIONS;
    let to = &mut block[delayed.offset + slot * delayed.width..][..delayed.width];
    if !value.indices.is_empty() {
        for (pair, index) in to.as_chunks_mut::<2>().0.iter_mut().zip(value.indices) {
            *pair = [*index as i16, (*index >> 16) as i16];
        }
        return;
    }
    to.copy_from_slice(value.mantissas);
    let to = &mut block[delayed.exponents_offset + slot * delayed.exponents..][..delayed.exponents];
    for (to, exponent) in to.iter_mut().zip(value.exponents) {
        // Exponents of rows are within ±32768: `og_program::numbers` clamps them.
        *to = *exponent as i16;
    }
}

/// Reads what [`write`] wrote at `position` as the value at `index` of a batch.
pub(super) fn read(
    delayed: &Delayed,
    of: &Type,
    block: &[i16],
    position: usize,
    index: usize,
    out: &mut Buffer,
) {
    let slot = position % BLOCK_POSITIONS;
    let (elements, parts) = (of.elements(), of.rows as usize * of.parts());
    let from = &block[delayed.offset + slot * delayed.width..][..delayed.width];
    if of.form == Form::Index {
        let to = &mut out.indices[index * elements..][..elements];
        for (to, [low, high]) in to.iter_mut().zip(from.as_chunks::<2>().0) {
            *to = u32::from(*low as u16) | u32::from(*high as u16) << 16;
        }
        return;
    }
    out.mantissas[index * elements..][..elements].copy_from_slice(from);
    let to = &mut out.exponents[index * parts..][..parts];
    if let Form::Fixed { exponents, .. } = &of.form {
        for row in to.chunks_exact_mut(exponents.len()) {
            row.copy_from_slice(exponents);
        }
    } else {
        let from =
            &block[delayed.exponents_offset + slot * delayed.exponents..][..delayed.exponents];
        for (to, exponent) in to.iter_mut().zip(from) {
            *to = i32::from(*exponent);
        }
    }
}
