//! Asking peers where the network is, and telling them where we are.
//!
//! A node that starts asks all validators for their newest final block and whether they have the
//! block that it needs next. Of one more than may be faulty, one is honest: the newest block among
//! their answers is not older than that one's, and what all of them have that one has. Whoever
//! starts answers too, from its disk, so nodes that start together do not wait for each other.
//!
//! commonware's probe is silent where nothing is final yet and while it asks itself, and does not
//! say heights; hence this one (`docs/formats/state-sync.md`).

use crate::{
    block::digest,
    epochs::Marshal,
    history::NEAR_BLOCKS,
    schemes::{ConsensusScheme, Schemes},
};
use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, Decode as _, Encode as _, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt as _,
    Write,
};
use commonware_consensus::{
    Epochable as _,
    marshal::Identifier,
    simplex::types::Finalization,
    types::{Epoch, Height},
};
use commonware_cryptography::{
    certificate::{Provider as _, Scheme as _, Verifier},
    ed25519::PublicKey,
    keccak256::Digest,
};
use commonware_macros::select;
use commonware_p2p::{Blocker, Receiver, Recipients, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, IoBuf};
use commonware_utils::{Faults as _, N3f1};
use og_crypto::block_hash;
use og_types::{Canonical as _, Header};
use rand_core::CryptoRng;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use tracing::error;

/// Between two questions to peers that have not all answered.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Without a new block for so long, a running node asks whether it is left behind.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);

type CertificateConfig = <<ConsensusScheme as Verifier>::Certificate as Read>::Cfg;

/// Bytes of the largest message of a network of `validators`.
pub(crate) fn max_message_bytes(validators: u32) -> usize {
    const HEADS_BYTES: usize = 16;
    HEADS_BYTES
        + Finalization::<ConsensusScheme, Digest>::max_encode_size(validators)
        + Header::MAX_ENCODED_BYTES
}

/// A final block's header, with the certificate of its finality.
#[derive(Clone, Debug, PartialEq)]
pub struct Tip {
    /// The certificate.
    pub finalization: Finalization<ConsensusScheme, Digest>,
    /// The header.
    pub header: Header,
}

impl Tip {
    /// Whether a quorum signed exactly this header.
    fn verify(&self, rng: &mut impl CryptoRng, schemes: &Schemes) -> bool {
        digest(&block_hash(&self.header)) == self.finalization.proposal.payload
            && self.header.epoch == self.finalization.epoch().get()
            && schemes
                .scheme(self.finalization.epoch())
                .is_some_and(|scheme| self.finalization.verify(rng, scheme.as_ref(), &Sequential))
    }
}

/// What nodes say to each other on this channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Where are you, and do you have the block at this height?
    Ask(u64),
    /// The answer.
    Tell {
        /// Whether that block is there.
        has_block: bool,
        /// The newest final block.
        tip: Option<Box<Tip>>,
    },
}

impl Write for Message {
    fn write(&self, buffer: &mut impl BufMut) {
        match self {
            Self::Ask(height) => {
                0_u8.write(buffer);
                height.write(buffer);
            }
            Self::Tell { has_block, tip } => {
                1_u8.write(buffer);
                has_block.write(buffer);
                tip.is_some().write(buffer);
                if let Some(tip) = tip {
                    tip.finalization.write(buffer);
                    Bytes::from(tip.header.to_bytes()).write(buffer);
                }
            }
        }
    }
}

impl EncodeSize for Message {
    fn encode_size(&self) -> usize {
        match self {
            Self::Ask(height) => 1 + height.encode_size(),
            Self::Tell { tip, .. } => {
                let tip = tip.as_ref().map_or(0, |tip| {
                    tip.finalization.encode_size()
                        + Bytes::from(tip.header.to_bytes()).encode_size()
                });
                3 + tip
            }
        }
    }
}

impl Read for Message {
    type Cfg = CertificateConfig;

    fn read_cfg(buffer: &mut impl Buf, config: &Self::Cfg) -> Result<Self, CodecError> {
        match u8::read(buffer)? {
            0 => Ok(Self::Ask(u64::read(buffer)?)),
            1 => Ok(Self::Tell {
                has_block: bool::read(buffer)?,
                tip: if bool::read(buffer)? {
                    Some(Box::new(Tip::read_cfg(buffer, config)?))
                } else {
                    None
                },
            }),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

impl Read for Tip {
    type Cfg = CertificateConfig;

    fn read_cfg(buffer: &mut impl Buf, config: &Self::Cfg) -> Result<Self, CodecError> {
        let finalization = Finalization::read_cfg(buffer, config)?;
        let header = Bytes::read_cfg(buffer, &RangeCfg::from(0..=Header::MAX_ENCODED_BYTES))?;
        let header = Header::from_bytes(&header)
            .map_err(|_| CodecError::Invalid("Tip", "the header is not canonical"))?;
        Ok(Self {
            finalization,
            header,
        })
    }
}

/// What this node has on its disk when it starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// First and last height of the unbroken stretch of blocks that ends highest; 0 of none.
    pub(crate) from: u64,
    pub(crate) height: u64,
    /// The newest final block with a certificate.
    pub(crate) tip: Option<Tip>,
}

impl Stored {
    fn has_block(&self, height: u64) -> bool {
        self.height > 0 && (self.from..=self.height).contains(&height)
    }
}

/// Where the network is, as one more of its validators say than may be faulty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// The newest final block; `None` before the first.
    pub(crate) tip: Option<Tip>,
    /// Whether all who answered have the block that was asked for.
    pub(crate) has_block: bool,
}

impl Network {
    /// How many blocks the network is ahead of `height`.
    pub(crate) fn ahead_of(&self, height: u64) -> u64 {
        let tip = self.tip.as_ref().map_or(0, |tip| tip.header.height);
        tip.saturating_sub(height)
    }
}

/// The newest answer of each peer to one question.
#[derive(Default)]
struct Answers(BTreeMap<PublicKey, Network>);

impl Answers {
    /// What the network says, once `needed` peers have answered.
    fn network(&self, needed: usize) -> Option<Network> {
        if self.0.len() < needed {
            return None;
        }
        let newest = self
            .0
            .values()
            .filter_map(|answer| answer.tip.as_ref())
            .max_by_key(|tip| tip.finalization.round());
        Some(Network {
            tip: newest.cloned(),
            has_block: self.0.values().all(|answer| answer.has_block),
        })
    }
}

/// One node's end of the channel.
pub(crate) struct Probe<E, B, S, R> {
    pub(crate) context: E,
    pub(crate) blocker: B,
    pub(crate) schemes: Schemes,
    pub(crate) sender: S,
    pub(crate) receiver: R,
}

impl<E, B, S, R> Probe<E, B, S, R>
where
    E: Clock + CryptoRng,
    B: Blocker<PublicKey = PublicKey>,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// Asks until enough peers have answered, or for so long as `patience` says.
    pub(crate) async fn discover(
        &mut self,
        stored: &Stored,
        patience: Option<Duration>,
    ) -> Option<Network> {
        let needed = self.needed()?;
        let deadline = patience.map(|patience| self.context.current() + patience);
        let mut answers = Answers::default();
        loop {
            self.ask(stored.height.saturating_add(1));
            let mut next = self.context.current() + ASK_AGAIN;
            next = deadline.map_or(next, |deadline| next.min(deadline));
            while let Some((from, message)) = self.receive(next).await? {
                match message {
                    Message::Ask(height) => {
                        self.tell(from, stored.has_block(height), stored.tip.clone());
                    }
                    Message::Tell { has_block, tip } => {
                        let tip = tip.map(|tip| *tip);
                        self.note(&mut answers, from, Network { tip, has_block });
                        if let Some(network) = answers.network(needed) {
                            return Some(network);
                        }
                    }
                }
            }
            if deadline.is_some_and(|deadline| self.context.current() >= deadline) {
                return None;
            }
        }
    }

    /// Answers peers for as long as the node runs. Where `watch` is set it ends when the peers
    /// have pruned the blocks that this node needs: started again, it fetches state.
    pub(crate) async fn serve(mut self, marshal: Marshal, oldest: u64, watch: bool) {
        let needed = self.needed().filter(|_| watch);
        let mut answers = Answers::default();
        let mut height = processed(&marshal).await;
        let mut next = self.context.current() + WATCH_INTERVAL;
        loop {
            match self.receive(next).await {
                None => return,
                Some(Some((from, Message::Ask(height)))) => {
                    let there = marshal.get_block(Height::new(height)).await;
                    let has_block = height >= oldest && there.is_some();
                    self.tell(from, has_block, newest(&marshal).await);
                }
                Some(Some((from, Message::Tell { has_block, tip }))) => {
                    let tip = tip.map(|tip| *tip);
                    self.note(&mut answers, from, Network { tip, has_block });
                }
                Some(None) => {
                    next = self.context.current() + WATCH_INTERVAL;
                    let now = processed(&marshal).await;
                    let network = needed.and_then(|needed| answers.network(needed));
                    answers = Answers::default();
                    if now > height {
                        height = now;
                        continue;
                    }
                    if let Some(network) = network
                        && network.ahead_of(height) > NEAR_BLOCKS
                        && !network.has_block
                    {
                        error!(
                            height,
                            ahead = network.ahead_of(height),
                            "left behind: the other validators have pruned the blocks that this one needs; start it again, and it fetches the state instead"
                        );
                        return;
                    }
                    if needed.is_some() {
                        self.ask(height.saturating_add(1));
                    }
                }
            }
        }
    }

    /// Peers that must answer: one more than may be faulty. `None` of a lone validator.
    fn needed(&self) -> Option<usize> {
        let scheme = self.schemes.scheme(Epoch::zero())?;
        let validators = scheme.participants().len();
        let faulty = usize::try_from(N3f1::max_faults(validators)).ok()?;
        (validators > 1).then_some(faulty + 1)
    }

    fn ask(&mut self, height: u64) {
        self.sender
            .send(Recipients::All, Message::Ask(height).encode(), false);
    }

    fn tell(&mut self, to: PublicKey, has_block: bool, tip: Option<Tip>) {
        let tip = tip.map(Box::new);
        let message = Message::Tell { has_block, tip };
        self.sender
            .send(Recipients::One(to), message.encode(), false);
    }

    /// Keeps a peer's answer; one whose certificate does not verify gets the peer blocked.
    fn note(&mut self, answers: &mut Answers, from: PublicKey, answer: Network) {
        let scheme = self.schemes.scheme(Epoch::zero());
        if scheme.is_none_or(|scheme| scheme.participants().position(&from).is_none()) {
            return;
        }
        let valid = answer
            .tip
            .as_ref()
            .is_none_or(|tip| tip.verify(&mut self.context, &self.schemes));
        if valid {
            answers.0.insert(from, answer);
        } else {
            commonware_p2p::block!(self.blocker, from, "a final block that is none");
        }
    }

    /// The next message before `deadline`: `Some(None)` if none has come, `None` if none will.
    async fn receive(&mut self, deadline: SystemTime) -> Option<Option<(PublicKey, Message)>> {
        loop {
            let (from, bytes) = select! {
                received = self.receiver.recv() => received.ok()?,
                _ = self.context.sleep_until(deadline) => {
                    return Some(None);
                },
            };
            match self.decode(bytes) {
                Some(message) => return Some(Some((from, message))),
                None => {
                    commonware_p2p::block!(self.blocker, from, "malformed probe message");
                }
            }
        }
    }

    fn decode(&self, bytes: IoBuf) -> Option<Message> {
        let config = self
            .schemes
            .scheme(Epoch::zero())?
            .certificate_codec_config();
        Message::decode_cfg(bytes, &config).ok()
    }
}

/// The height up to which blocks are executed.
async fn processed(marshal: &Marshal) -> u64 {
    let processed = marshal.get_processed().await;
    processed.map_or(0, |processed| processed.height().get())
}

/// The newest final block that a certificate names.
async fn newest(marshal: &Marshal) -> Option<Tip> {
    let (height, _) = marshal.get_info(Identifier::Latest).await?;
    let finalization = marshal.get_finalization(height).await?;
    let block = marshal.get_block(height).await?;
    Some(Tip {
        finalization,
        header: block.inner().block().header().clone(),
    })
}

#[cfg(test)]
mod tests;
