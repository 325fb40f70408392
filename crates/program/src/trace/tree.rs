//! Merkle trees of any number of leaves, in the shape of RFC 9162: the left half is the largest full tree that
//! leaves something for the right.

use super::Hash;

/// Key of the hash of two subtrees.
const NODE: &Hash = b"_OG_TRACE_NODE_V1_______________";
/// Key of the hash of a tree without leaves.
const EMPTY: &Hash = b"_OG_TRACE_EMPTY_V1______________";

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut both = [0; 64];
    let (first, second) = both.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    blake3::keyed_hash(NODE, &both).into()
}

/// The root of a tree of these leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// A tree that grows leaf by leaf: the roots of its full subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    leaves: u64,
    full: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut subtree = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.full.pop() {
                subtree = node(&left, &subtree);
            }
        }
        self.full.push(subtree);
        self.leaves += 1;
    }

    /// Leaves so far.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root of the tree so far.
    pub fn root(&self) -> Hash {
        let smaller = self.full.iter().rev().copied();
        smaller
            .reduce(|right, left| node(&left, &right))
            .unwrap_or_else(|| blake3::keyed_hash(EMPTY, &[]).into())
    }
}

/// The hashes beside the way from a leaf to the root, from below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Hash>);

impl Path {
    /// The path of leaf `index`; `None` if there is no such leaf.
    pub fn of(leaves: &[Hash], index: usize) -> Option<Self> {
        let (mut leaves, mut index) = (leaves, index);
        leaves.get(index)?;
        let mut from_above = vec![];
        while leaves.len() > 1 {
            let (left, right) = leaves.split_at(left_leaves(leaves.len() as u64) as usize);
            if index < left.len() {
                from_above.push(root(right));
                leaves = left;
            } else {
                from_above.push(root(left));
                index -= left.len();
                leaves = right;
            }
        }
        from_above.reverse();
        Some(Self(from_above))
    }

    /// The root that leaf `index` of `leaves` leads to; `None` if the path has another length than it must.
    pub fn root(&self, index: u64, leaves: u64, leaf: Hash) -> Option<Hash> {
        if index >= leaves {
            return None;
        }
        // Whether the way goes left, from above.
        let (mut index, mut leaves, mut turns) = (index, leaves, vec![]);
        while leaves > 1 {
            let left = left_leaves(leaves);
            turns.push(index < left);
            (index, leaves) = if index < left {
                (index, left)
            } else {
                (index - left, leaves - left)
            };
        }
        if turns.len() != self.0.len() {
            return None;
        }
        let beside = self.0.iter().zip(turns.iter().rev());
        Some(beside.fold(leaf, |below, (beside, left)| {
            if *left {
                node(&below, beside)
            } else {
                node(beside, &below)
            }
        }))
    }
}

/// Leaves of the left half of a tree of two or more: the greatest power of two below.
fn left_leaves(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}
