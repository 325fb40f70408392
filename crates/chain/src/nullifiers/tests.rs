//! The scheme against a model that remembers everything.

use super::*;
use crate::state::{Attempt, Cache};
use proptest::prelude::*;
use std::collections::BTreeMap;

type State = BTreeMap<Key, Value>;

/// Runs one block on `state`, fetching what is missing.
fn run(state: &mut State, mut block: impl FnMut(&mut View<'_>) -> Result<(), StateError>) {
    let mut cache = Cache::default();
    let writes = loop {
        let mut view = View::new(&cache);
        let result = block(&mut view);
        let missing = match view.missing() {
            Some(keys) => keys,
            None => {
                result.unwrap();
                match view.finish() {
                    Attempt::Done(changes) => break changes.writes,
                    Attempt::Missing(keys) => keys,
                }
            }
        };
        for key in missing {
            cache.insert(key, state.get(&key).cloned());
        }
    };
    for (key, value) in writes {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
}

fn id(number: u64) -> RequestId {
    RequestId(alloy_primitives::keccak256(number.to_be_bytes()).0)
}

fn is_known(state: &State, number: u64) -> bool {
    state.contains_key(&Key::nullifier(id(number)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// An id is known as long as its record could be admitted, and gone soon after.
    #[test]
    fn ids_are_known_while_they_matter_and_the_state_stays_bounded(
        blocks in prop::collection::vec(
            (1u64..=60_000, prop::collection::vec(0u64..600_000, 0..100)),
            1..30,
        ),
    ) {
        let mut state = State::new();
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        let mut time_ms = 1_800_000_012_345;
        let mut next = 0;
        for (step_ms, lifetimes) in blocks {
            time_ms += step_ms;
            let first = next;
            run(&mut state, |view| {
                let mut result = Ok(());
                for (number, lifetime_ms) in (first..).zip(&lifetimes) {
                    // As a block does, go on after a miss, so that one fetch serves many.
                    result = result
                        .and(is_used(view, id(number)).map(|is_used| assert!(!is_used)))
                        .and(remember(view, id(number), time_ms + lifetime_ms, 7));
                }
                result.and(forget(view, time_ms, lifetimes.len()))
            });
            for lifetime_ms in lifetimes {
                model.insert(next, time_ms + lifetime_ms);
                next += 1;
            }
            for (number, expiry_ms) in &model {
                if *expiry_ms >= time_ms {
                    prop_assert!(is_known(&state, *number), "forgotten too early");
                }
                // At most ten minutes end here between two blocks, with fewer ids than the spare chunks hold.
                if *expiry_ms / BUCKET_MS < time_ms / BUCKET_MS && model.len() < 200 {
                    prop_assert!(!is_known(&state, *number), "not forgotten");
                }
            }
        }
        // After the last window nothing is left but the cursor.
        for _ in 0..12 {
            time_ms += BUCKET_MS;
            run(&mut state, |view| forget(view, time_ms, 0));
        }
        prop_assert_eq!(state.keys().copied().collect::<Vec<_>>(), [Key::nullifier_cursor()]);
    }
}

/// Ids of `0..total` that are known.
fn known(state: &State, total: u64) -> u64 {
    (0..total).filter(|number| is_known(state, *number)).count() as u64
}

#[test]
fn the_end_of_a_full_minute_costs_no_block_much_and_is_forgotten_faster_than_ids_are_admitted() {
    let mut state = State::new();
    let start_ms = 1_800_000_000_000;
    let total = 10_000;
    run(&mut state, |view| {
        for number in 0..total {
            remember(view, id(number), start_ms, 7)?;
        }
        forget(view, start_ms, 10_000)
    });
    assert_eq!(known(&state, total), total);
    let over_ms = start_ms + BUCKET_MS;
    let (mut left, mut next) = (total, total);
    for admitted in [0, 1, 300, 0, 4000].into_iter().cycle() {
        run(&mut state, |view| {
            for number in next..next + admitted {
                remember(view, id(number), over_ms + BUCKET_MS, 7)?;
            }
            forget(view, over_ms, admitted as usize)
        });
        next += admitted;
        let forgotten = left - known(&state, total);
        left -= forgotten;
        assert!(forgotten <= admitted + admitted / 4 + (SPARE_CHUNKS_FORGOTTEN + 1) * CHUNK_IDS);
        if left == 0 {
            break;
        }
        assert!(forgotten > admitted);
    }
    let mut blocks = 0;
    while state.len() > 1 {
        run(&mut state, |view| forget(view, over_ms + 2 * BUCKET_MS, 0));
        blocks += 1;
    }
    assert_eq!(
        state.into_keys().collect::<Vec<_>>(),
        [Key::nullifier_cursor()]
    );
    let spare = SPARE_CHUNKS_FORGOTTEN * CHUNK_IDS;
    assert_eq!(blocks, (next - total).div_ceil(spare));
}

#[test]
fn a_corrupt_chunk_is_an_error_that_names_its_key() {
    let time_ms = 1_800_000_000_000;
    let minute = minute_of(time_ms) - 1;
    let chunk = Key::nullifier_chunk(minute, 0);
    let mut cache = Cache::default();
    cache.insert(
        Key::nullifier_cursor(),
        Some(minute.to_be_bytes().to_vec().into()),
    );
    cache.insert(
        Key::nullifier_bucket(minute),
        Some(1u64.to_be_bytes().to_vec().into()),
    );
    cache.insert(chunk, Some(vec![1; 33].into()));
    let mut view = View::new(&cache);
    assert_eq!(
        forget(&mut view, time_ms, 0),
        Err(StateError::Corrupt(chunk))
    );
    cache.insert(Key::nullifier_cursor(), Some(vec![1].into()));
    let mut view = View::new(&cache);
    let error = forget(&mut view, time_ms, 0);
    assert_eq!(error, Err(StateError::Corrupt(Key::nullifier_cursor())));
}
