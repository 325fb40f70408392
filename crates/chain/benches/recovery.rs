//! How many transactions a second are decoded, their senders recovered, on one thread and on two.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use og_chain::Transaction;
use rayon::ThreadPoolBuilder;
use std::hint::black_box;

const CHAIN_ID: u64 = 770_077;
/// Transfers in a block of 30 million gas.
const TRANSFERS: u64 = 1428;

fn transfers() -> Vec<Bytes> {
    let key = B256::repeat_byte(1);
    let signer = PrivateKeySigner::from_bytes(&key).expect("a key of the curve");
    let transfer = |nonce| {
        let transaction = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: Address::repeat_byte(7).into(),
            value: U256::from(nonce),
            ..TxEip1559::default()
        };
        let hash = transaction.signature_hash();
        let signature = signer.sign_hash_sync(&hash).expect("the key signs");
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        Bytes::from(signed.encoded_2718())
    };
    (0..TRANSFERS).map(transfer).collect()
}

fn recovery(criterion: &mut Criterion) {
    let raws = transfers();
    let mut group = criterion.benchmark_group("recover senders");
    group.throughput(Throughput::Elements(TRANSFERS));
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("threads can be started");
        group.bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter(|| {
                pool.install(|| {
                    let decoded = Transaction::decode_all(black_box(&raws), CHAIN_ID);
                    assert!(decoded.iter().all(Result::is_ok));
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, recovery);
criterion_main!(benches);
