//! The journal of waiting transactions: however it is damaged and cut, each line is a transaction or none, and no more is kept.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/consensus/tests/it/lines.rs"]
mod lines;

fuzz_target!(|input: &[u8]| {
    if let Some((piece, bytes)) = input.split_first() {
        lines::check(bytes, usize::from(*piece) + 1);
    }
});
