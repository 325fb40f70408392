//! Events in any portions, and bytes that are none.

use super::*;
use proptest::{collection::vec, option, prelude::*};

fn alternative() -> impl Strategy<Value = Alternative> {
    (vec(any::<u8>(), 0..5), any::<i64>())
        .prop_map(|(bytes, logprob)| Alternative { bytes, logprob })
}

fn logprob() -> impl Strategy<Value = Logprob> {
    (alternative(), vec(alternative(), 0..4)).prop_map(|(chosen, top)| Logprob { chosen, top })
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        ".{0,300}".prop_map(Piece::Text),
        ("[a-z_0-9]{0,30}", "[a-z]{1,30}").prop_map(|(id, name)| Piece::Call { id, name }),
        ".{0,30}".prop_map(Piece::Arguments),
        vec(logprob(), 0..4).prop_map(Piece::Logprobs),
    ]
}

fn events() -> impl Strategy<Value = Vec<JobEvent>> {
    let failure = ("[a-z_]{1,20}", ".{0,99}", option::of(".{0,30}"));
    let failure = failure.prop_map(|(code, message, input)| JobFailure {
        code,
        message,
        input,
    });
    (vec(piece(), 0..12), failure).prop_map(|(pieces, failure)| {
        let last = JobEvent::Failed(failure);
        pieces
            .into_iter()
            .map(JobEvent::Piece)
            .chain([last])
            .collect()
    })
}

/// Reads bytes in portions of these lengths, over and over.
fn read(bytes: &[u8], portions: &[usize]) -> Result<(Vec<JobEvent>, bool), DecodeError> {
    let (mut reader, mut found, mut rest) = (JobEvents::default(), vec![], bytes);
    for length in portions.iter().cycle() {
        let (portion, after) = rest.split_at((*length).min(rest.len()));
        reader.push(portion)?;
        while let Some(event) = reader.next_event()? {
            found.push(event);
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    Ok((found, reader.has_ended()))
}

proptest! {
    #[test]
    fn events_are_read_back_whatever_the_portions(
        events in events(),
        portions in vec(1_usize..40, 1..8),
    ) {
        let bytes: Vec<u8> = events.iter().flat_map(Canonical::to_bytes).collect();
        let (found, ended) = read(&bytes, &portions).unwrap();
        prop_assert!(ended);
        prop_assert_eq!(&found, &events);
        // What is cut off has not ended, and gives no event that was not there.
        let (found, ended) = read(&bytes[..bytes.len() - 1], &portions).unwrap();
        prop_assert!(!ended);
        prop_assert_eq!(&found[..], &events[..events.len() - 1]);
        prop_assert!(read(&[&bytes[..], &[0]].concat(), &portions).is_err());
    }

    #[test]
    fn other_bytes_are_judged_alike_whatever_the_portions(
        bytes in vec(prop_oneof![0_u8..6, 0x80_u8..0x84, 0x60_u8..0x64, any::<u8>()], 1..60),
        portions in vec(1_usize..9, 1..4),
    ) {
        let whole = read(&bytes, &[bytes.len()]);
        let cut = read(&bytes, &portions);
        prop_assert_eq!(whole.is_ok(), cut.is_ok());
        if let (Ok(whole), Ok(cut)) = (whole, cut) {
            prop_assert_eq!(whole, cut);
        }
    }
}

#[test]
fn what_claims_to_be_too_long_is_refused_before_it_arrives() {
    let first = |bytes: &[u8]| {
        let mut reader = JobEvents::default();
        reader.push(bytes).unwrap();
        reader.next_event()
    };
    // A text of 2^32 bytes, an array of 2^32 items, and a text that may be.
    for bytes in [
        &[0x82, 0, 0x7b, 0, 0, 0, 1, 0, 0, 0, 0][..],
        &[0x9b, 0, 0, 0, 1, 0, 0, 0, 0],
    ] {
        assert!(matches!(first(bytes), Err(DecodeError::TooLong { .. })));
    }
    assert_eq!(first(&[0x82, 0, 0x7a, 0, 1, 0, 0]), Ok(None));
    // Indefinite lengths, maps and tags.
    for bytes in [&[0x9f][..], &[0x82, 0, 0x7f], &[0xa1], &[0xc1]] {
        assert!(
            matches!(first(bytes), Err(DecodeError::Field { .. })),
            "{bytes:?}"
        );
    }
}

#[test]
fn endless_pieces_are_cut_off() {
    let piece = JobEvent::Piece(Piece::Text("a".repeat(1 << 20))).to_bytes();
    let mut reader = JobEvents::default();
    let mut read = 0;
    while reader.push(&piece).is_ok() {
        assert!(matches!(reader.next_event(), Ok(Some(JobEvent::Piece(_)))));
        read += 1;
    }
    assert_eq!(read, MAX_JOB_EVENTS_BYTES / piece.len());
}
