//! Rows that operations take and give.

/// A row of mantissas, with one exponent for each of its equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Elements; as many as the type's width.
    pub mantissas: &'a [i16],
    /// One for each part, in the part's units of 2^exponent.
    pub exponents: &'a [i32],
}

impl<'a> Row<'a> {
    /// The parts with their exponents.
    pub(crate) fn parts(self) -> impl Iterator<Item = (&'a [i16], i32)> {
        let length = self.mantissas.len() / self.exponents.len().max(1);
        let parts = self.mantissas.chunks_exact(length.max(1));
        parts.zip(self.exponents.iter().copied())
    }

    /// The exponent of the row's first part; 0 if it has none.
    pub(crate) fn exponent(self) -> i32 {
        self.exponents.first().copied().unwrap_or(0)
    }
}

/// Where an operation writes a row.
#[derive(Debug, PartialEq, Eq)]
pub struct RowMut<'a> {
    /// Elements; as many as the type's width.
    pub mantissas: &'a mut [i16],
    /// One for each part of the output's type.
    pub exponents: &'a mut [i32],
}

/// A row of 64-bit numbers before rounding, reused from one operation to the next. Magnitudes are below 2^62.
#[derive(Clone, Debug, Default)]
pub struct Wide {
    /// Elements.
    pub values: Vec<i64>,
    /// One for each of its equal parts.
    pub exponents: Vec<i32>,
}

impl Wide {
    /// Sets the number of elements and parts; what they hold is arbitrary.
    pub(crate) fn reset(&mut self, width: usize, parts: usize) -> (&mut [i64], &mut [i32]) {
        self.values.resize(width, 0);
        self.exponents.resize(parts, 0);
        (&mut self.values, &mut self.exponents)
    }
}
