//! Files of a journal: what is read lies within them and is what was appended, however they end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_journal::{MAGIC, Segment, frame};

const MAX_ENTRY_BYTES: u32 = 1000;

fuzz_target!(|input: &[u8]| {
    for bytes in [input.to_vec(), [&MAGIC[..], input].concat()] {
        let Some(segment) = Segment::read(&bytes, MAX_ENTRY_BYTES) else {
            assert!(!bytes.starts_with(&MAGIC));
            continue;
        };
        let entries = segment.entries.iter().map(|range| &bytes[range.clone()]);
        let mut again = MAGIC.to_vec();
        for entry in entries {
            again.extend(frame(entry).expect("an entry that was read is not too long"));
        }
        if segment.intact_bytes >= MAGIC.len() {
            assert_eq!(again, bytes[..segment.intact_bytes]);
        }
    }
});
