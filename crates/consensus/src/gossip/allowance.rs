//! How much of this node's time each peer may take up.
//!
//! Nothing depends on one message: what a peer cannot pass on it proposes itself. So whoever sends
//! too much is not read for a while, and everybody else is read in time.

use commonware_cryptography::ed25519::PublicKey;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Price of a transaction or record that was taken: about what it costs to check. A network of
/// many cores finalizes fewer than this allows one peer.
const TAKEN: Duration = Duration::from_micros(50);
/// Price of one that was not. Honest peers check before they pass on, so they cause few.
const REFUSED: Duration = Duration::from_millis(1);
/// What a peer may be in debt before it is not read.
const MAX_DEBT: Duration = Duration::from_secs(2);

/// When each peer's debt is paid: it shrinks as time passes. Peers are validators, so few.
#[derive(Debug, Default)]
pub(super) struct Allowance(BTreeMap<PublicKey, SystemTime>);

impl Allowance {
    /// Whether to read what `peer` sends at the time `now`.
    pub(super) fn admits(&self, peer: &PublicKey, now: SystemTime) -> bool {
        self.0.get(peer).is_none_or(|paid| *paid <= now + MAX_DEBT)
    }

    /// Charges `peer` for a message.
    pub(super) fn charge(
        &mut self,
        peer: &PublicKey,
        now: SystemTime,
        taken: usize,
        refused: usize,
    ) {
        let count = |items| u32::try_from(items).unwrap_or(u32::MAX);
        let price = TAKEN * count(taken) + REFUSED * count(refused);
        let paid = self.0.entry(peer.clone()).or_insert(now);
        *paid = (*paid).max(now) + price;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
    use std::time::UNIX_EPOCH;

    fn peer(seed: u64) -> PublicKey {
        PrivateKey::from_seed(seed).public_key()
    }

    /// Messages out of `count`, one every `pause`, that are read, with so many items each.
    fn read(count: u32, pause: Duration, (taken, refused): (usize, usize)) -> u32 {
        let mut allowance = Allowance::default();
        let mut read = 0;
        for message in 0..count {
            let now = UNIX_EPOCH + pause * message;
            if allowance.admits(&peer(1), now) {
                allowance.charge(&peer(1), now, taken, refused);
                read += 1;
            }
            assert!(allowance.admits(&peer(2), now), "others are not read");
        }
        read
    }

    #[test]
    fn a_peer_is_read_as_long_as_what_it_sends_is_taken() {
        let pause = Duration::from_millis(100);
        assert_eq!(read(1000, pause, (512, 0)), 1000);
        assert_eq!(read(1000, pause, (412, 50)), 1000);
    }

    #[test]
    fn a_peer_that_wastes_time_is_read_at_a_bounded_rate() {
        // For 100 seconds: 2 of debt and 100 of time, at 0.512 a message.
        let flood = read(10_000, Duration::from_millis(10), (0, 512));
        assert!((195..=200).contains(&flood), "{flood}");
        // What is taken is cheaper, but not free.
        let flood = read(10_000, Duration::from_millis(10), (512, 0));
        assert!((3900..=4000).contains(&flood), "{flood}");
    }
}
