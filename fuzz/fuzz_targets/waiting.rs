//! The journal of what waits: however it is damaged and cut, each line is an item or none, and no more is kept.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/consensus/tests/it/lines.rs"]
mod lines;

fuzz_target!(|input: &[u8]| {
    if let Some((piece, bytes)) = input.split_first() {
        lines::check(bytes, usize::from(*piece) + 1);
    }
});
