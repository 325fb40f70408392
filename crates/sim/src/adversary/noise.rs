//! A peer that sends garbage, messages as long as the network takes, and old ones again.

use crate::{
    outlet::{Letter, Lines, Tamper},
    world::World,
};
use commonware_p2p::Recipients;
use commonware_runtime::{Clock as _, IoBuf, deterministic};
use og_consensus::{NETWORK_CHANNELS, max_message_bytes};
use parking_lot::Mutex;
use rand_core::Rng as _;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Between two messages.
const EVERY: Duration = Duration::from_millis(150);
/// Old messages that are kept.
const MEMORY: usize = 256;
/// Longest garbage but for that of the greatest length.
const GARBAGE_BYTES: u64 = 600;
/// One message in this many is as long as the network takes.
const LONGEST_ONE_IN: u32 = 40;

/// Remembers what a seat's honest code sent.
#[derive(Default)]
pub(crate) struct Noise(Mutex<VecDeque<Letter>>);

impl Tamper for Noise {
    fn rewrite(&self, letter: Letter) -> Vec<Letter> {
        let mut sent = self.0.lock();
        sent.push_back(letter.clone());
        if sent.len() > MEMORY {
            sent.pop_front();
        }
        vec![letter]
    }
}

impl Noise {
    fn old(&self, context: &mut deterministic::Context) -> Option<Letter> {
        let sent = self.0.lock();
        let length = sent.len().max(1);
        sent.get(context.next_u64() as usize % length).cloned()
    }
}

/// Sends garbage on every channel, for ever.
pub(crate) async fn make_noise(
    mut context: deterministic::Context,
    world: Arc<World>,
    noise: Arc<Noise>,
    mut lines: Lines,
) {
    loop {
        context.sleep(EVERY).await;
        let channel = u64::from(context.next_u32()) % NETWORK_CHANNELS.len() as u64;
        let old = noise.old(&mut context);
        let message = match (context.next_u32() % 4, old) {
            (0, Some(old)) => {
                lines.send(old);
                continue;
            }
            // An old message with its end cut off, or where it does not belong.
            (1, Some(old)) => {
                let half = old.message.len() / 2;
                IoBuf::from(old.message.as_ref()[..half].to_vec())
            }
            (2, Some(old)) => old.message,
            _ => garbage(&mut context, &world),
        };
        lines.send(Letter {
            channel,
            recipients: Recipients::All,
            message,
        });
    }
}

fn garbage(context: &mut deterministic::Context, world: &World) -> IoBuf {
    if context.next_u32().is_multiple_of(LONGEST_ONE_IN) {
        let longest = max_message_bytes(world.seats.len() as u32);
        return vec![0xff; longest as usize].into();
    }
    let mut bytes = vec![0; (context.next_u64() % GARBAGE_BYTES) as usize];
    context.fill_bytes(&mut bytes);
    bytes.into()
}
