//! Work on the rows of a value, shared between the members of a team where it is worth it.

use crate::exact::values::Buffer;
use og_kernels::{RowMut, row::Wide, team::Team};
use og_program::value::Type;
use std::ops::Range;

/// Elements from which on a value is worth sharing: a few microseconds of work.
const SHARED_ELEMENTS: usize = 1 << 14;
/// Parts for each member, so that one that is interrupted does not hold up the others.
const PARTS_FOR_EACH: usize = 4;

/// Work on one row: its index, memory for wide numbers, and where the row is written. Gives how many elements were clamped.
pub(super) type RowWork<'a> = dyn Fn(usize, &mut Wide, RowMut<'_>) -> u64 + Sync + 'a;

/// Writing one row of sums: its index, the sums, and where the row is written. Gives how many elements were clamped.
pub(super) type SumsWork<'a> = dyn Fn(usize, &mut [i64], RowMut<'_>) -> u64 + Sync + 'a;

/// Some rows of an output.
struct Part<'a> {
    first: usize,
    mantissas: &'a mut [i16],
    exponents: &'a mut [i32],
    /// Sums of the rows, if they come from sums.
    sums: &'a mut [i64],
    clamped: u64,
}

impl<'a> Part<'a> {
    /// The rows one by one.
    fn rows(&mut self, width: usize, parts: usize) -> impl Iterator<Item = (usize, RowMut<'_>)> {
        let rows = self.mantissas.chunks_exact_mut(width);
        let rows = rows.zip(self.exponents.chunks_exact_mut(parts));
        let first = self.first;
        rows.enumerate().map(move |(row, (mantissas, exponents))| {
            let out = RowMut {
                mantissas,
                exponents,
            };
            (first + row, out)
        })
    }
}

/// How many rows go together.
fn share(team: &Team, rows: usize, width: usize) -> usize {
    if rows < 2 || rows * width < SHARED_ELEMENTS || team.threads() == 1 {
        rows.max(1)
    } else {
        rows.div_ceil((team.threads() * PARTS_FOR_EACH).min(rows))
    }
}

/// Does `work` for each of the `positions · of.rows` rows of `out`.
pub(super) fn each_row(
    team: &mut Team,
    wides: &mut [Wide],
    of: &Type,
    positions: usize,
    out: &mut Buffer,
    work: &RowWork<'_>,
) -> u64 {
    let (width, parts) = (of.width as usize, of.parts());
    let rows = positions * of.rows as usize;
    let mut whole = Part {
        first: 0,
        mantissas: &mut out.mantissas[..rows * width],
        exponents: &mut out.exponents[..rows * parts],
        sums: &mut [],
        clamped: 0,
    };
    let run = |_: usize, part: &mut Part<'_>, wide: &mut Wide| {
        part.clamped = part
            .rows(width, parts)
            .map(|(row, out)| work(row, wide, out))
            .sum();
    };
    let share = share(team, rows, width);
    if share >= rows {
        run(0, &mut whole, &mut wides[0]);
        return whole.clamped;
    }
    let pieces = whole.mantissas.chunks_mut(share * width);
    let pieces = pieces
        .zip(whole.exponents.chunks_mut(share * parts))
        .enumerate();
    let pieces = pieces.map(|(index, (mantissas, exponents))| Part {
        first: index * share,
        mantissas,
        exponents,
        sums: &mut [],
        clamped: 0,
    });
    let mut pieces: Vec<Part<'_>> = pieces.collect();
    team.each_with(&mut pieces, wides, run);
    pieces.iter().map(|part| part.clamped).sum()
}

/// Writes rows `rows` of `out` from sums, of which there are as many for each row as it has elements.
pub(super) fn each_sums(
    team: &mut Team,
    sums: &mut [i64],
    of: &Type,
    rows: Range<usize>,
    out: &mut Buffer,
    work: &SumsWork<'_>,
) -> u64 {
    let (width, parts) = (of.width as usize, of.parts());
    let mut whole = Part {
        first: rows.start,
        mantissas: &mut out.mantissas[rows.start * width..rows.end * width],
        exponents: &mut out.exponents[rows.start * parts..rows.end * parts],
        sums: &mut sums[..rows.len() * width],
        clamped: 0,
    };
    let run = |_: usize, part: &mut Part<'_>| {
        let sums = std::mem::take(&mut part.sums);
        let rows = part.rows(width, parts).zip(sums.chunks_exact_mut(width));
        part.clamped = rows.map(|((row, out), sums)| work(row, sums, out)).sum();
    };
    let share = share(team, rows.len(), width);
    if share >= rows.len() {
        run(0, &mut whole);
        return whole.clamped;
    }
    let pieces = whole.mantissas.chunks_mut(share * width);
    let pieces = pieces.zip(whole.exponents.chunks_mut(share * parts));
    let pieces = pieces.zip(whole.sums.chunks_mut(share * width)).enumerate();
    let pieces = pieces.map(|(index, ((mantissas, exponents), sums))| Part {
        first: rows.start + index * share,
        mantissas,
        exponents,
        sums,
        clamped: 0,
    });
    let mut pieces: Vec<Part<'_>> = pieces.collect();
    team.each(&mut pieces, run);
    pieces.iter().map(|part| part.clamped).sum()
}
