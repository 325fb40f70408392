//! How long the state takes to open, and what a block costs it, with few accounts and with many.
//!
//! `cargo bench -p og-state`; there are a thousand accounts first, and then a million, or as many as `OG_BENCH_ACCOUNTS` says.
//! The state lies in a temporary folder (`TMPDIR`, about 1 GB).

use alloy_primitives::{Address, U256};
use commonware_glue::stateful::db::DatabaseSet as _;
use commonware_runtime::{
    Runner as _, Supervisor as _,
    tokio::{Config, Context, Runner},
};
use og_chain::state::{Account, Key, Value};
use og_state::{Databases, Draft, database_config};
use std::{
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

/// As in `og`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Accounts at first, and at the end if nothing else is said.
const FEW: u64 = 1000;
const MANY: u64 = 1_000_000;
/// New accounts in one block while the state grows.
const GROWTH: u64 = 10_000;
/// Accounts that a block reads and writes: 1,400 that receive something, and 200 that send it.
const TOUCHED: usize = 1600;
/// Blocks that are measured just after the state was opened, blocks after which as many are measured again, and times that the
/// state is opened.
const BLOCKS: u64 = 30;
const LATER: u64 = 200;
const OPENINGS: usize = 3;

fn main() {
    let many = std::env::var("OG_BENCH_ACCOUNTS").map_or(MANY, |accounts| {
        accounts.parse().expect("a number of accounts")
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut accounts = 0;
    for target in [FEW, many] {
        run(folder.path(), 0, move |databases| {
            grow(databases, accounts, target)
        });
        accounts = target;
        let mut openings: Vec<_> = (0..OPENINGS)
            .map(|_| run(folder.path(), accounts, |_| async {}).0)
            .collect();
        report(accounts, "open", &mut openings);
        let (_, (cold, warm)) = run(folder.path(), accounts, move |databases| async move {
            let cold = blocks(&databases, accounts, 0..BLOCKS).await;
            blocks(&databases, accounts, BLOCKS..LATER).await;
            let warm = blocks(&databases, accounts, LATER..LATER + BLOCKS).await;
            (cold, warm)
        });
        for (when, phases) in [("cold", cold), ("warm", warm)] {
            for (phase, mut times) in phases {
                report(accounts, &format!("{when} {phase}"), &mut times);
            }
        }
    }
}

/// Opens the state below `folder`, which has `accounts`, and hands it to `work`; gives how long opening took.
fn run<T, W>(
    folder: &Path,
    accounts: u64,
    work: impl FnOnce(Databases<Context>) -> W,
) -> (Duration, T)
where
    W: Future<Output = T>,
{
    let config = Config::new().with_storage_directory(folder);
    Runner::new(config).start(|context| async move {
        let begun = Instant::now();
        // The log has at most three operations for each key that it holds.
        let config = database_config::<Context>("bench", 3 * accounts);
        let databases = Databases::init(context.child("state"), config, None).await;
        (begun.elapsed(), work(databases).await)
    })
}

/// Prints median, least and greatest of `times`.
fn report(accounts: u64, name: &str, times: &mut [Duration]) {
    times.sort();
    let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
    println!(
        "{accounts:>9} accounts  {name:<15} {:>9.2} ms ({:.2} to {:.2})",
        ms(times.len() / 2),
        ms(0),
        ms(times.len() - 1)
    );
}

fn key(number: u64) -> Key {
    Key::account(Address::left_padding_from(&number.to_be_bytes()))
}

fn value(balance: u64) -> Option<Value> {
    Account {
        balance: U256::from(balance) << 60,
        ..Account::default()
    }
    .to_value()
}

/// Adds the accounts from `from` to `to`.
async fn grow(databases: Databases<Context>, from: u64, to: u64) {
    for first in (from..to).step_by(GROWTH as usize) {
        let writes: Vec<_> = (first..to.min(first + GROWTH))
            .map(|number| (key(number), value(number + 1)))
            .collect();
        let batch = databases.new_batches().await;
        let draft = Draft::new(batch).await.expect("state");
        let merkleized = draft.merkleize(&writes).await.expect("state");
        databases.apply(merkleized).await;
        assert!(databases.finalize().await.durable().await);
    }
}

/// Times the phases of the blocks with these numbers, which read and write [`TOUCHED`] accounts drawn from `accounts`.
async fn blocks(
    databases: &Databases<Context>,
    accounts: u64,
    numbers: Range<u64>,
) -> Vec<(&'static str, Vec<Duration>)> {
    let mut phases = vec![
        ("read", Vec::new()),
        ("merkleize", Vec::new()),
        ("apply", Vec::new()),
        ("persist", Vec::new()),
        ("block", Vec::new()),
    ];
    for block in numbers {
        let mut keys: Vec<_> = (0..TOUCHED as u64)
            .map(|draw| key(mixed(block * TOUCHED as u64 + draw) % accounts))
            .collect();
        keys.sort();
        keys.dedup();
        let batch = databases.new_batches().await;
        let begun = Instant::now();
        let draft = Draft::new(batch).await.expect("state");
        let mut done = vec![begun];
        let (values, draft) = draft.read(&keys).await.expect("state");
        assert!(values.iter().all(Option::is_some));
        done.push(Instant::now());
        let writes: Vec<_> = keys
            .into_iter()
            .map(|key| (key, value(accounts + block)))
            .collect();
        let merkleized = draft.merkleize(&writes).await.expect("state");
        done.push(Instant::now());
        databases.apply(merkleized).await;
        done.push(Instant::now());
        assert!(databases.finalize().await.durable().await);
        done.push(Instant::now());
        for (phase, times) in phases.iter_mut().zip(done.windows(2)) {
            phase.1.push(times[1] - times[0]);
        }
        phases[4].1.push(begun.elapsed());
    }
    phases
}

/// A number that looks drawn by chance, from a counter (the last step of SplitMix64).
fn mixed(counter: u64) -> u64 {
    let mut mixed = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
