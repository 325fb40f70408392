//! What a run commits to, while it is computed: the hash of each committed value, and of these each position's root.
//!
//! Values of few positions are copied and hashed together later, so that all members of the team have work; those of
//! many positions are hashed where they lie.

use super::{
    cache::Cache,
    executor::Observer,
    steps::{Scope, Wave},
    values::ValueRef,
};
use og_kernels::team::Team;
use og_program::{
    operation::Step,
    trace::{self, Hash},
};

/// Bytes of copied values from which on they are hashed.
const PENDING_BYTES: usize = 1 << 18;
/// Positions from which on values are hashed where they lie.
const MANY_POSITIONS: usize = 8;

/// A copied value that is to be hashed.
#[derive(Debug)]
struct Pending {
    /// Where its bytes stand.
    bytes: std::ops::Range<usize>,
    /// Where its hash goes.
    place: usize,
    hash: Hash,
}

/// Hashes of a wave's values.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    /// Whether any row is traced.
    active: bool,
    /// For each row, a hash for each committed step: those of the body, then those of the tail.
    leaves: Vec<Hash>,
    bytes: Vec<u8>,
    pending: Vec<Pending>,
    /// For each member of the team.
    scratch: Vec<Vec<u8>>,
}

/// One row's hash of a step.
struct Part<'a> {
    leaf: &'a mut Hash,
    index: usize,
}

/// The leaves of a row, and the roots of its body and of the whole position.
struct Roots<'a> {
    row: usize,
    leaves: &'a [Hash],
    roots: Option<(Hash, Hash)>,
}

impl Commit {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            scratch: vec![vec![]; threads],
            ..Self::default()
        }
    }

    fn width(scope: Scope<'_>) -> usize {
        scope.ready.trace.body().len() + scope.ready.trace.tail().len()
    }

    pub(super) fn begin(&mut self, scope: Scope<'_>) {
        self.active = scope.rows.iter().any(|row| row.traced);
        if self.active {
            self.leaves.clear();
            self.leaves
                .resize(scope.rows.len() * Self::width(scope), [0; 32]);
        }
    }

    /// Hashes what is pending.
    fn flush(&mut self, team: &mut Team) {
        let bytes = &self.bytes;
        team.each(&mut self.pending, |_, pending| {
            pending.hash = trace::leaf_of_bytes(&bytes[pending.bytes.clone()]);
        });
        for pending in self.pending.drain(..) {
            self.leaves[pending.place] = pending.hash;
        }
        self.bytes.clear();
    }

    /// Notes the roots of all traced rows.
    pub(super) fn end(&mut self, scope: Scope<'_>, team: &mut Team, cache: &mut Cache) {
        if !self.active {
            return;
        }
        self.flush(team);
        let body = scope.ready.trace.body().len();
        let leaves = self.leaves.chunks(Self::width(scope).max(1));
        let parts = leaves.enumerate().map(|(row, leaves)| Roots {
            row,
            leaves,
            roots: None,
        });
        let mut parts: Vec<Roots<'_>> = parts.collect();
        team.each(&mut parts, |_, part| {
            if scope.rows[part.row].traced {
                let (of_body, of_tail) = part.leaves.split_at(body);
                let of_body = trace::root(of_body);
                let wanted = scope.wanted.binary_search(&part.row).is_ok();
                let of_tail = wanted.then(|| trace::root(of_tail));
                let whole = trace::position_root(&of_body, of_tail.as_ref());
                part.roots = Some((of_body, whole));
            }
        });
        for part in parts {
            if let Some((of_body, whole)) = part.roots {
                let row = &scope.rows[part.row];
                cache.push_root(row.sequence, row.position, of_body, whole);
            }
        }
    }
}

impl Wave<'_> {
    /// Hashes a step's values, if they are committed.
    pub(super) fn commit(&mut self, step: usize) {
        let scope = self.scope;
        if !self.state.commit.active {
            return;
        }
        let Some((tail, place)) = scope.ready.trace.place(step as Step) else {
            return;
        };
        let width = Commit::width(scope);
        let place = if tail {
            scope.ready.trace.body().len() + place
        } else {
            place
        };
        let positions = scope.positions_of(step);
        let of = &scope.ready.program().steps[step].output;
        let commit = &mut self.state.commit;
        let buffer = &self.state.buffers[scope.ready.plan.steps[step].buffer];
        let value = |index: usize| ValueRef::of(of, buffer, index);
        if positions < MANY_POSITIONS {
            for index in 0..positions {
                let row = scope.row_of(step, index);
                if scope.rows[row].traced {
                    let start = commit.bytes.len();
                    leaf_bytes(step as Step, value(index), &mut commit.bytes);
                    commit.pending.push(Pending {
                        bytes: start..commit.bytes.len(),
                        place: row * width + place,
                        hash: [0; 32],
                    });
                }
            }
            if commit.bytes.len() >= PENDING_BYTES {
                commit.flush(self.team);
            }
            return;
        }
        // Rows ascend, so their leaves can be taken one after the other.
        let mut leaves = commit
            .leaves
            .iter_mut()
            .skip(place)
            .step_by(width)
            .enumerate();
        let parts = (0..positions).filter_map(|index| {
            let row = scope.row_of(step, index);
            let leaf = leaves.by_ref().find(|(at, _)| *at == row);
            leaf.filter(|_| scope.rows[row].traced)
                .map(|(_, leaf)| Part { leaf, index })
        });
        let mut parts: Vec<Part<'_>> = parts.collect();
        self.team
            .each_with(&mut parts, &mut commit.scratch, |_, part, bytes| {
                bytes.clear();
                leaf_bytes(step as Step, value(part.index), bytes);
                *part.leaf = trace::leaf_of_bytes(bytes);
            });
    }

    /// Shows a step's values to an observer.
    pub(super) fn show(&self, step: usize, observer: &mut dyn Observer) {
        let scope = self.scope;
        let of = &scope.ready.program().steps[step].output;
        let buffer = &self.state.buffers[scope.ready.plan.steps[step].buffer];
        for index in 0..scope.positions_of(step) {
            let row = &scope.rows[scope.row_of(step, index)];
            observer.value(
                row.sequence,
                row.position,
                step as Step,
                ValueRef::of(of, buffer, index),
            );
        }
    }
}

/// Appends what the hash of a value is of.
fn leaf_bytes(step: Step, value: ValueRef<'_>, bytes: &mut Vec<u8>) {
    trace::leaf_bytes(step, value.mantissas, value.exponents, value.indices, bytes);
}
