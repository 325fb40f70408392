//! What a node answers while a job runs: however the bytes are cut, the same events or an error, and never more is held than
//! one event may have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_types::{DecodeError, JobEvent, JobEvents};

/// Events of bytes in portions of a length.
fn read(bytes: &[u8], portion: usize) -> (Vec<JobEvent>, Result<bool, DecodeError>) {
    let (mut reader, mut events) = (JobEvents::default(), vec![]);
    for portion in bytes.chunks(portion) {
        if let Err(error) = reader.push(portion) {
            return (events, Err(error));
        }
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    (events, Ok(reader.has_ended()))
}

fuzz_target!(|input: &[u8]| {
    let Some((portion, bytes)) = input.split_first() else {
        return;
    };
    let (whole, ended) = read(bytes, bytes.len().max(1));
    let (cut, cut_ended) = read(bytes, usize::from(*portion) + 1);
    assert_eq!(whole, cut);
    assert_eq!(ended.is_ok(), cut_ended.is_ok());
});
