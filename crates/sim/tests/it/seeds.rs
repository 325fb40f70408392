//! What CI runs: the first seeds, and again those that once found a fault.

use og_sim::{Campaign, Plan, simulate};
use std::{ops::Range, thread};

/// Seeds that CI runs; another range is `OG_SIM_SEEDS=first..end`.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("OG_SIM_SEEDS") else {
        return 0..100;
    };
    let parse = |part: &str| part.parse().expect("OG_SIM_SEEDS is first..end");
    let (first, end) = text.split_once("..").expect("OG_SIM_SEEDS is first..end");
    parse(first)..parse(end)
}

#[test]
fn every_seed_keeps_the_rules_and_makes_progress() {
    // What validators log, with RUST_LOG: for a single seed that is to be understood.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .init();
    let campaign = Campaign {
        seeds: seeds(),
        threads: thread::available_parallelism().map_or(1, Into::into),
    };
    let summary = campaign.run(|result| match result {
        Ok(outcome) => println!("{outcome:?}"),
        Err(failure) => println!("{failure:?}"),
    });
    println!("{summary:?}");
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    assert!(summary.transactions > summary.seeds, "{summary:?}");
    assert!(summary.records > summary.seeds, "{summary:?}");
    assert!(summary.state_syncs > summary.seeds / 20, "{summary:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    // It has a power loss, a crash and a liar.
    let plan = Plan::draw(1234);
    let first = simulate(&plan).unwrap();
    assert_eq!(first, simulate(&plan).unwrap());
    let other = simulate(&Plan { seed: 1235, ..plan }).unwrap();
    assert_ne!(first.audit, other.audit);
}
