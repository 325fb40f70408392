//! Joining late: from honest peers, among liars, after long absence, through crashes.

use crate::network::{Network, Running, World, config, history, prefix};
use bytes::Bytes;
use commonware_consensus::types::Height;
use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::{
    Clock as _, Runner as _, Spawner as _, Storage as _, Supervisor as _,
    deterministic::{Context, Runner},
};
use og_consensus::{
    History,
    channels::{PROBE, STATE},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How far the others are when one joins: far enough to have pruned what it would need.
const FAR: u64 = 120;

/// Runs validators 1 to 3 up to [`FAR`].
async fn others(network: &mut Network) -> Vec<Running> {
    let others = network.start_all(&[1, 2, 3]).await;
    for other in &others {
        network.reach(other, FAR).await;
    }
    others
}

/// Waits until validator 0 has executed some blocks, which it may not begin with the first, and
/// has the state that the others have.
async fn joins_far_on(network: &Network, joiner: &Running) {
    network.reach(joiner, FAR + 30).await;
    let heights = joiner.heights();
    println!(
        "executed from {} to {}",
        heights[0],
        heights[heights.len() - 1]
    );
    assert!(heights[0] >= FAR, "it replayed blocks from {}", heights[0]);
    assert!(heights.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    network.check_state(joiner, FAR).await;
}

#[test]
fn a_new_validator_fetches_the_state_of_those_that_have_pruned() {
    Runner::new(config(1)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let others = others(&mut network).await;
        let gone = others[0].marshal.get_block(Height::new(2)).await;
        assert!(gone.is_none(), "nothing is pruned");
        let joiner = network.start(0).await;
        joins_far_on(&network, &joiner).await;
        assert!(network.blocked().await.is_empty());
        // Started again it goes on: not before the hand-over of the synced state is over, though.
        network.reach(&joiner, joiner.height() + 20).await;
        let height = joiner.height();
        network.crash(joiner);
        let again = network.start(0).await;
        network.reach(&again, height + 10).await;
        assert!(again.heights()[0] <= height + 1, "it has synced twice");
    });
}

#[test]
fn near_validators_replay_blocks_and_new_networks_start_at_once() {
    Runner::new(config(2)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let began = context.current();
        let others = network.start_all(&[1, 2, 3]).await;
        let took = context.current().duration_since(began).unwrap();
        println!("a new network is up after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        network.reach(&others[0], 20).await;
        let joiner = network.start(0).await;
        network.reach(&joiner, 40).await;
        assert_eq!(joiner.heights()[0], 1);
    });
}

#[test]
fn a_validator_that_was_away_fetches_the_state_and_keeps_its_votes() {
    Runner::new(config(3)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut all = network.start_all(&[0, 1, 2, 3]).await;
        for running in &all {
            network.reach(running, 20).await;
        }
        let away = all.remove(0);
        let left_at = away.height();
        network.crash(away);
        let votes = |height| format!("{}-simplex-{}", prefix(0), (height + 1) / 12);
        let before = context.scan(&votes(left_at)).await.unwrap();
        network.reach(&all[0], left_at + FAR).await;
        let back = network.start(0).await;
        assert_eq!(context.scan(&votes(left_at)).await.unwrap(), before);
        network.reach(&back, left_at + FAR + 30).await;
        let first = back.heights()[0];
        assert!(first > left_at + 16, "it replayed from {first}");
        network.check_state(&back, first).await;
        // Once more, now that the record of the first sync has been replaced.
        let left_at = back.height();
        network.crash(back);
        network.reach(&all[0], left_at + FAR).await;
        let back = network.start(0).await;
        network.reach(&back, left_at + FAR + 30).await;
        network.check_state(&back, left_at).await;
    });
}

#[test]
fn an_archive_keeps_all_blocks_and_others_can_replay_from_it() {
    Runner::new(config(4)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let archive = History {
            retain_blocks: None,
            ..history()
        };
        let mut starting = Vec::new();
        for validator in 1..4 {
            starting.push(network.launch(validator, archive, &[]).await);
        }
        let mut others = Vec::new();
        for starting in starting {
            others.push(starting.up().await);
        }
        network.reach(&others[0], FAR).await;
        let first = others[0].marshal.get_block(Height::new(1)).await;
        assert!(first.is_some());
        let joiner = network.launch(0, archive, &[]).await.up().await;
        network.reach(&joiner, FAR + 5).await;
        assert_eq!(joiner.heights()[0], 1);
    });
}

/// Serves a wrong state in validator 3's place: what validator 1 answers, with a bit flipped.
async fn serve_wrong_state(network: &Network) {
    let (mut sender, mut receiver) = network.channel(3, STATE).await;
    let honest = network.world.keys[1].clone();
    network.context.child("liar").spawn(move |_| async move {
        let mut askers = BTreeMap::new();
        while let Ok((from, message)) = receiver.recv().await {
            let mut bytes: Vec<u8> = Bytes::from(message).to_vec();
            let id = bytes[..8].to_vec();
            if bytes[8] == 0 {
                askers.insert(id, from);
                sender.send(Recipients::One(honest.clone()), bytes, false);
            } else if let Some(asker) = askers.remove(&id) {
                // Within the last operation.
                let position = bytes.len() - 10;
                bytes[position] ^= 1;
                sender.send(Recipients::One(asker), bytes, false);
            }
        }
    });
}

/// Answers the probe in validator 3's place with what `reply` makes of an honest answer that was
/// given at the beginning.
async fn tell_old_news(network: &Network, reply: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static) {
    let (mut sender, mut receiver) = network.channel(3, PROBE).await;
    let honest = network.world.keys[1].clone();
    network.context.child("liar").spawn(move |_| async move {
        let ask = [&[0_u8][..], &1_u64.to_be_bytes()].concat();
        sender.send(Recipients::One(honest.clone()), ask, false);
        let mut old = None;
        while let Ok((from, message)) = receiver.recv().await {
            let bytes = Bytes::from(message);
            match (bytes[0], &old) {
                (1, None) => old = Some(reply(bytes.to_vec())),
                (0, Some(old)) => drop(sender.send(Recipients::One(from), old.clone(), false)),
                _ => {}
            }
        }
    });
}

#[test]
fn a_peer_that_serves_a_wrong_state_is_blocked_and_left() {
    Runner::new(config(5)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut starting = Vec::new();
        for validator in 1..4 {
            let without: &[u64] = if validator == 3 { &[STATE] } else { &[] };
            starting.push(network.launch(validator, history(), without).await);
        }
        let mut others = Vec::new();
        for starting in starting {
            others.push(starting.up().await);
        }
        serve_wrong_state(&network).await;
        network.reach(&others[0], FAR).await;
        let joiner = network.start(0).await;
        joins_far_on(&network, &joiner).await;
        assert_eq!(network.blocked().await, [(0, 3)]);
    });
}

/// Runs 1 to 3, of which 3 answers the probe with old news that `reply` has rewritten.
async fn with_old_news(
    context: &Context,
    reply: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static,
) -> (Network, Vec<Running>) {
    let mut network = Network::new(context, &World::new()).await;
    let mut starting = Vec::new();
    for validator in 1..4 {
        // Until it has something old to tell, the liar is honest: the others wait for its answer.
        starting.push(network.launch(validator, history(), &[]).await);
    }
    let mut others = Vec::new();
    for starting in starting {
        others.push(starting.up().await);
    }
    network.reach(&others[0], 10).await;
    let liar = others.remove(2);
    network.crash(liar);
    let liar = network.launch(3, history(), &[PROBE]).await;
    tell_old_news(&network, reply).await;
    others.push(liar.up().await);
    for other in &others {
        network.reach(other, FAR).await;
    }
    (network, others)
}

#[test]
fn old_news_do_not_hold_a_new_validator_back() {
    Runner::new(config(6)).start(|context| async move {
        let (mut network, _others) = with_old_news(&context, |old| old).await;
        let joiner = network.start(0).await;
        joins_far_on(&network, &joiner).await;
        assert!(network.blocked().await.is_empty());
    });
}

#[test]
fn forged_news_get_their_sender_blocked() {
    Runner::new(config(7)).start(|context| async move {
        let forge = |mut old: Vec<u8>| {
            // Another state root, in the header at the end.
            let position = old.len() - 60;
            old[position] ^= 1;
            old
        };
        let (mut network, _others) = with_old_news(&context, forge).await;
        let joiner = network.start(0).await;
        joins_far_on(&network, &joiner).await;
        // Two honest answers may have been enough before the liar's came.
        let blocked = network.blocked().await;
        assert!(blocked.iter().all(|pair| *pair == (0, 3)), "{blocked:?}");
    });
}

#[test]
fn a_sync_that_is_cut_off_by_a_crash_is_finished_later() {
    for crash_after_ms in [150, 250, 300, 350, 400, 500, 700] {
        Runner::new(config(8)).start(|context| async move {
            let mut network = Network::new(&context, &World::new()).await;
            let _others = others(&mut network).await;
            let starting = network.launch(0, history(), &[]).await;
            context.sleep(Duration::from_millis(crash_after_ms)).await;
            let plan = context
                .scan(&format!("{}state_sync_metadata", prefix(0)))
                .await;
            println!(
                "crashed after {crash_after_ms} ms, with a plan: {}",
                plan.is_ok()
            );
            starting.crash();
            let joiner = network.start(0).await;
            joins_far_on(&network, &joiner).await;
        });
    }
}

#[test]
fn a_sync_that_is_cut_off_by_a_power_loss_is_finished_later() {
    for power_loss_after_ms in [200, 300, 400] {
        let world = World::new();
        let before = Arc::clone(&world);
        let ((), checkpoint) =
            Runner::new(config(9)).start_and_recover(move |context| async move {
                let mut network = Network::new(&context, &before).await;
                let _others = others(&mut network).await;
                let _starting = network.launch(0, history(), &[]).await;
                context
                    .sleep(Duration::from_millis(power_loss_after_ms))
                    .await;
            });
        Runner::from(checkpoint).start(move |context| async move {
            let mut network = Network::new(&context, &world).await;
            let all = network.start_all(&[0, 1, 2, 3]).await;
            network.reach(&all[0], FAR + 60).await;
            network.check_state(&all[0], FAR).await;
        });
    }
}

#[test]
fn a_validator_that_is_left_behind_while_it_runs_ends_and_recovers_when_it_is_started_again() {
    Runner::new(config(11)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut all = network.start_all(&[0, 1, 2, 3]).await;
        network.reach(&all[0], 20).await;
        let cut_off = all.remove(0);
        network.cut(0).await;
        let left_at = cut_off.height();
        network.reach(&all[0], left_at + FAR).await;
        assert!(!cut_off.has_ended());
        network.link(0).await;
        let deadline = context.current() + Duration::from_secs(120);
        while !cut_off.has_ended() {
            assert!(
                context.current() < deadline,
                "it waits for blocks that nobody has"
            );
            context.sleep(Duration::from_secs(1)).await;
        }
        network.crash(cut_off);
        let height = all[0].height();
        let back = network.start(0).await;
        network.reach(&back, height + 30).await;
        assert!(back.heights()[0] >= height);
        network.check_state(&back, height).await;
    });
}
