//! The sending ends of a seat's channels: they count what goes out, and a liar's rewrite it.

use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{CheckedSender, LimitedSender, Recipients, Sender as _, simulated};
use commonware_runtime::{IoBuf, IoBufs, deterministic::Context};
use og_consensus::NETWORK_CHANNELS;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// The sending end of one channel, as the simulated network gives it.
pub type Line = simulated::Sender<PublicKey, Context>;
type CheckedLine<'a> = <Line as LimitedSender>::Checked<'a>;

/// What all seats together have sent, by channel.
#[derive(Debug, Default)]
pub(crate) struct Traffic([(AtomicU64, AtomicU64); NETWORK_CHANNELS.len()]);

impl Traffic {
    fn add(&self, channel: u64, messages: usize, bytes: usize) {
        if let Some((count, sum)) = self.0.get(channel as usize) {
            count.fetch_add(messages as u64, Ordering::Relaxed);
            sum.fetch_add((messages * bytes) as u64, Ordering::Relaxed);
        }
    }

    /// Messages and bytes of each channel; a message to many counts once for each of them.
    pub(crate) fn by_channel(&self) -> [(u64, u64); NETWORK_CHANNELS.len()] {
        std::array::from_fn(|channel| {
            let (count, sum) = &self.0[channel];
            (count.load(Ordering::Relaxed), sum.load(Ordering::Relaxed))
        })
    }
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) channel: u64,
    pub(crate) recipients: Recipients<PublicKey>,
    pub(crate) message: IoBuf,
}

/// What a dishonest seat makes of the messages that its honest code sends.
pub(crate) trait Tamper: Send + Sync + 'static {
    /// What is sent in place of `letter`: nothing, others, or on other channels.
    fn rewrite(&self, letter: Letter) -> Vec<Letter>;
}

/// All sending ends of one seat, for who sends on any of them.
#[derive(Clone)]
pub(crate) struct Lines {
    /// In the order of [`NETWORK_CHANNELS`].
    pub(crate) senders: Vec<Line>,
    /// The other seats.
    pub(crate) peers: Arc<Vec<PublicKey>>,
    pub(crate) traffic: Arc<Traffic>,
}

impl Lines {
    /// Sends, as far as the rate of the channel allows.
    pub(crate) fn send(&mut self, letter: Letter) {
        let bytes = letter.message.len();
        if let Some(line) = self.senders.get_mut(letter.channel as usize) {
            let sent = line.send(letter.recipients, letter.message, false);
            self.traffic.add(letter.channel, sent.len(), bytes);
        }
    }

    /// The sending end of one channel.
    pub(crate) fn outlet(&self, channel: u64, tamper: Option<Arc<dyn Tamper>>) -> Outlet {
        Outlet {
            line: self.senders[channel as usize].clone(),
            channel,
            tampered: tamper.map(|tamper| Tampered {
                tamper,
                lines: self.clone(),
            }),
            traffic: Arc::clone(&self.traffic),
        }
    }
}

/// What rewrites a seat's messages, and where they go then.
#[derive(Clone)]
pub(crate) struct Tampered {
    tamper: Arc<dyn Tamper>,
    lines: Lines,
}

/// The sending end of one channel.
#[derive(Clone)]
pub struct Outlet {
    line: Line,
    channel: u64,
    tampered: Option<Tampered>,
    traffic: Arc<Traffic>,
}

impl Outlet {
    /// The end of a seat that is alone with it: nobody counts or rewrites what goes out.
    pub fn new(channel: u64, line: Line) -> Self {
        Self {
            line,
            channel,
            tampered: None,
            traffic: Arc::default(),
        }
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outlet({})", self.channel)
    }
}

impl LimitedSender for Outlet {
    type PublicKey = PublicKey;
    type Checked<'a> = CheckedOutlet<'a>;

    fn check(
        &mut self,
        recipients: Recipients<PublicKey>,
    ) -> Result<CheckedOutlet<'_>, SystemTime> {
        if let Some(tampered) = &self.tampered {
            return Ok(CheckedOutlet(Way::Tampered {
                channel: self.channel,
                recipients,
                tampered: tampered.clone(),
            }));
        }
        Ok(CheckedOutlet(Way::Plain {
            channel: self.channel,
            checked: self.line.check(recipients)?,
            traffic: &self.traffic,
        }))
    }
}

/// A message's way out, once the channel's rate allows it.
pub struct CheckedOutlet<'a>(Way<'a>);

impl std::fmt::Debug for CheckedOutlet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckedOutlet")
    }
}

enum Way<'a> {
    Plain {
        channel: u64,
        checked: CheckedLine<'a>,
        traffic: &'a Traffic,
    },
    Tampered {
        channel: u64,
        recipients: Recipients<PublicKey>,
        tampered: Tampered,
    },
}

impl CheckedSender for CheckedOutlet<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match &self.0 {
            Way::Plain { checked, .. } => checked.recipients(),
            Way::Tampered {
                recipients,
                tampered,
                ..
            } => match recipients {
                Recipients::All => tampered.lines.peers.to_vec(),
                Recipients::Some(peers) => peers.clone(),
                Recipients::One(peer) => vec![peer.clone()],
            },
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let message = message.into().coalesce();
        match self.0 {
            Way::Plain {
                channel,
                checked,
                traffic,
            } => {
                traffic.add(channel, checked.recipients().len(), message.len());
                checked.send(message, priority)
            }
            Way::Tampered {
                channel,
                recipients,
                mut tampered,
            } => {
                let letter = Letter {
                    channel,
                    recipients,
                    message,
                };
                for letter in tampered.tamper.rewrite(letter) {
                    tampered.lines.send(letter);
                }
                Unreliable::new(Feedback::Ok)
            }
        }
    }
}
