//! The channels that a validator speaks on, and the largest message on any of them.

use crate::{block::ConsensusBlock, gossip::MAX_GOSSIP_BYTES, probe, schemes::ConsensusScheme};
use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex,
};
use commonware_cryptography::keccak256::Digest;
use commonware_p2p::utils::mux::prefixed;
use commonware_runtime::Quota;
use commonware_utils::NZU32;

/// Votes of simplex, one subchannel for each epoch.
pub const VOTES: u64 = 0;
/// Certificates of simplex, one subchannel for each epoch.
pub const CERTIFICATES: u64 = 1;
/// Requests of simplex for certificates that were missed, one subchannel for each epoch.
pub const RESOLVER: u64 = 2;
/// Blocks as they are proposed.
pub const BLOCKS: u64 = 3;
/// Requests for blocks that were missed.
pub const BACKFILL: u64 = 4;
/// Transactions and records on their way to a proposer.
pub const GOSSIP: u64 = 5;

/// Where the network is: asked by nodes that start.
pub const PROBE: u64 = 6;
/// State for nodes that are far behind.
pub const STATE: u64 = 7;

/// All channels in order, with the messages per second that each peer may send on them.
///
/// Mailboxes are allocated in advance in proportion to these.
pub const NETWORK_CHANNELS: [(u64, Quota); 8] = [
    (VOTES, Quota::per_second(NZU32!(1024))),
    (CERTIFICATES, Quota::per_second(NZU32!(1024))),
    (RESOLVER, Quota::per_second(NZU32!(512))),
    (BLOCKS, Quota::per_second(NZU32!(512))),
    (BACKFILL, Quota::per_second(NZU32!(512))),
    (GOSSIP, Quota::per_second(NZU32!(256))),
    (PROBE, Quota::per_second(NZU32!(16))),
    (STATE, Quota::per_second(NZU32!(128))),
];

/// The sending and receiving ends of every channel.
#[derive(Debug)]
pub struct Channels<S, R> {
    /// [`VOTES`].
    pub votes: (S, R),
    /// [`CERTIFICATES`].
    pub certificates: (S, R),
    /// [`RESOLVER`].
    pub resolver: (S, R),
    /// [`BLOCKS`].
    pub blocks: (S, R),
    /// [`BACKFILL`].
    pub backfill: (S, R),
    /// [`GOSSIP`].
    pub gossip: (S, R),
    /// [`PROBE`].
    pub probe: (S, R),
    /// [`STATE`].
    pub state: (S, R),
}

impl<S, R> Channels<S, R> {
    /// The ends of [`NETWORK_CHANNELS`], in that order.
    pub fn new(ends: [(S, R); NETWORK_CHANNELS.len()]) -> Self {
        let [
            votes,
            certificates,
            resolver,
            blocks,
            backfill,
            gossip,
            probe,
            state,
        ] = ends;
        Self {
            votes,
            certificates,
            resolver,
            blocks,
            backfill,
            gossip,
            probe,
            state,
        }
    }
}

/// Bytes of the largest message that `validators` validators send each other.
///
/// The network must be configured with it: sending more would panic.
pub fn max_message_bytes(validators: u32) -> u32 {
    commonware_p2p::max_message_size(&[
        prefixed(simplex::max_payload_size::<ConsensusScheme, Digest>(
            validators,
        )),
        marshal::max_payload_size::<Standard<ConsensusBlock>, ConsensusScheme>(validators, &()),
        MAX_GOSSIP_BYTES,
        probe::max_message_bytes(validators),
        og_state::max_payload_bytes(),
    ])
}
