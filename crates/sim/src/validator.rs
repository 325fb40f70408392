//! One validator on the simulated runtime and network, as seats run it, and tests of other crates too.
//!
//! Everything in commonware is generic over what it runs on, and takes minutes to compile for each choice. So there is one
//! choice for all that is simulated, and it is compiled here.

use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::simulated::{self, Control, Manager};
use commonware_runtime::deterministic::Context;
use og_chain::{Block, Effects};
use og_consensus::{Channels, NETWORK_CHANNELS, Observer, Validator};
use std::sync::Arc;

pub use crate::{
    clock::Local,
    outlet::{CheckedOutlet, Line, Outlet},
};

/// The receiving end of a channel.
pub type Receiver = simulated::Receiver<PublicKey>;

/// What a simulated validator is made of.
pub type Config =
    og_consensus::Config<Manager<PublicKey, Context>, Control<PublicKey, Context>, Watch>;

/// Learns of the blocks that become final for one validator.
#[derive(Clone)]
pub struct Watch(Arc<See>);

type See = dyn Fn(&Block, &Effects) + Send + Sync;

impl Watch {
    /// Calls `see` with each block, and what it did.
    pub fn new(see: impl Fn(&Block, &Effects) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Observer for Watch {
    async fn finalized(&self, block: &Block, effects: &Effects) {
        (self.0)(block, effects);
    }
}

/// The ends of [`NETWORK_CHANNELS`], in that order, as a validator takes them.
///
/// # Panics
/// If there are not as many.
pub fn channels(ends: Vec<(Outlet, Receiver)>) -> Channels<Outlet, Receiver> {
    let ends: Result<[_; NETWORK_CHANNELS.len()], _> = ends.try_into();
    Channels::new(ends.expect("a pair of ends for each channel"))
}

/// Starts every actor of a validator and returns when its state is open: see [`Validator::start`].
///
/// # Panics
/// If what is stored under the prefix cannot be opened.
pub async fn start(
    context: Local,
    config: Config,
    channels: Channels<Outlet, Receiver>,
) -> Validator<Local> {
    Validator::start(context, config, channels).await
}
