//! What a validator stores stays bounded while the chain grows.

use crate::network::{Network, World, config, prefix};
use commonware_runtime::{
    Clock as _, Runner as _, Storage as _,
    deterministic::{Context, Runner},
};
use std::{collections::BTreeMap, time::Duration};

/// Partitions that grow with the chain unless they are pruned.
const PARTITIONS: [&str; 7] = [
    "-blocks-key",
    "-blocks-value",
    "-certificates-key",
    "-certificates-value",
    "-state-log_data",
    "-state-log_offsets-blobs",
    "-state-merkle-journal-blobs",
];

/// Bytes in each partition of a validator, and the partitions of votes that there are.
async fn stored(context: &Context, validator: usize) -> (BTreeMap<&'static str, u64>, usize) {
    let mut bytes = BTreeMap::new();
    for name in PARTITIONS {
        let partition = format!("{}{name}", prefix(validator));
        let mut sum = 0;
        for blob in context.scan(&partition).await.unwrap_or_default() {
            let (_, length) = context.open(&partition, &blob).await.unwrap();
            sum += length;
        }
        bytes.insert(name, sum);
    }
    let mut votes = 0;
    for epoch in 0..200 {
        let partition = format!("{}-simplex-{epoch}", prefix(validator));
        votes += usize::from(context.scan(&partition).await.is_ok());
    }
    (bytes, votes)
}

#[test]
fn disks_do_not_fill_with_old_blocks() {
    Runner::new(config(10)).start(|context| async move {
        let mut network = Network::new(&context, &World::new()).await;
        let mut all = network.start_all(&[0, 1, 2, 3]).await;
        let mut measured = Vec::new();
        for height in [150, 300, 450, 600] {
            network.reach(&all[0], height).await;
            // A file that is open cannot be measured.
            network.crash(all.remove(0));
            context.sleep(Duration::from_millis(500)).await;
            let (bytes, votes) = stored(&context, 0).await;
            println!("height {height}: {votes} epochs of votes, {bytes:?}");
            measured.push((bytes, votes));
            all.insert(0, network.start(0).await);
        }
        let (early, _) = &measured[0];
        for (bytes, votes) in &measured {
            assert!(*votes <= 4, "votes of {votes} epochs");
            for name in &PARTITIONS[..4] {
                let (now, then) = (bytes[name], early[name]);
                assert!(then > 0, "{name} is not where it was looked for");
                assert!(
                    now <= then * 3 / 2,
                    "{name} has grown from {then} to {now} bytes"
                );
            }
        }
    });
}
