//! Waiting for work before a block is proposed, and what must not wait with it.

use crate::network::{Network, World, config};
use commonware_runtime::{Clock as _, Runner as _, deterministic::Runner};
use std::time::Duration;

/// Between two looks at the validators.
const LOOK: Duration = Duration::from_millis(5);
/// Several messages from one validator to another, and far less than the wait for work.
const SOON: Duration = Duration::from_millis(150);
const BLOCKS: u64 = 20;

#[test]
fn a_block_is_final_everywhere_while_the_next_proposer_waits_for_work() {
    Runner::new(config(5)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        network.empty_block_interval = Duration::from_millis(400);
        let all = network.start_all(&[0, 1, 2, 3]).await;
        let mut late = Vec::new();
        for height in 2..2 + BLOCKS {
            while !all.iter().any(|running| running.height() >= height) {
                context.sleep(LOOK).await;
            }
            let first = context.current();
            for running in &all {
                network.reach(running, height).await;
            }
            let lag = context.current().duration_since(first).unwrap();
            if lag > SOON {
                late.push((height, lag));
            }
        }
        // A lost message delays a block now and then.
        assert!(late.len() < BLOCKS as usize / 4, "{late:?}");
    });
}
