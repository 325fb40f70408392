//! Proofs of what the state holds: their bytes are those on file, which `og-verify`'s tests judge.

use super::sync::run;
use alloy_primitives::{Address, B256, U256, hex};
use commonware_glue::stateful::db::DatabaseSet as _;
use og_chain::state::{Account, Key, Value};
use og_sim::validator::Local;
use og_state::{Databases, Draft, database_config, prove_latest};

/// An account, a contract with one slot that is set, and five hundred more accounts.
fn writes() -> Vec<(Key, Option<Value>)> {
    let account = |balance: u64| Account {
        nonce: 7,
        balance: U256::from(balance),
        ..Account::default()
    };
    let mut writes = vec![
        (rich(), account(1_000_000).to_value()),
        (slot(1), Some(B256::with_last_byte(0x2a).to_vec().into())),
    ];
    writes.extend((0..500_u64).map(|number| {
        let address = Address::left_padding_from(&number.to_be_bytes());
        (Key::account(address), account(number).to_value())
    }));
    writes.sort();
    writes
}

fn rich() -> Key {
    Key::account(Address::repeat_byte(0xaa))
}

fn slot(number: u64) -> Key {
    Key::storage(Address::repeat_byte(0xcc), U256::from(number))
}

#[test]
fn proofs_are_those_on_file() {
    run(|context| async move {
        let config = database_config::<Local>("proofs", 0);
        let databases = Databases::<Local>::init(Local::new(context, 0), config, None).await;
        let nobody = Key::account(Address::repeat_byte(0xbb));
        let keys = [rich(), slot(1), slot(2), nobody];
        let (_, empty) = prove_latest(&databases, &keys).await.unwrap();
        assert!(empty.iter().all(|entry| entry.value.is_none()));
        let batch = databases.new_batches().await;
        let draft = Draft::new(batch).await.unwrap();
        let merkleized = draft.merkleize(&writes()).await.unwrap();
        databases.apply(merkleized).await;
        assert!(databases.finalize().await.durable().await);

        let (root, entries) = prove_latest(&databases, &keys).await.unwrap();
        let mut lines = vec![hex::encode(root)];
        for entry in entries {
            let value = entry.value.map_or("-".to_owned(), hex::encode);
            let (key, proof) = (hex::encode(entry.key), hex::encode(entry.proof));
            lines.push(format!("{key} {value} {proof}"));
        }
        let vectors: Vec<_> = include_str!("proofs.hex").lines().collect();
        assert_eq!(lines, vectors, "{}", lines.join("\n"));
    });
}
