//! What is looked up of a program's constants for every step that reads them, found once.

use crate::program::Program;

/// Of each vector and table, in their order.
pub(super) struct Facts {
    vectors: Vec<Entries>,
    tables: Vec<Entries>,
}

/// The range of constants.
#[derive(Clone, Copy, Default)]
pub(super) struct Entries {
    /// Their largest magnitude.
    pub(super) largest: u16,
    /// Whether one is below zero.
    pub(super) negative: bool,
}

impl Entries {
    fn of(mantissas: &[i16]) -> Self {
        Self {
            largest: mantissas
                .iter()
                .map(|m| m.unsigned_abs())
                .max()
                .unwrap_or(0),
            negative: mantissas.iter().any(|m| *m < 0),
        }
    }
}

impl Facts {
    pub(super) fn of(program: &Program) -> Self {
        let vectors = program.vectors.iter();
        let tables = program.tables.iter();
        Self {
            vectors: vectors.map(|of| Entries::of(&of.mantissas)).collect(),
            tables: tables
                .map(|of| Entries::of(&of.entries.mantissas))
                .collect(),
        }
    }

    /// Of a vector that is known to be there.
    pub(super) fn vector(&self, index: u32) -> Entries {
        self.vectors
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Of a table that is known to be there.
    pub(super) fn table(&self, index: u32) -> Entries {
        self.tables.get(index as usize).copied().unwrap_or_default()
    }
}
