use super::*;
use alloy_primitives::B256;
use og_types::{
    Amount, Computed, Header, Inclusion, ModelId, NodeId, Opening, Record, Signature, SignedRecord,
    Tier,
};

fn result(id: u8) -> JobResult {
    JobResult {
        version: 1,
        record: SignedRecord {
            record: Record {
                version: 1,
                chain_id: 1,
                request_id: RequestId([id; 32]),
                payer: Default::default(),
                payee: Default::default(),
                price: Amount(0),
                model: ModelId([2; 32]),
                tier: Tier::Signed,
                computed: Computed::Float,
                valid_from_ms: 1,
                valid_until_ms: 2,
                input_commitment: B256::ZERO,
                output_commitment: B256::ZERO,
                seed: 0,
                input_units: 1,
                output_units: 1,
                started_at_ms: 1,
                finished_at_ms: 1,
                node: NodeId([3; 32]),
                evidence: None,
            },
            signature: Signature([4; 64]),
        },
        opening: Opening {
            salt: B256::ZERO,
            request: vec![1; 1000].into(),
            response: vec![2; 1000].into(),
        },
        evidence: None,
    }
}

fn receipt(id: u8) -> Receipt {
    let result = result(id);
    Receipt {
        version: 1,
        record: result.record,
        opening: result.opening,
        evidence: None,
        inclusion: Inclusion {
            position: 0,
            leaf_count: 1,
            siblings: Vec::new(),
        },
        header: Header::default(),
        descendants: Vec::new(),
        finalization: vec![5; 92].into(),
    }
}

fn open(directory: &tempfile::TempDir, retained_bytes: u64) -> Store {
    Store::open(directory.path(), retained_bytes).unwrap()
}

fn settle(store: &Store, number: u8) -> Result<(), StoreError> {
    let outcome = Outcome::Final(Box::new(receipt(number)));
    store.close(vec![(id(number), outcome)])
}

fn fail(store: &Store, number: u8, reason: &str) -> Result<(), StoreError> {
    store.close(vec![(id(number), Outcome::Failed(reason.to_owned()))])
}

fn id(id: u8) -> RequestId {
    RequestId([id; 32])
}

#[test]
fn an_answer_survives_a_restart_in_each_of_its_states() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, u64::MAX);
    for number in 1..=3 {
        store.add_pending(&result(number)).unwrap();
    }
    settle(&store, 1).unwrap();
    fail(&store, 2, "refused").unwrap();
    drop(store);

    let store = open(&directory, u64::MAX);
    let bytes = receipt(1).to_bytes();
    assert_eq!(store.answer(&id(1)).unwrap(), Some(Answer::Final(bytes)));
    let failed = Answer::Failed("refused".to_owned());
    assert_eq!(store.answer(&id(2)).unwrap(), Some(failed));
    assert_eq!(store.answer(&id(3)).unwrap(), Some(Answer::Pending));
    assert_eq!(store.answer(&id(4)).unwrap(), None);
    assert_eq!(store.pending_ids(), [id(3)]);
    assert_eq!(store.pending(&id(3)).unwrap(), Some(result(3)));
}

#[test]
fn a_request_id_is_taken_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, u64::MAX);
    store.add_pending(&result(1)).unwrap();
    let again = store.add_pending(&result(1));
    assert!(matches!(again, Err(StoreError::Duplicate(_))));
    settle(&store, 1).unwrap();
    // Settling twice, or what is not pending, changes nothing.
    fail(&store, 1, "late").unwrap();
    fail(&store, 2, "unknown").unwrap();
    assert!(matches!(
        store.answer(&id(1)).unwrap(),
        Some(Answer::Final(_))
    ));
    assert_eq!(store.answer(&id(2)).unwrap(), None);
}

#[test]
fn the_oldest_receipts_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let size = receipt(1).to_bytes().len() as u64;
    let store = open(&directory, 3 * size);
    for number in 1..=10 {
        store.add_pending(&result(number)).unwrap();
        settle(&store, number).unwrap();
    }
    for number in 1..=10 {
        let kept = store.answer(&id(number)).unwrap().is_some();
        assert_eq!(kept, number > 7, "{number}");
    }
    // A receipt larger than everything that may be kept is kept until the next one.
    drop(store);
    let store = open(&directory, 1);
    store.add_pending(&result(11)).unwrap();
    settle(&store, 11).unwrap();
    assert!(store.answer(&id(11)).unwrap().is_some());
    assert!(store.answer(&id(10)).unwrap().is_none());
}

#[test]
fn what_comes_at_once_is_each_stored_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, u64::MAX);
    // Each answer comes twice at the same time, while others are closed.
    for number in 32..64 {
        store.add_pending(&result(number)).unwrap();
    }
    let stored = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    if number % 2 == 0 {
                        settle(store, 32 + number / 2).unwrap();
                    }
                    store.add_pending(&result(number / 2)).is_ok()
                })
            })
            .collect();
        let stored = threads.into_iter().map(|thread| thread.join().unwrap());
        stored.filter(|stored| *stored).count()
    });
    assert_eq!(stored, 32);
    drop(store);
    let store = open(&directory, u64::MAX);
    for number in 0..32 {
        let answer = store.answer(&id(number)).unwrap();
        assert_eq!(answer, Some(Answer::Pending), "{number}");
        let answer = store.answer(&id(32 + number)).unwrap();
        assert!(matches!(answer, Some(Answer::Final(_))), "{number}");
    }
}

#[test]
fn many_answers_settle_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, u64::MAX);
    for number in 1..=20 {
        store.add_pending(&result(number)).unwrap();
    }
    let outcome = |number| (id(number), Outcome::Final(Box::new(receipt(number))));
    // One of them is not pending, which changes nothing.
    store.close((10..=21).map(outcome).collect()).unwrap();
    assert_eq!(store.pending_count(), 9);
    drop(store);
    let store = open(&directory, u64::MAX);
    assert_eq!(store.pending_count(), 9);
    for number in 10..=20 {
        assert!(matches!(
            store.answer(&id(number)).unwrap(),
            Some(Answer::Final(_))
        ));
    }
    assert_eq!(store.answer(&id(21)).unwrap(), None);
}
