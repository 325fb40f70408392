//! Work on the rows of a value, shared between the members of a team where it is worth it.

use crate::exact::values::Buffer;
use og_kernels::{RowMut, row::Wide, team::Team};
use og_program::value::Type;
use std::ops::Range;

/// Elements from which on a value is worth sharing: a few microseconds of work.
const SHARED_ELEMENTS: usize = 1 << 14;
/// Elements that are taken together as one row, so that numbers on the way stay in the first cache.
const ELEMENTS_TOGETHER: usize = 2048;
/// Parts for each member, so that one that is interrupted does not hold up the others.
const PARTS_FOR_EACH: usize = 4;

/// Work on one row: its index, memory for wide numbers, and where the row is written. Gives how many elements were clamped.
pub(super) type RowWork<'a> = dyn Fn(usize, &mut Wide, RowMut<'_>) -> u64 + Sync + 'a;

/// Work on several rows, as [`RowWork`].
pub(super) type RowsWork<'a> = dyn Fn(Range<usize>, &mut Wide, RowMut<'_>) -> u64 + Sync + 'a;

/// Work on several rows of the value at one position, which comes first: as [`RowsWork`], rows counted from its first.
pub(super) type PictureWork<'a> =
    dyn Fn(usize, Range<usize>, &mut Wide, RowMut<'_>) -> u64 + Sync + 'a;

/// Writing one row of sums: its index, the sums, and where the row is written. Gives how many elements were clamped.
pub(super) type SumsWork<'a> = dyn Fn(usize, &mut [i64], RowMut<'_>) -> u64 + Sync + 'a;

/// Some rows of an output.
struct Stretch<'a> {
    rows: Range<usize>,
    out: RowMut<'a>,
    clamped: u64,
}

/// Some rows of an output, and the sums that they come from.
struct Part<'a> {
    first: usize,
    mantissas: &'a mut [i16],
    exponents: &'a mut [i32],
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
    each_stretch(team, wides, of, positions, out, &|rows, wide, out| {
        let mantissas = out.mantissas.chunks_exact_mut(width);
        let out = mantissas.zip(out.exponents.chunks_exact_mut(parts));
        let each = rows.zip(out).map(|(row, (mantissas, exponents))| {
            let out = RowMut {
                mantissas,
                exponents,
            };
            work(row, wide, out)
        });
        each.sum()
    })
}

/// As [`each_row`], for work on elements one by one: where `plain`, as operands and result then must be, rows are taken
/// together as one.
pub(super) fn each_element(
    team: &mut Team,
    wides: &mut [Wide],
    of: &Type,
    positions: usize,
    out: &mut Buffer,
    plain: bool,
    work: &RowsWork<'_>,
) -> u64 {
    if !plain {
        return each_row(team, wides, of, positions, out, &|row, wide, out| {
            work(row..row + 1, wide, out)
        });
    }
    let width = of.width as usize;
    let together = (ELEMENTS_TOGETHER / width).max(1);
    each_stretch(team, wides, of, positions, out, &|rows, wide, out| {
        let mantissas = out.mantissas.chunks_mut(together * width);
        let out = mantissas.zip(out.exponents.chunks_mut(together));
        let each = rows.clone().step_by(together).zip(out);
        let each = each.map(|(first, (mantissas, exponents))| {
            let Some((exponent, others)) = exponents.split_first_mut() else {
                return 0;
            };
            let out = RowMut {
                mantissas,
                exponents: std::slice::from_mut(exponent),
            };
            let clamped = work(first..(first + together).min(rows.end), wide, out);
            others.fill(*exponent);
            clamped
        });
        each.sum()
    })
}

/// As [`each_row`], for several rows of one position at once.
pub(super) fn each_picture(
    team: &mut Team,
    wides: &mut [Wide],
    of: &Type,
    positions: usize,
    out: &mut Buffer,
    work: &PictureWork<'_>,
) -> u64 {
    let (count, width, parts) = (of.rows as usize, of.width as usize, of.parts());
    each_stretch(team, wides, of, positions, out, &|rows, wide, out| {
        let (mut rows, mut out) = (rows, out);
        let mut clamped = 0;
        while !rows.is_empty() {
            let position = rows.start / count;
            let here = rows.start..rows.end.min((position + 1) * count);
            let (mantissas, exponents) = (out.mantissas, out.exponents);
            let (mantissas, mantissas_after) = mantissas.split_at_mut(here.len() * width);
            let (exponents, exponents_after) = exponents.split_at_mut(here.len() * parts);
            let first = position * count;
            let within = here.start - first..here.end - first;
            let these = RowMut {
                mantissas,
                exponents,
            };
            clamped += work(position, within, wide, these);
            out = RowMut {
                mantissas: mantissas_after,
                exponents: exponents_after,
            };
            rows.start = here.end;
        }
        clamped
    })
}

/// Does `work` for stretches of the `positions · of.rows` rows of `out`.
fn each_stretch(
    team: &mut Team,
    wides: &mut [Wide],
    of: &Type,
    positions: usize,
    out: &mut Buffer,
    work: &RowsWork<'_>,
) -> u64 {
    let (width, parts) = (of.width as usize, of.parts());
    let rows = positions * of.rows as usize;
    let mantissas = &mut out.mantissas[..rows * width];
    let exponents = &mut out.exponents[..rows * parts];
    let share = share(team, rows, width);
    if share >= rows {
        let out = RowMut {
            mantissas,
            exponents,
        };
        return work(0..rows, &mut wides[0], out);
    }
    let pieces = mantissas.chunks_mut(share * width);
    let pieces = pieces.zip(exponents.chunks_mut(share * parts)).enumerate();
    let pieces = pieces.map(|(index, (mantissas, exponents))| Stretch {
        rows: index * share..(index * share + share).min(rows),
        out: RowMut {
            mantissas,
            exponents,
        },
        clamped: 0,
    });
    let mut pieces: Vec<Stretch<'_>> = pieces.collect();
    team.each_with(&mut pieces, wides, |_, piece, wide| {
        let out = RowMut {
            mantissas: &mut *piece.out.mantissas,
            exponents: &mut *piece.out.exponents,
        };
        piece.clamped = work(piece.rows.clone(), wide, out);
    });
    pieces.iter().map(|piece| piece.clamped).sum()
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
