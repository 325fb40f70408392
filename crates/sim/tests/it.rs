//! Whole networks from seeds: what CI runs.

use og_sim::{Options, simulate};

/// Seeds that CI runs; another range is `OG_SIM_SEEDS=first..end`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("OG_SIM_SEEDS") else {
        return 0..20;
    };
    let parse = |part: &str| part.parse().expect("OG_SIM_SEEDS is first..end");
    let (first, end) = text.split_once("..").expect("OG_SIM_SEEDS is first..end");
    parse(first)..parse(end)
}

#[test]
fn every_seed_keeps_the_rules_and_makes_progress() {
    for seed in seeds() {
        let outcome = simulate(seed, Options::default());
        println!("seed {seed}: {outcome:?}");
        assert!(
            outcome.transactions > 0,
            "seed {seed} finalized no transaction"
        );
        assert!(outcome.records > 0, "seed {seed} finalized no record");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let options = Options {
        height: 15,
        ..Options::default()
    };
    let first = simulate(1234, options);
    assert_eq!(first, simulate(1234, options));
    assert_ne!(first.audit, simulate(1235, options).audit);
}
