//! Votes that contradict each other.

use crate::outlet::{Letter, Lines};
use commonware_codec::{DecodeExt as _, Encode as _, varint::UInt};
use commonware_consensus::{
    Epochable as _,
    simplex::types::{Finalize, Notarize, Nullify, Proposal, Vote},
    types::Round,
};
use commonware_cryptography::{ed25519::PublicKey, keccak256::Digest};
use commonware_p2p::{Receiver as _, Recipients, simulated, utils::mux};
use commonware_runtime::IoBuf;
use og_consensus::{ConsensusScheme, channels::VOTES};
use std::collections::BTreeSet;

pub(super) type SeatVote = Vote<ConsensusScheme, Digest>;

/// The vote in a message of the channel of votes: after the number of its epoch's subchannel.
pub(super) fn read_vote(message: &IoBuf) -> Option<SeatVote> {
    let (_, payload) = mux::parse(message.clone()).ok()?;
    Vote::decode(payload).ok()
}

/// The message that carries `vote`.
pub(super) fn vote_message(vote: &SeatVote) -> IoBuf {
    let mut bytes = UInt(vote.epoch().get()).encode().to_vec();
    bytes.extend_from_slice(&vote.encode());
    bytes.into()
}

fn to_all(vote: SeatVote) -> Letter {
    Letter {
        channel: VOTES,
        recipients: Recipients::All,
        message: vote_message(&vote),
    }
}

/// Answers the first vote of each kind in a view with `answers` to it.
async fn answer(
    mut votes: simulated::Receiver<PublicKey>,
    mut lines: Lines,
    answers: impl Fn(SeatVote) -> Vec<SeatVote>,
) {
    let mut answered: BTreeSet<(Round, bool)> = BTreeSet::new();
    while let Ok((_, message)) = votes.recv().await {
        let Some(vote) = read_vote(&message) else {
            continue;
        };
        let about = match &vote {
            Vote::Notarize(notarize) => (notarize.proposal.round, false),
            Vote::Finalize(finalize) => (finalize.proposal.round, true),
            Vote::Nullify(_) => continue,
        };
        if answered.insert(about) {
            for vote in answers(vote) {
                lines.send(to_all(vote));
            }
        }
    }
}

/// Votes for each proposal, and for one that nobody has, in the same view.
pub(crate) async fn contradict(
    votes: simulated::Receiver<PublicKey>,
    lines: Lines,
    scheme: ConsensusScheme,
) {
    answer(votes, lines, move |vote| match vote {
        Vote::Notarize(notarize) => [other(&notarize.proposal), notarize.proposal]
            .into_iter()
            .filter_map(|proposal| Notarize::sign(&scheme, proposal))
            .map(Vote::Notarize)
            .collect(),
        Vote::Finalize(finalize) => [other(&finalize.proposal), finalize.proposal]
            .into_iter()
            .filter_map(|proposal| Finalize::sign(&scheme, proposal))
            .map(Vote::Finalize)
            .collect(),
        Vote::Nullify(_) => Vec::new(),
    })
    .await;
}

/// Votes to skip each view and to finalize its proposal.
pub(crate) async fn nullify_and_finalize(
    votes: simulated::Receiver<PublicKey>,
    lines: Lines,
    scheme: ConsensusScheme,
) {
    answer(votes, lines, move |vote| {
        let Vote::Notarize(notarize) = vote else {
            return Vec::new();
        };
        let nullify = Nullify::sign::<Digest>(&scheme, notarize.proposal.round);
        let finalize = Finalize::sign(&scheme, notarize.proposal);
        nullify
            .map(Vote::Nullify)
            .into_iter()
            .chain(finalize.map(Vote::Finalize))
            .collect()
    })
    .await;
}

/// A proposal for the same place, of a block that does not exist.
fn other(proposal: &Proposal<Digest>) -> Proposal<Digest> {
    let mut payload = proposal.payload;
    payload.0[0] ^= 1;
    Proposal::new(proposal.round, proposal.parent, payload)
}
