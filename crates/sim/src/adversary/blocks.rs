//! A proposer of invalid blocks: honest but for its own proposals, each of which breaks one rule.

use super::votes::{read_vote, vote_message};
use crate::{
    outlet::{Letter, Tamper},
    workload,
    world::World,
};
use alloy_primitives::{B256, Bytes};
use commonware_codec::{DecodeExt as _, Encode as _, varint::UInt};
use commonware_consensus::{
    simplex::{
        elector::{Config as _, Elector as _, RoundRobin, RoundRobinElector},
        types::{Notarize, Proposal, Vote},
    },
    types::Round,
};
use commonware_cryptography::{
    Keccak256, certificate::Scheme as _, ed25519::PublicKey, keccak256::Digest,
};
use commonware_utils::ordered::Quorum as _;
use og_chain::Block;
use og_consensus::{
    ConsensusBlock, ConsensusScheme,
    block::digest,
    channels::{BLOCKS, VOTES},
    max_message_bytes,
};
use og_types::{Header, SignedRecord, limits::MAX_TRANSACTIONS_PER_BLOCK};
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::{collections::BTreeMap, sync::Arc};

/// Votes kept until the block that they are for is sent.
const MAX_HELD: usize = 16;
/// Ways to break a rule.
const WAYS: u32 = 20;

/// Replaces the blocks that a seat proposes, and its votes for them.
pub(crate) struct InvalidBlocks {
    world: Arc<World>,
    me: PublicKey,
    scheme: ConsensusScheme,
    elector: RoundRobinElector<ConsensusScheme>,
    proposals: Mutex<Proposals>,
}

struct Proposals {
    chance: ChaCha20Rng,
    /// By the honest block's digest, what is sent in its place.
    replaced: BTreeMap<Digest, Replacement>,
    held: Vec<(Notarize<ConsensusScheme, Digest>, Letter)>,
    settled: Option<SignedRecord>,
}

#[derive(Clone)]
struct Replacement {
    digest: Digest,
    message: Vec<u8>,
}

impl InvalidBlocks {
    pub(crate) fn new(
        world: Arc<World>,
        me: PublicKey,
        scheme: ConsensusScheme,
        seed: u64,
    ) -> Self {
        let elector = RoundRobin::<Keccak256>::default().build(scheme.participants());
        Self {
            world,
            me,
            scheme,
            elector,
            proposals: Mutex::new(Proposals {
                chance: ChaCha20Rng::seed_from_u64(seed),
                replaced: BTreeMap::new(),
                held: Vec::new(),
                settled: None,
            }),
        }
    }

    fn is_mine(&self, round: Round) -> bool {
        let leader = self.elector.elect(round, ());
        self.scheme.participants().key(leader) == Some(&self.me)
    }

    fn block(&self, letter: Letter) -> Vec<Letter> {
        let Ok(block) = ConsensusBlock::decode(letter.message.clone()) else {
            return vec![letter];
        };
        let block = block.block();
        let mut proposals = self.proposals.lock();
        let honest = digest(&block.hash());
        if block.header().proposer.0 != self.me.as_ref() {
            return vec![letter];
        }
        let replacement = match proposals.replaced.get(&honest) {
            Some(replacement) => replacement.clone(),
            None => {
                let replacement = self.broken(&mut proposals, block);
                proposals.replaced.insert(honest, replacement.clone());
                replacement
            }
        };
        if let Some(record) = block.records().last() {
            proposals.settled = Some(record.clone());
        }
        let mut letters: Vec<_> = std::mem::take(&mut proposals.held)
            .into_iter()
            .filter(|(notarize, _)| notarize.proposal.payload == honest)
            .filter_map(|(notarize, letter)| self.revote(notarize, letter, &replacement))
            .collect();
        letters.push(Letter {
            message: replacement.message.into(),
            ..letter
        });
        letters
    }

    fn vote(&self, letter: Letter) -> Vec<Letter> {
        let mut proposals = self.proposals.lock();
        match read_vote(&letter.message) {
            Some(Vote::Notarize(notarize)) if self.is_mine(notarize.proposal.round) => {
                let replaced = proposals.replaced.get(&notarize.proposal.payload).cloned();
                let Some(replacement) = replaced else {
                    // The vote is out before the block; it has to wait for what replaces it.
                    if proposals.held.len() < MAX_HELD {
                        proposals.held.push((notarize, letter));
                    }
                    return Vec::new();
                };
                self.revote(notarize, letter, &replacement)
                    .into_iter()
                    .collect()
            }
            Some(Vote::Finalize(finalize))
                if proposals.replaced.contains_key(&finalize.proposal.payload) =>
            {
                Vec::new()
            }
            _ => vec![letter],
        }
    }

    fn revote(
        &self,
        notarize: Notarize<ConsensusScheme, Digest>,
        letter: Letter,
        replacement: &Replacement,
    ) -> Option<Letter> {
        let Proposal { round, parent, .. } = notarize.proposal;
        let proposal = Proposal::new(round, parent, replacement.digest);
        let vote = Vote::Notarize(Notarize::sign(&self.scheme, proposal)?);
        Some(Letter {
            message: vote_message(&vote),
            ..letter
        })
    }

    /// `block` with one rule broken.
    fn broken(&self, proposals: &mut Proposals, block: &Block) -> Replacement {
        let chance = &mut proposals.chance;
        let mut header = block.header().clone();
        let mut transactions = block.transactions().to_vec();
        let mut records = block.records().to_vec();
        let noise = B256::from(workload::random(chance));
        match chance.next_u32() % WAYS {
            0 => header.state_root = noise,
            1 => header.state_operations_root = noise,
            2 => header.state_operations_size += 1,
            3 => header.receipts_root = noise,
            4 => header.gas_used += 1,
            5 => header.timestamp_ms = self.world.rules.genesis().timestamp_ms,
            6 => header.timestamp_ms += 100_000,
            7 => header.base_fee_per_gas += 1,
            8 => header.next_validators = noise,
            9 => header.height += 1,
            10 => header.parent.0 = noise.0,
            11 => header.view += 1,
            12 => header.proposer = self.other_seat(),
            13 => {
                let time_ms = header.timestamp_ms;
                records.push(workload::forged_record(&self.world, chance, time_ms));
            }
            14 => records.extend(proposals.settled.clone()),
            15 => records.extend(records.first().cloned()),
            16 => transactions.push(workload::bad_transaction(&self.world, chance)),
            17 => transactions.extend(transactions.first().cloned()),
            18 => {
                let many = MAX_TRANSACTIONS_PER_BLOCK + 1;
                transactions = vec![Bytes::from_static(&[0]); many];
            }
            // The body is not what the header says, or too long to be one.
            _ => return self.malformed(block, chance.next_u32().is_multiple_of(2)),
        }
        // Where there was nothing to repeat, the state is wrong at least.
        if (&header, &*transactions, &*records)
            == (block.header(), block.transactions(), block.records())
        {
            header.state_root = noise;
        }
        let block = Block::new(header, transactions, records);
        Replacement {
            digest: digest(&block.hash()),
            message: message(block.bytes()),
        }
    }

    fn other_seat(&self) -> og_types::ValidatorId {
        let seats = self.world.seats.iter().map(|seat| seat.key.id());
        seats
            .into_iter()
            .find(|id| id.0 != self.me.as_ref())
            .unwrap_or_default()
    }

    fn malformed(&self, block: &Block, too_long: bool) -> Replacement {
        if too_long {
            let maximum = max_message_bytes(self.world.seats.len() as u32) as usize;
            let mut bytes = block.bytes().to_vec();
            bytes.resize(maximum - message(&[]).len() - 4, 0);
            return Replacement {
                digest: digest(&block.hash()),
                message: message(&bytes),
            };
        }
        let header = Header {
            records_root: B256::repeat_byte(0xbb),
            ..block.header().clone()
        };
        let root = block.header().records_root;
        let mut bytes = block.bytes().to_vec();
        if let Some(at) = bytes.windows(32).position(|window| window == root) {
            bytes[at..at + 32].copy_from_slice(header.records_root.as_slice());
        }
        Replacement {
            digest: digest(&og_crypto::block_hash(&header)),
            message: message(&bytes),
        }
    }
}

/// A block's bytes as they are sent: after their length.
fn message(bytes: &[u8]) -> Vec<u8> {
    let mut message = UInt(bytes.len() as u32).encode().to_vec();
    message.extend_from_slice(bytes);
    message
}

impl Tamper for InvalidBlocks {
    fn rewrite(&self, letter: Letter) -> Vec<Letter> {
        match letter.channel {
            BLOCKS => self.block(letter),
            VOTES => self.vote(letter),
            _ => vec![letter],
        }
    }
}
