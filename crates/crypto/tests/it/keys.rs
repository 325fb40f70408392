//! Keys and sets of validators.

use commonware_utils::test_rng;
use og_crypto::{
    ConsensusKey, NodeKey, SeatKey, ValidatorSet, ValidatorSetError, model_id,
    validators::genesis_validator,
};
use og_types::{GenesisValidator, limits::MAX_VALIDATORS};

fn seats(count: usize) -> Vec<GenesisValidator> {
    let mut rng = test_rng();
    let mut seats: Vec<_> = (0..count)
        .map(|_| {
            let (seat, consensus) = (SeatKey::random(&mut rng), ConsensusKey::random(&mut rng));
            genesis_validator(&seat, &consensus, [0; 20].into())
        })
        .collect();
    seats.sort_by_key(|seat| seat.id);
    seats
}

#[test]
fn a_set_keeps_the_order_in_which_certificates_name_its_seats() {
    let seats = seats(20);
    let set = ValidatorSet::new(seats.clone()).unwrap();
    assert_eq!(set.members(), seats);
    for (seat, key) in seats.iter().zip(set.keys().keys()) {
        assert_eq!(seat.id.0, key.as_ref());
    }
    assert_eq!(set.get(&seats[3].id), Some(&seats[3]));
    assert_eq!(set.get(&[0; 32].into()), None);
}

#[test]
fn lists_that_are_no_set_are_refused() {
    let good = seats(4);
    let error = |edit: fn(&mut Vec<GenesisValidator>)| {
        let mut seats = good.clone();
        edit(&mut seats);
        ValidatorSet::new(seats).unwrap_err()
    };
    assert_eq!(error(Vec::clear), ValidatorSetError::Size(0));
    assert_eq!(
        error(|seats| seats.swap(0, 1)),
        ValidatorSetError::Order(good[0].id)
    );
    assert_eq!(
        error(|seats| seats[1] = seats[0].clone()),
        ValidatorSetError::Order(good[0].id)
    );
    assert_eq!(
        error(|seats| seats[0].id = [0x02; 32].into()),
        ValidatorSetError::Id([0x02; 32].into())
    );
    for key in [vec![], vec![0; 96], vec![0xff; 96], vec![0xc0; 95]] {
        let mut seats = good.clone();
        seats[2].consensus_key = key.into();
        assert_eq!(
            ValidatorSet::new(seats).unwrap_err(),
            ValidatorSetError::ConsensusKey(good[2].id)
        );
    }
    assert_eq!(
        error(|seats| seats[1].proof_of_possession = seats[0].proof_of_possession.clone()),
        ValidatorSetError::Possession(good[1].id)
    );
    // A copied key comes with its own, valid proof.
    assert_eq!(
        error(|seats| {
            seats[1].consensus_key = seats[0].consensus_key.clone();
            seats[1].proof_of_possession = seats[0].proof_of_possession.clone();
        }),
        ValidatorSetError::SharedKey
    );
    let many = vec![good[0].clone(); MAX_VALIDATORS + 1];
    assert_eq!(
        ValidatorSet::new(many).unwrap_err(),
        ValidatorSetError::Size(MAX_VALIDATORS + 1)
    );
}

#[test]
fn keys_survive_their_files_and_never_show_in_debug_output() {
    let mut rng = test_rng();
    let consensus = ConsensusKey::random(&mut rng);
    let seat = SeatKey::random(&mut rng);
    let again = ConsensusKey::from_hex(&format!("{}\n", consensus.to_hex())).unwrap();
    assert_eq!(again.public(), consensus.public());
    assert_eq!(SeatKey::from_hex(&seat.to_hex()).unwrap().id(), seat.id());
    assert!(!format!("{consensus:?}").contains(&consensus.to_hex()));
    assert!(!format!("{seat:?}").contains(&seat.to_hex()));
    let node = NodeKey::from_seed([0x5c; 32]);
    assert!(!format!("{node:?}").contains("5c5c5c5c"));
    for text in ["", "0x", "zz", &"ff".repeat(31), &"ff".repeat(33)] {
        assert!(SeatKey::from_hex(text).is_err());
        assert!(ConsensusKey::from_hex(text).is_err());
    }
    // Not below the order of the group, and zero.
    assert!(ConsensusKey::from_hex(&"ff".repeat(32)).is_err());
    assert!(ConsensusKey::from_hex(&"00".repeat(32)).is_err());
}

#[test]
fn a_model_is_named_as_sha256sum_names_its_file() {
    assert_eq!(
        model_id(b"abc").to_string(),
        "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
