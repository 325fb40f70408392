//! What a block writes gives the same state, however the block has read: as commonware's own batches, which look every
//! key up when they are sealed, give it.

use super::sync::run;
use bytes::Bytes;
use commonware_glue::stateful::db::{DatabaseSet as _, Merkleized as _, Unmerkleized as _};
use commonware_runtime::{Supervisor as _, deterministic::Context};
use commonware_utils::sequence::FixedBytes;
use og_chain::state::{Key, Value};
use og_sim::validator::Local;
use og_state::{Batch, Databases, Draft, Merkleized, commitment, database_config, read_latest};
use proptest::{collection, option, prelude::*};
use std::collections::BTreeMap;

/// Keys that there are: few, so that blocks touch the same ones.
const KEYS: u8 = 24;

/// When what earlier blocks wrote is applied to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Apply {
    Later,
    BeforeReading,
    BeforeSealing,
}

/// One block: what it reads, portion by portion, and what it writes.
#[derive(Clone, Debug)]
struct Step {
    apply: Apply,
    reads: Vec<Vec<u8>>,
    writes: BTreeMap<u8, Option<u8>>,
}

fn step() -> impl Strategy<Value = Step> {
    let apply = prop_oneof![
        Just(Apply::Later),
        Just(Apply::BeforeReading),
        Just(Apply::BeforeSealing)
    ];
    let reads = collection::vec(collection::vec(0..KEYS, 0..6), 0..4);
    let writes = collection::btree_map(0..KEYS, option::of(any::<u8>()), 0..10);
    (apply, reads, writes).prop_map(|(apply, reads, writes)| Step {
        apply,
        reads,
        writes,
    })
}

fn key(number: u8) -> Key {
    Key([number.wrapping_mul(83); 32].into())
}

fn value(content: u8) -> Value {
    vec![content; usize::from(content) % 70].into()
}

/// A database, and the blocks on top of it that are not applied, the newest last.
struct Chain {
    databases: Databases<Local>,
    pending: Vec<Merkleized<Local>>,
}

impl Chain {
    async fn open(context: &Context, name: &'static str) -> Self {
        let config = database_config::<Local>(name, 0);
        let context = Local::new(context.child(name), 0);
        Self {
            databases: Databases::<Local>::init(context, config, None).await,
            pending: Vec::new(),
        }
    }

    async fn batch(&self) -> Batch<Local> {
        match self.pending.last() {
            Some(newest) => newest.new_batch(),
            None => self.databases.new_batches().await,
        }
    }

    async fn apply(&mut self) {
        if let Some(newest) = self.pending.pop() {
            self.databases.apply(newest).await;
            assert!(self.databases.finalize().await.durable().await);
        }
        self.pending.clear();
    }
}

async fn compare(context: Context, steps: Vec<Step>) {
    let mut plain = Chain::open(&context, "plain").await;
    let mut drafted = Chain::open(&context, "drafted").await;
    let mut state = BTreeMap::new();
    for step in steps {
        if step.apply == Apply::BeforeReading {
            plain.apply().await;
            drafted.apply().await;
        }
        let mut batch = plain.batch().await;
        let mut draft = Draft::new(drafted.batch().await).await.unwrap();
        for portion in &step.reads {
            let keys: Vec<_> = portion.iter().copied().map(key).collect();
            let values;
            (values, draft) = draft.read(&keys).await.unwrap();
            let expected = keys.iter().map(|key| state.get(key).cloned());
            assert_eq!(values, expected.collect::<Vec<_>>());
        }
        if step.apply == Apply::BeforeSealing {
            plain.apply().await;
            drafted.apply().await;
        }
        let writes = step.writes.iter();
        let writes: Vec<_> = writes
            .map(|(number, content)| (key(*number), content.map(value)))
            .collect();
        for (key, value) in &writes {
            let stored = value.as_ref().map(|value| Bytes::copy_from_slice(value));
            batch = batch.write(FixedBytes::new(key.0.0), stored);
            match value {
                Some(value) => state.insert(*key, value.clone()),
                None => state.remove(key),
            };
        }
        let expected = batch.merkleize().await.unwrap();
        let sealed = draft.merkleize(&writes).await.unwrap();
        assert_eq!(commitment::<Local>(&sealed), commitment::<Local>(&expected));
        plain.pending.push(expected);
        drafted.pending.push(sealed);
    }
    drafted.apply().await;
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let values = read_latest(&drafted.databases, &keys).await.unwrap();
    let expected = keys.iter().map(|key| state.get(key).cloned());
    assert_eq!(values, expected.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_read_does_not_change_what_is_written(steps in collection::vec(step(), 1..12)) {
        run(|context| compare(context, steps));
    }
}
