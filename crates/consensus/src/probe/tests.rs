//! The probe's messages, and what it makes of answers.

use super::*;
use commonware_consensus::{
    simplex::types::{Finalize, Proposal},
    types::{Round, View},
};
use commonware_utils::non_empty;
use og_chain::Rules;
use og_crypto::{ConsensusKey, SeatKey, validators::genesis_validator};
use og_types::Genesis;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::sync::OnceLock;

/// The schemes of four validators, in the order of their seats.
fn schemes() -> &'static [Schemes] {
    static SCHEMES: OnceLock<Vec<Schemes>> = OnceLock::new();
    SCHEMES.get_or_init(make_schemes)
}

fn make_schemes() -> Vec<Schemes> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut seats: Vec<_> = (0..4)
        .map(|_| (SeatKey::random(&mut rng), ConsensusKey::random(&mut rng)))
        .collect();
    seats.sort_by_key(|(seat, _)| seat.id());
    let genesis = Genesis {
        version: 1,
        network: "test".to_owned(),
        chain_id: 88_211,
        timestamp_ms: 1,
        epoch_length: 10,
        gas_limit: 30_000_000,
        base_fee_per_gas: 1_000_000_000,
        validators: seats
            .iter()
            .map(|(seat, key)| genesis_validator(seat, key, Default::default()))
            .collect(),
        alloc: Default::default(),
    };
    let rules = Rules::new(genesis).unwrap();
    seats
        .iter()
        .map(|(_, key)| Schemes::signer(&rules, key).unwrap())
        .collect()
}

/// A header at `height`, finalized in the view of the same number.
fn tip(schemes: &[Schemes], height: u64) -> Tip {
    let header = Header {
        height,
        epoch: height / 10,
        ..Header::default()
    };
    let epoch = Epoch::new(header.epoch);
    let proposal = Proposal::new(
        Round::new(epoch, View::new(height + 1)),
        View::new(height),
        digest(&block_hash(&header)),
    );
    let votes: Vec<_> = schemes
        .iter()
        .map(|scheme| {
            let scheme = scheme.scheme(epoch).unwrap();
            Finalize::sign(scheme.as_ref(), proposal.clone()).unwrap()
        })
        .collect();
    let scheme = schemes[0].scheme(epoch).unwrap();
    let finalization =
        Finalization::from_finalizes(scheme.as_ref(), non_empty![@votes.iter()], &Sequential)
            .unwrap();
    Tip {
        finalization,
        header,
    }
}

fn decode(schemes: &Schemes, bytes: Vec<u8>) -> Result<Message, CodecError> {
    let scheme = schemes.scheme(Epoch::zero()).unwrap();
    Message::decode_cfg(bytes, &scheme.certificate_codec_config())
}

#[test]
fn the_vectors_are_what_we_send() {
    let vectors: Vec<_> = include_str!("vectors.hex").lines().collect();
    let tip = Some(Box::new(tip(schemes(), 12)));
    let messages = [
        Message::Ask(0x0102_0304_0506_0708),
        Message::Tell {
            has_block: true,
            tip: None,
        },
        Message::Tell {
            has_block: false,
            tip,
        },
    ];
    let encoded = messages
        .each_ref()
        .map(|message| alloy_primitives::hex::encode(message.encode()));
    assert_eq!(encoded.as_slice(), vectors);
    for message in messages {
        let bytes = message.encode();
        assert_eq!(bytes.len(), message.encode_size());
        assert!(bytes.len() <= max_message_bytes(4));
        assert_eq!(decode(&schemes()[0], bytes.to_vec()).unwrap(), message);
    }
}

#[test]
fn only_what_a_quorum_signed_is_a_tip() {
    let schemes = schemes();
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let good = tip(schemes, 12);
    assert!(good.verify(rng, &schemes[0]));
    let other_header = Tip {
        header: Header {
            state_root: [1; 32].into(),
            ..good.header.clone()
        },
        ..good.clone()
    };
    assert!(!other_header.verify(rng, &schemes[0]));
    let other_certificate = Tip {
        finalization: tip(schemes, 13).finalization,
        ..good.clone()
    };
    assert!(!other_certificate.verify(rng, &schemes[0]));
    // The right header, under the signatures for another one.
    let mut forged = tip(schemes, 13);
    forged.finalization.certificate = good.finalization.certificate;
    assert!(!forged.verify(rng, &schemes[0]));
}

#[test]
fn the_newest_of_enough_answers_counts_and_all_must_have_the_block() {
    let schemes = schemes();
    let scheme = schemes[0].scheme(Epoch::zero()).unwrap();
    let peers: Vec<_> = scheme.participants().iter().cloned().collect();
    let mut answers = Answers::default();
    assert!(answers.network(1).is_none());
    let answer = |height, has_block| Network {
        tip: Some(tip(schemes, height)),
        has_block,
    };
    answers.0.insert(peers[0].clone(), answer(12, true));
    assert!(answers.network(2).is_none());
    // Views begin anew in each epoch: 25 is newer than 19 though its view is lower there.
    answers.0.insert(peers[1].clone(), answer(5, true));
    let network = answers.network(2).unwrap();
    assert_eq!(network.ahead_of(2), 10);
    assert_eq!(network.ahead_of(50), 0);
    assert!(network.has_block);
    answers.0.insert(peers[2].clone(), Network::default());
    let network = answers.network(2).unwrap();
    assert_eq!(network.ahead_of(0), 12);
    assert!(!network.has_block);
}

proptest! {
    #[test]
    fn hostile_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&schemes()[0], bytes);
    }

    #[test]
    fn no_bit_can_be_flipped(position in 0..400_usize, bit in 0..8_u32) {
        let schemes = schemes();
        let message = Message::Tell { has_block: true, tip: Some(Box::new(tip(schemes, 12))) };
        let mut bytes = message.encode().to_vec();
        let position = position % bytes.len();
        bytes[position] ^= 1_u8 << bit;
        if let Ok(Message::Tell { tip: Some(changed), .. }) = decode(&schemes[0], bytes) {
            // The byte that says whether the block is there is nobody's signature.
            prop_assert!(position == 1 || !changed.verify(&mut ChaCha20Rng::seed_from_u64(3), &schemes[0]));
        }
    }
}
