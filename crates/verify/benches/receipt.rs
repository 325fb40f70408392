//! Time to verify a receipt for a handwritten digit, from 4 and from 100 seats.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/fixture.rs"]
mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{Draft, Network};
use og_types::Canonical as _;
use og_verify::{TrustAnchor, verify};
use std::hint::black_box;

fn receipts(criterion: &mut Criterion) {
    for seats in [4, 100] {
        let network = Network::new(seats);
        let receipt = Draft::new(&network).finish(&network).to_bytes();
        let anchor = network.anchor();
        println!("receipt from {seats} seats: {} bytes", receipt.len());
        criterion.bench_function(&format!("verify, {seats} seats"), |bencher| {
            bencher.iter(|| verify(black_box(&receipt), &anchor).expect("the receipt holds"));
        });
        criterion.bench_function(&format!("read genesis, {seats} seats"), |bencher| {
            bencher.iter(|| TrustAnchor::from_genesis(black_box(&network.genesis)));
        });
    }
}

criterion_group!(benches, receipts);
criterion_main!(benches);
