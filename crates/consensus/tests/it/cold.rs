//! Blocks that read much of the state for the first time.

use crate::network::{Network, World, config, payer, sign};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind, hex};
use commonware_runtime::{Runner as _, deterministic::Runner};
use std::time::{Duration, Instant};

/// Looks at the balances of 5,000 accounts that nobody has heard of, which costs 13 million gas.
///
/// ```text
/// PUSH2 5000
/// loop: JUMPDEST DUP1 PUSH3 65536 ADD BALANCE POP PUSH1 1 SWAP1 SUB DUP1 PUSH1 loop JUMPI STOP
/// ```
const LOOK_AROUND: [u8; 21] = hex!("611388" "5b8062010000013150600190038060035700");
const GAS: u64 = 15_000_000;
/// A few times what it takes without optimisation on a busy machine. To run the block again for each account took hours.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_block_may_look_at_as_many_accounts_as_its_gas_pays_for() {
    let started = Instant::now();
    Runner::new(config(9)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let all = network.start_all(&[0, 1, 2, 3]).await;
        // The accounts of the genesis file enter with block 1.
        network.reach(&all[0], 1).await;
        let creation = TxEip1559 {
            gas_limit: GAS,
            to: TxKind::Create,
            input: Bytes::from(LOOK_AROUND),
            ..TxEip1559::default()
        };
        let raw = sign(&payer(0), creation);
        let hash = all[0].intake.submit_transaction(raw).await.unwrap();
        let pool = &all[0].pool;
        while pool.with(|pool| pool.transaction(&hash).is_some()) {
            let next = all[0].height() + 1;
            network.reach(&all[0], next).await;
            assert!(started.elapsed() < LONG, "the chain does not get over it");
        }
    });
}
