//! A peer that sends without end holds nobody else up.

use crate::network::{Network, World, config, history, payer, transfer};
use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use commonware_p2p::{Recipients, Sender as _};
use commonware_runtime::{
    Clock as _, Metrics as _, Runner as _, Spawner as _, Supervisor as _,
    deterministic::{Context, Runner},
};
use og_consensus::{channels::GOSSIP, gossip::Message};
use og_types::Canonical as _;
use std::time::Duration;

const SECONDS: u32 = 10;
const MESSAGES_PER_SECOND: u32 = 100;
/// As many as a message may hold.
const ITEMS: u64 = 512;

/// Valid transactions of accounts that have nothing: each costs whoever gets it a recovery.
fn endless() -> Vec<u8> {
    let poor = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x77)).unwrap();
    let message = Message {
        version: 1,
        transactions: (0..ITEMS).map(|nonce| transfer(&poor, nonce)).collect(),
        records: Vec::new(),
    };
    message.to_bytes()
}

/// Messages that validator 0 has left unread.
fn unread(context: &Context) -> u32 {
    let figures = context.encode();
    let line = figures
        .lines()
        .find(|line| line.contains("gossip_unread_total{") && line.contains("index=\"0\""))
        .unwrap_or_else(|| panic!("no such figure:\n{figures}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_peer_that_sends_without_end_is_not_read_and_others_are_in_time() {
    Runner::new(config(12)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut starting = Vec::new();
        for validator in 0..4 {
            let without: &[u64] = if validator == 3 { &[GOSSIP] } else { &[] };
            starting.push(network.launch(validator, history(), without).await);
        }
        let mut all = Vec::new();
        for starting in starting {
            all.push(starting.up().await);
        }
        network.reach(&all[0], 2).await;

        let (mut sender, _receiver) = network.channel(3, GOSSIP).await;
        let flood = network
            .context
            .child("flood")
            .spawn(move |context| async move {
                let message = endless();
                for _ in 0..SECONDS * MESSAGES_PER_SECOND {
                    sender.send(Recipients::All, message.clone(), false);
                    context
                        .sleep(Duration::from_secs(1) / MESSAGES_PER_SECOND)
                        .await;
                }
            });
        context.sleep(Duration::from_secs(3)).await;
        let raw = transfer(&payer(0), 0);
        let hash = all[1].intake.submit_transaction(raw).await.unwrap();
        let deadline = context.current() + Duration::from_millis(200);
        while all[0].pool.with(|pool| pool.transaction(&hash).is_none()) {
            assert!(
                context.current() < deadline,
                "the honest transaction has not come"
            );
            context.sleep(Duration::from_millis(1)).await;
        }
        flood.await.unwrap();

        // Two seconds of debt and one for each that passed, at 0.512 a message; and one message in
        // a hundred is lost on the way.
        let sent = SECONDS * MESSAGES_PER_SECOND;
        let unread = unread(&context);
        println!("{unread} of {sent} messages were not read");
        assert!(unread >= sent - (2 + SECONDS) * 1000 / 512 - sent / 25);
        assert!(network.blocked().await.is_empty());
    });
}
