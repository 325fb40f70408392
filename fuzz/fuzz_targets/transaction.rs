//! Raw Ethereum transactions, with the recovery of their senders.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_chain::Transaction;

const CHAIN_ID: u64 = 770_077;

fuzz_target!(|raw: &[u8]| {
    if let Ok(transaction) = Transaction::decode(raw, CHAIN_ID) {
        let _ = (
            transaction.nonce(),
            transaction.gas_limit(),
            transaction.tip_per_gas(7),
        );
    }
});
