//! Roots of lists, and paths from an item to its root (commonware's binary Merkle tree).
//!
//! A leaf is `keccak256(position ‖ item hash)`, a root `keccak256(count ‖ tree root)`, so neither
//! an item's position nor the length of the list can be lied about. See `docs/formats/receipt.md`.

use crate::hash::keccak256;
use alloy_primitives::B256;
use commonware_cryptography::{Keccak256, keccak256::Digest};
use commonware_storage::bmt::{Builder, Proof, Tree};
use og_types::{Inclusion, limits::MAX_PROOF_SIBLINGS};

/// A path that does not lead from the item to the root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Merkle path does not lead to the root: {0}")]
pub struct InclusionError(String);

/// The Merkle tree of a list, from which any item's path is quickly taken.
#[derive(Clone, Debug)]
pub struct ListTree(Tree<Digest>);

impl ListTree {
    /// The tree of a list of encoded items.
    pub fn new<I: AsRef<[u8]>>(items: &[I]) -> Self {
        let mut builder = Builder::<Keccak256>::new(items.len());
        for item in items {
            builder.add(&Digest(keccak256(&[item.as_ref()]).0));
        }
        Self(builder.build())
    }

    /// The list's root.
    pub fn root(&self) -> B256 {
        B256::from(self.0.root().0)
    }

    /// The path from the item at `position` to the root, or `None` past the list's end.
    pub fn prove(&self, position: u32) -> Option<Inclusion> {
        let proof = self.0.proof(position).ok()?;
        Some(Inclusion {
            position,
            leaf_count: proof.leaf_count,
            siblings: proof
                .siblings
                .iter()
                .map(|digest| B256::from(digest.0))
                .collect(),
        })
    }
}

/// The root of a list of encoded items.
pub fn list_root<I: AsRef<[u8]>>(items: &[I]) -> B256 {
    ListTree::new(items).root()
}

/// Checks that `item` stands where `inclusion` says in the list that has `root`.
///
/// # Errors
/// [`InclusionError`] if it does not.
pub fn verify_inclusion(
    item: &[u8],
    inclusion: &Inclusion,
    root: &B256,
) -> Result<(), InclusionError> {
    if inclusion.siblings.len() > MAX_PROOF_SIBLINGS {
        return Err(InclusionError("too many sibling hashes".to_owned()));
    }
    let proof = Proof {
        leaf_count: inclusion.leaf_count,
        siblings: inclusion
            .siblings
            .iter()
            .map(|sibling| Digest(sibling.0))
            .collect(),
    };
    proof
        .verify_element_inclusion::<Keccak256>(
            &Digest(keccak256(&[item]).0),
            inclusion.position,
            &Digest(root.0),
        )
        .map_err(|error| InclusionError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_of_every_small_list_is_provable_and_nothing_else_is() {
        for count in 1..20u32 {
            let items: Vec<_> = (0..count).map(|i| i.to_be_bytes()).collect();
            let root = list_root(&items);
            for position in 0..count {
                let inclusion = ListTree::new(&items).prove(position).unwrap();
                verify_inclusion(&items[position as usize], &inclusion, &root).unwrap();
                for other in (0..count).filter(|other| *other != position) {
                    verify_inclusion(&items[other as usize], &inclusion, &root).unwrap_err();
                }
                let mut moved = inclusion.clone();
                moved.leaf_count += 1;
                verify_inclusion(&items[position as usize], &moved, &root).unwrap_err();
            }
            assert!(ListTree::new(&items).prove(count).is_none());
        }
    }

    #[test]
    fn the_empty_list_has_a_root_and_no_members() {
        let items: [[u8; 1]; 0] = [];
        assert_ne!(list_root(&items), B256::ZERO);
        assert!(ListTree::new(&items).prove(0).is_none());
    }
}
