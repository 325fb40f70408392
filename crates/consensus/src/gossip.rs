//! Passing transactions and records on to the validator that will propose next.
//!
//! Validators form a full mesh, so whoever takes something in sends it to all others once. What
//! a peer missed reaches a block all the same: its first holder proposes in its own turn.

use crate::intake::{Intake, IntakeError};
use allowance::Allowance;
use alloy_primitives::Bytes;
use commonware_cryptography::ed25519::PublicKey;
use commonware_macros::select_loop;
use commonware_p2p::{Blocker, Receiver, Recipients, Sender};
use commonware_runtime::{
    Clock, ContextCell, Handle, Metrics, Spawner, spawn_cell,
    telemetry::metrics::{Counter, MetricsExt as _},
};
use commonware_storage::Context as StorageContext;
use commonware_utils::channel::mpsc;
use og_state::StateError;
use og_types::{Canonical as _, canonical_struct, limits::MAX_TRANSACTION_BYTES};
use tracing::{debug, error};

mod allowance;

/// Bytes of the largest gossip message: room for a largest transaction.
pub const MAX_GOSSIP_BYTES: usize = MAX_TRANSACTION_BYTES * 2;
/// Transactions and records in one message.
const MAX_GOSSIP_ITEMS: usize = 512;
/// Things that wait to be sent; what comes on top is not passed on.
pub const MAX_OUTGOING: usize = 8192;

/// Something to pass on.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A raw transaction.
    Transaction(Bytes),
    /// A signed record's canonical bytes.
    Record(Bytes),
}

/// A gossip message (see `docs/formats/gossip.md`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Format version, 1.
    pub version: u16,
    /// Raw transactions.
    pub transactions: Vec<Bytes>,
    /// Canonical bytes of signed records.
    pub records: Vec<Bytes>,
}

canonical_struct!(Message, max_bytes = MAX_GOSSIP_BYTES, {
    version,
    transactions <= MAX_GOSSIP_ITEMS,
    records <= MAX_GOSSIP_ITEMS,
});

impl Message {
    /// Bytes of array heads and versions, and of the head of each item.
    const OVERHEAD_BYTES: usize = 16;
    const ITEM_OVERHEAD_BYTES: usize = 5;

    /// Fills a message with `first` and what else waits in `queue`; what does not fit any more is
    /// left for the next one.
    fn fill(first: Outgoing, queue: &mut mpsc::Receiver<Outgoing>) -> (Self, Option<Outgoing>) {
        let mut message = Self {
            version: 1,
            ..Self::default()
        };
        let mut bytes = Self::OVERHEAD_BYTES;
        let mut next = Some(first);
        while let Some(item) = next.take().or_else(|| queue.try_recv().ok()) {
            let (Outgoing::Transaction(content) | Outgoing::Record(content)) = &item;
            bytes += content.len() + Self::ITEM_OVERHEAD_BYTES;
            let items = message.transactions.len() + message.records.len();
            if bytes > MAX_GOSSIP_BYTES || items == MAX_GOSSIP_ITEMS {
                return (message, Some(item));
            }
            match item {
                Outgoing::Transaction(raw) => message.transactions.push(raw),
                Outgoing::Record(record) => message.records.push(record),
            }
        }
        (message, None)
    }
}

/// Sends what our clients submit, and takes in what peers send.
pub struct Gossip<E: Spawner + StorageContext, B> {
    context: ContextCell<E>,
    intake: Intake<E>,
    outgoing: mpsc::Receiver<Outgoing>,
    /// What did not fit into the last message.
    held: Option<Outgoing>,
    blocker: B,
    allowance: Allowance,
    /// Messages of peers that had no allowance left.
    unread: Counter,
}

impl<E: Spawner + StorageContext, B> std::fmt::Debug for Gossip<E, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gossip").finish_non_exhaustive()
    }
}

impl<E, B> Gossip<E, B>
where
    E: Spawner + StorageContext + Clock + Metrics,
    B: Blocker<PublicKey = PublicKey>,
{
    /// Gossip of what comes out of `outgoing`, into `intake`.
    pub fn new(
        context: E,
        intake: Intake<E>,
        outgoing: mpsc::Receiver<Outgoing>,
        blocker: B,
    ) -> Self {
        let unread = context.counter("unread", "Messages of peers that send too much");
        Self {
            // To recover many senders at once would hold up what shares a thread with it.
            context: ContextCell::new(context.dedicated()),
            intake,
            outgoing,
            held: None,
            blocker,
            allowance: Allowance::default(),
            unread,
        }
    }

    /// Runs until the runtime stops.
    pub fn start<S, R>(mut self, (sender, receiver): (S, R)) -> Handle<()>
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        spawn_cell!(self.context, self.run(sender, receiver))
    }

    async fn run<S, R>(mut self, mut sender: S, mut receiver: R)
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        select_loop! {
            self.context,
            on_stopped => {
                debug!("stopping");
            },
            // What peers send comes first, for the network bounds it; what clients submit does not
            // end while they go on.
            Ok((from, bytes)) = receiver.recv() else break => {
                self.receive(from, bytes.as_ref()).await;
            },
            Some(first) = self.next() else break => {
                let (message, rest) = Message::fill(first, &mut self.outgoing);
                sender.send(Recipients::All, message.to_bytes(), false);
                self.held = rest;
            },
        }
    }

    /// What is to be sent next.
    async fn next(&mut self) -> Option<Outgoing> {
        match self.held.take() {
            Some(held) => Some(held),
            None => self.outgoing.recv().await,
        }
    }

    /// Takes in a peer's message. Only one that no honest node would send gets the peer blocked;
    /// what is merely stale or already known is passed over, and has its price.
    async fn receive(&mut self, from: PublicKey, bytes: &[u8]) {
        if !self.allowance.admits(&from, self.context.current()) {
            self.unread.inc();
            return;
        }
        let message = match Message::from_bytes(bytes) {
            Ok(message) => message,
            Err(error) => {
                commonware_p2p::block!(self.blocker, from, %error, "malformed gossip");
                return;
            }
        };
        if let Err(error) = self.take(message, &from).await {
            commonware_p2p::block!(self.blocker, from, %error, "dishonest gossip");
        }
    }

    /// Takes in what a message holds, unless it holds something that no honest node passes on.
    async fn take(&mut self, message: Message, from: &PublicKey) -> Result<(), IntakeError> {
        let accepted = async {
            let transactions = self.intake.accept_transactions(message.transactions);
            let mut results = transactions.await?;
            results.extend(self.intake.accept_record_bytes(&message.records).await?);
            Ok::<_, StateError>(results)
        };
        let results = match accepted.await {
            Ok(results) => results,
            Err(error) => {
                error!(%error, "gossip cannot be checked against the state");
                return Ok(());
            }
        };
        let taken = results.iter().filter(|result| result.is_ok()).count();
        let now = self.context.current();
        let refused = results.len() - taken;
        self.allowance.charge(from, now, taken, refused);
        for error in results.into_iter().filter_map(Result::err) {
            if error.is_senders_fault() {
                return Err(error);
            }
            debug!(%from, %error, "gossip not taken");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vector_is_what_we_send() {
        let message = Message {
            version: 1,
            transactions: vec![Bytes::from_static(&[2, 0xc0])],
            records: vec![Bytes::from_static(&[0x82, 0x80, 0x40])],
        };
        let vector = include_str!("gossip/vector.hex").trim();
        assert_eq!(alloy_primitives::hex::encode(message.to_bytes()), vector);
    }

    proptest! {
        #[test]
        fn every_item_is_sent_once_and_no_message_is_too_large(
            sizes in proptest::collection::vec(0..MAX_TRANSACTION_BYTES, 1..40)
        ) {
            let (sender, mut queue) = mpsc::channel(sizes.len());
            for size in &sizes {
                let item = Outgoing::Transaction(vec![7; *size].into());
                sender.try_send(item).unwrap();
            }
            let mut sent = Vec::new();
            let mut next = queue.try_recv().ok();
            while let Some(item) = next {
                let (message, rest) = Message::fill(item, &mut queue);
                let bytes = message.to_bytes();
                prop_assert!(bytes.len() <= MAX_GOSSIP_BYTES);
                prop_assert_eq!(&Message::from_bytes(&bytes).unwrap(), &message);
                sent.extend(message.transactions.iter().map(|raw| raw.len()));
                next = rest;
            }
            prop_assert_eq!(sent, sizes);
        }

        #[test]
        fn hostile_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::from_bytes(&bytes);
        }
    }
}
