//! A range of columns of a row-major matrix of results, so that threads can write one matrix without locks.

use core::marker::PhantomData;

/// Exclusive access to some columns of every row of a matrix of 64-bit results.
///
/// Make one from a slice with [`Columns::new`], divide it with [`Columns::split_at`], and give each thread its part.
#[derive(Debug)]
pub struct Columns<'a> {
    start: *mut i64,
    rows: usize,
    width: usize,
    stride: usize,
    slice: PhantomData<&'a mut [i64]>,
}

// SAFETY: a value is exclusive access to its places, like the mutable slice that it was made from.
unsafe impl Send for Columns<'_> {}

impl<'a> Columns<'a> {
    /// All columns of `slice`, which holds rows of `width` one after another; what is left over is not used.
    /// A width of 0 gives no rows.
    #[must_use]
    pub fn new(slice: &'a mut [i64], width: usize) -> Self {
        let rows = slice.len().checked_div(width).unwrap_or(0);
        Self {
            start: slice.as_mut_ptr(),
            rows,
            width,
            stride: width,
            slice: PhantomData,
        }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns of each row belong to this part.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The columns before `at` and those from `at` on. `at` beyond the width counts as the width.
    #[must_use]
    pub fn split_at(self, at: usize) -> (Self, Self) {
        let at = at.min(self.width);
        let part = |start, width| Self {
            start,
            width,
            rows: self.rows,
            stride: self.stride,
            slice: PhantomData,
        };
        // Within the row, or one past the last row's end; nothing is read through it unless the width allows.
        let right = self.start.wrapping_add(at);
        (part(self.start, at), part(right, self.width - at))
    }

    /// The same columns, for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> Columns<'_> {
        Columns {
            slice: PhantomData,
            ..*self
        }
    }

    /// This part's columns of one row; empty if there is no such row.
    #[inline]
    pub fn row(&mut self, row: usize) -> &mut [i64] {
        if row >= self.rows || self.width == 0 {
            return &mut [];
        }
        // SAFETY: row < rows, so row·stride + width, counted from `start`, stays within the slice that `new` was
        // given. `split_at` consumes a part and gives two that share no column, so no other part reaches these places,
        // and `&mut self` keeps this part from handing them out twice. The slice is borrowed for 'a, which outlives self.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.width) }
    }
}
