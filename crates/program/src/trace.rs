//! What a run commits to: a Merkle tree of positions, and in each position one of the values of its steps.

mod plan;
mod tree;

pub use plan::Plan;
pub use tree::{Frontier, Path, root};

use crate::{operation::Step, value::Value};

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// Key of the hash of a value.
const LEAF: &Hash = b"_OG_TRACE_LEAF_V1_______________";
/// Key of the hash of a position: its two groups of values.
const POSITION: &Hash = b"_OG_TRACE_POSITION_V1___________";
/// Key of the hash of a run: how many positions it has, and the root of their tree.
const RUN: &Hash = b"_OG_TRACE_RUN_V1________________";

/// The leaf of a step's value: the hash of its [`leaf_bytes`].
pub fn leaf(step: Step, value: &Value) -> Hash {
    let mut bytes = vec![];
    leaf_bytes(
        step,
        value.mantissas(),
        value.exponents(),
        value.indices(),
        &mut bytes,
    );
    leaf_of_bytes(&bytes)
}

/// Appends what a leaf is the hash of: a value's mantissas or indices (the other is empty), its exponents, then 16 bytes that say
/// which step it is of, whether it holds indices, and how many numbers of each kind there are.
pub fn leaf_bytes(
    step: Step,
    mantissas: &[i16],
    exponents: &[i32],
    indices: &[u32],
    bytes: &mut Vec<u8>,
) {
    bytes.reserve(2 * mantissas.len() + 4 * (exponents.len() + indices.len()) + 16);
    append(bytes, mantissas, i16::to_le_bytes);
    append(bytes, indices, u32::to_le_bytes);
    append(bytes, exponents, i32::to_le_bytes);
    let kind = u32::from(indices.is_empty());
    let numbers = mantissas.len() + indices.len();
    for word in [step, kind, numbers as u32, exponents.len() as u32] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

/// Appends numbers, one after the other: whole words at a time, which is several times as fast as byte by byte.
fn append<T: Copy, const N: usize>(bytes: &mut Vec<u8>, numbers: &[T], of: fn(T) -> [u8; N]) {
    let start = bytes.len();
    bytes.resize(start + numbers.len() * N, 0);
    let (_, end) = bytes.split_at_mut(start);
    for (word, number) in end.as_chunks_mut().0.iter_mut().zip(numbers) {
        *word = of(*number);
    }
}

/// The leaf whose [`leaf_bytes`] are `bytes`.
pub fn leaf_of_bytes(bytes: &[u8]) -> Hash {
    blake3::keyed_hash(LEAF, bytes).into()
}

/// The root of a position: of the roots of its body and, where its output is used, of its tail ([`Plan`]).
pub fn position_root(body: &Hash, tail: Option<&Hash>) -> Hash {
    let mut hasher = blake3::Hasher::new_keyed(POSITION);
    hasher.update(body);
    if let Some(tail) = tail {
        hasher.update(tail);
    }
    hasher.finalize().into()
}

/// A run that grows: positions are added as they are computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    frontier: Frontier,
}

impl Run {
    /// A run without positions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next position's root.
    pub fn push(&mut self, position: Hash) {
        self.frontier.push(position);
    }

    /// Positions so far.
    pub fn positions(&self) -> u64 {
        self.frontier.leaves()
    }

    /// What the run so far commits to.
    pub fn root(&self) -> Hash {
        run_root(self.positions(), &self.frontier.root())
    }
}

fn run_root(positions: u64, tree: &Hash) -> Hash {
    let mut hasher = blake3::Hasher::new_keyed(RUN);
    hasher.update(&positions.to_le_bytes()).update(tree);
    hasher.finalize().into()
}

/// Shows that a step has a value at a position of a run, to whoever has the run's root and the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Which position.
    pub position: u64,
    /// How many positions the run has.
    pub positions: u64,
    /// Which step; committed according to the [`Plan`].
    pub step: Step,
    /// From the value's leaf to the root of its group.
    pub in_group: Path,
    /// The root of the position's other group; `None` if the position has no tail.
    pub other_group: Option<Hash>,
    /// From the position's root to the root of the tree of positions.
    pub in_run: Path,
}

impl Opening {
    /// Whether `value` is that of the step at the position in the run that `run_root` commits to.
    pub fn verify(&self, plan: &Plan, value: &Value, run_root: &Hash) -> bool {
        self.root(plan, value).is_some_and(|root| root == *run_root)
    }

    /// The run's root that the opening leads to; `None` if it has not the form that its numbers demand.
    fn root(&self, plan: &Plan, value: &Value) -> Option<Hash> {
        let (tail, index) = plan.place(self.step)?;
        let leaves = if tail { plan.tail() } else { plan.body() };
        let leaf = leaf(self.step, value);
        let group = self
            .in_group
            .root(index as u64, leaves.len() as u64, leaf)?;
        let position = if tail {
            position_root(&self.other_group?, Some(&group))
        } else {
            position_root(&group, self.other_group.as_ref())
        };
        let tree = self.in_run.root(self.position, self.positions, position)?;
        Some(run_root(self.positions, &tree))
    }
}

#[cfg(test)]
mod tests;
