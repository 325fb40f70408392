//! Old values of the state, against a model that remembers every state.

use super::*;
use og_chain::{Key, Value, Writes};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;

type State = BTreeMap<Key, Value>;

const KEYS: u8 = 8;

fn key(number: u8) -> Key {
    Key(B256::repeat_byte(number))
}

/// Changes some keys at random and gives what they had been before.
fn change(state: &mut State, random: &mut StdRng) -> Writes {
    let mut before = Writes::new();
    for number in 0..KEYS {
        if random.random_bool(0.7) {
            continue;
        }
        before.push((key(number), state.get(&key(number)).cloned()));
        if random.random_bool(0.3) {
            state.remove(&key(number));
        } else {
            state.insert(key(number), Value::from(vec![random.random::<u8>(); 3]));
        }
    }
    before
}

/// An index of blocks that change a state at random, and the state after each.
fn changing(path: &Path, retention: Retention, length: u64) -> (Index, Vec<State>) {
    let mut random = StdRng::seed_from_u64(length);
    let index = Index::open(path, retention).unwrap();
    let mut last: Option<Block> = None;
    let mut states = vec![];
    let mut state = State::new();
    for _ in 0..length {
        let next = block(last.as_ref(), 0, vec![]);
        let effects = Effects {
            receipts: vec![],
            before: change(&mut state, &mut random),
        };
        index.append(&next, &effects).unwrap();
        states.push(state.clone());
        last = Some(next);
    }
    (index, states)
}

fn values(state: &State, keys: &[Key]) -> Vec<Option<Value>> {
    keys.iter().map(|key| state.get(key).cloned()).collect()
}

#[test]
fn every_old_state_that_is_kept_is_read_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let (index, states) = changing(&path, Retention::default(), 60);
    let keys: Vec<Key> = (0..=KEYS).map(key).collect();
    drop(index);
    let index = Index::open(&path, Retention::default()).unwrap();
    // Read from the newest state, and from one that has become old meanwhile.
    for newer in [59, 40] {
        for (height, state) in states.iter().enumerate().take(newer + 1) {
            let read = index.values_at(height as u64, &keys, values(&states[newer], &keys));
            assert_eq!(read.unwrap(), values(state, &keys), "height {height}");
        }
    }
}

#[test]
fn what_is_older_than_asked_for_is_forgotten_and_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let retention = Retention {
        blocks: None,
        states: Some(5),
    };
    let (index, states) = changing(&path, retention, 60);
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let newest = values(&states[59], &keys);
    let oldest = index.values_at(54, &keys, newest.clone()).unwrap();
    assert_eq!(oldest, values(&states[54], &keys));
    let error = index.values_at(53, &keys, newest);
    assert!(
        matches!(
            error,
            Err(IndexError::StatePruned {
                height: 53,
                oldest: 54
            })
        ),
        "{error:?}"
    );
    let transaction = index.database.begin_read().unwrap();
    let before = transaction.open_table(super::super::undo::BEFORE).unwrap();
    let heights = before
        .iter()
        .unwrap()
        .map(|entry| entry.unwrap().0.value().1);
    assert!(heights.min().unwrap() >= 55);
}

#[test]
fn an_index_that_begins_late_has_no_older_states() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let (index, states) = changing(&path, Retention::default(), 10);
    let keys = [key(0)];
    let mut far = block(None, 0, vec![]).header().clone();
    far.height = 100;
    let far = Block::new(far, vec![], vec![]);
    index.restart(&far, &Effects::default()).unwrap();
    let newest = values(&states[9], &keys);
    assert_eq!(index.values_at(100, &keys, newest.clone()).unwrap(), newest);
    let error = index.values_at(9, &keys, newest);
    assert!(matches!(error, Err(IndexError::StatePruned { .. })));
}
