//! A peer that answers with something else when others ask for what they missed.

use crate::outlet::{Letter, Tamper};
use commonware_runtime::IoBuf;
use og_consensus::channels::{BACKFILL, PROBE, RESOLVER, STATE};
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Bytes of a response before its content: the request's number and a tag.
const RESPONSE_HEAD_BYTES: usize = 9;
/// The tag of a response, in the last byte of its head.
const RESPONSE: u8 = 1;

/// It lies in one message in so many about where the network is.
const PROBE_LIES_ONE_IN: u32 = 8;

/// Replaces a seat's answers to requests for blocks, certificates and state.
pub(crate) struct Liar(Mutex<State>);

struct State {
    chance: ChaCha20Rng,
    /// The content of the last answer, to be given to somebody who asks for something else.
    earlier: Vec<u8>,
}

impl Liar {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            chance: ChaCha20Rng::seed_from_u64(seed),
            earlier: Vec::new(),
        }))
    }
}

impl Tamper for Liar {
    fn rewrite(&self, letter: Letter) -> Vec<Letter> {
        // Certificates travel on subchannels, after the number of their epoch: one byte here.
        let head = match letter.channel {
            BACKFILL => RESPONSE_HEAD_BYTES,
            RESOLVER => RESPONSE_HEAD_BYTES + 1,
            PROBE | STATE => {
                let chance = &mut self.0.lock().chance;
                // Found out when others ask where the network is, it would be asked for no state.
                if letter.channel == PROBE && !chance.next_u32().is_multiple_of(PROBE_LIES_ONE_IN) {
                    return vec![letter];
                }
                let lie = flipped(letter.message.as_ref(), chance);
                let message = IoBuf::from(lie);
                return vec![Letter { message, ..letter }];
            }
            _ => return vec![letter],
        };
        let bytes = letter.message.as_ref();
        if bytes.get(head - 1) != Some(&RESPONSE) {
            return vec![letter];
        }
        let mut state = self.0.lock();
        let mut lie = bytes.to_vec();
        let content = lie.split_off(head);
        match state.chance.next_u32() % 5 {
            0 => return Vec::new(),
            1 => lie.extend(flipped(&content, &mut state.chance)),
            2 => lie.extend(&state.earlier),
            3 => lie.extend(&content[..content.len() / 2]),
            _ => lie.extend(&content),
        }
        state.earlier = content;
        vec![Letter {
            message: IoBuf::from(lie),
            ..letter
        }]
    }
}

fn flipped(bytes: &[u8], chance: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        let at = chance.next_u64() as usize % bytes.len();
        bytes[at] ^= 1 << (chance.next_u32() % 8);
    }
    bytes
}
