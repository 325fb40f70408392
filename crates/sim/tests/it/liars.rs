//! Networks with one certain liar: honest validators find it out, or it changes nothing.

use og_sim::{
    Outcome, Plan,
    plan::{Event, Role},
    simulate,
};

/// Four validators, of which the last has this role, until `blocks` blocks are final after
/// validator 0 has been away for a while.
fn with_liar(seed: u64, role: Role, blocks: u64) -> Outcome {
    let mut plan = Plan::calm(seed, 4, blocks);
    plan.seats[3].role = role;
    plan.blocked_are_cut_off = true;
    plan.events = vec![(1_000, Event::Crash(0)), (9_000, Event::Restart(0))];
    simulate(&plan).unwrap()
}

#[test]
fn liars_that_prove_themselves_are_blocked() {
    for role in [Role::Conflicter, Role::Nuller, Role::Forger, Role::Noise] {
        let outcome = with_liar(11, role, 12);
        assert_eq!(outcome.found, [3], "{role:?}: {outcome:?}");
    }
}

/// Whether a liar is asked at all is chance, and it does not always lie.
#[test]
fn a_peer_that_serves_wrong_blocks_is_found_when_it_is_asked() {
    let found = |seed| with_liar(seed, Role::Liar, 12).found == [3];
    assert!((0..20).any(found), "no seed finds the liar");
}

/// Validator 0 fetches the state when it comes, which a liar serves as well. Seven validators go on
/// without the two.
#[test]
fn a_peer_that_serves_wrong_state_is_found_when_it_is_asked() {
    let outcome = |seed| {
        let mut plan = Plan::calm(seed, 7, 12);
        plan.seats[3].role = Role::Liar;
        plan.events = vec![(100, Event::Crash(0)), (9_000, Event::Restart(0))];
        plan.fetches_state = true;
        simulate(&plan).unwrap()
    };
    let outcomes: Vec<_> = (0..8).map(outcome).collect();
    assert!(
        outcomes.iter().all(|it| it.state_syncs == 1),
        "{outcomes:?}"
    );
    let found = outcomes.iter().filter(|it| it.found == [3]).count();
    assert!(found > 0, "{outcomes:?}");
}

#[test]
fn honest_networks_block_nobody_and_lose_nothing() {
    let outcome = with_liar(11, Role::Honest, 12);
    assert_eq!(outcome.found, [0; 0]);
    assert!(outcome.transactions > 0 && outcome.records > 0);
}

#[test]
fn other_liars_cost_only_their_turns() {
    for role in [Role::Absent, Role::InvalidBlocks, Role::Twins] {
        // Enough turns that most ways to break a rule are tried.
        let outcome = with_liar(11, role, 30);
        assert!(outcome.height >= 30, "{role:?}: {outcome:?}");
    }
}
