//! A peer that passes on records and transactions which no block may hold.

use crate::{
    outlet::{Letter, Lines},
    workload,
    world::World,
};
use commonware_p2p::Recipients;
use commonware_runtime::{Clock as _, deterministic};
use og_consensus::{channels::GOSSIP, gossip::Message};
use og_types::Canonical as _;
use std::{sync::Arc, time::Duration};

/// Between two messages.
const EVERY: Duration = Duration::from_millis(400);
/// Forged things in each message.
const ITEMS: usize = 3;

/// Sends forged records and bad transactions to everybody, for ever.
pub(crate) async fn forge(
    mut context: deterministic::Context,
    world: Arc<World>,
    mut lines: Lines,
) {
    loop {
        context.sleep(EVERY).await;
        let now_ms = crate::world::unix_ms(context.current());
        let records = (0..ITEMS)
            .map(|_| workload::forged_record(&world, &mut context, now_ms))
            .map(|record| record.to_bytes().into())
            .collect();
        let transactions = (0..ITEMS)
            .map(|_| workload::bad_transaction(&world, &mut context))
            .collect();
        let message = Message {
            version: 1,
            transactions,
            records,
        };
        lines.send(Letter {
            channel: GOSSIP,
            recipients: Recipients::All,
            message: message.to_bytes().into(),
        });
    }
}
