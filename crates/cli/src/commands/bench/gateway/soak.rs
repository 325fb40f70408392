//! Memory of the gateway, its node and the validator while requests go on for minutes.

use super::super::{figure::Figure, testbed::Testbed};
use std::time::Duration;
use tokio::time::interval;

/// How often memory is looked at in all.
const SAMPLES: u32 = 40;
/// Samples that are not counted, the first half: caches fill, and the node remembers more and more requests.
const WARM_UP: usize = 20;
/// The nodes that are watched, and what their figures are called: memory, and how much it grew.
const NODES: [(&str, [&str; 2]); 3] = [
    ("gateway", ["soak_gateway_memory", "soak_gateway_growth"]),
    (
        "inference-0",
        ["soak_inference_memory", "soak_inference_growth"],
    ),
    (
        "validator-0",
        ["soak_validator_memory", "soak_validator_growth"],
    ),
];

/// Watches for as long as `duration`. Memory is the median of the samples, its growth the difference of the last and the first
/// that counts; both in megabytes.
pub(super) async fn watch(testbed: &Testbed, duration: Duration) -> Vec<Figure> {
    let mut ticks = interval(duration / SAMPLES);
    // The first tick comes at once.
    ticks.tick().await;
    let mut samples = vec![];
    for _ in 0..SAMPLES {
        ticks.tick().await;
        let of_node = |(node, names): &(&str, [&'static str; 2])| {
            Some((names[0], testbed.memory_of(node)?, "MB"))
        };
        samples.push(NODES.iter().filter_map(of_node).collect::<Vec<_>>());
    }
    let counted = samples.get(WARM_UP..).unwrap_or_default();
    let mut figures = Figure::summarise(counted);
    let (first, last) = (counted.first(), counted.last());
    for (first, last) in first.into_iter().flatten().zip(last.into_iter().flatten()) {
        let names = NODES.iter().find(|(_, names)| names[0] == first.0);
        let growth = names.map(|(_, names)| Figure::single(names[1], last.1 - first.1, "MB"));
        figures.extend(growth);
    }
    figures
}
