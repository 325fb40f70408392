//! Every canonical type: what decodes must encode to the bytes it came from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_types::{
    Canonical, Genesis, Header, Inclusion, InferenceRequest, InferenceResponse, Job, JobEvent,
    JobResult, Opening, Receipt, Record, SignedRecord, Tensor,
};

fn check<T: Canonical>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else {
        return;
    };
    match which % 14 {
        0 => check::<Record>(bytes),
        1 => check::<SignedRecord>(bytes),
        2 => check::<Header>(bytes),
        3 => check::<Receipt>(bytes),
        4 => check::<Opening>(bytes),
        5 => check::<Inclusion>(bytes),
        6 => check::<Job>(bytes),
        7 => check::<JobResult>(bytes),
        8 => check::<Tensor>(bytes),
        9 => check::<InferenceRequest>(bytes),
        10 => check::<InferenceResponse>(bytes),
        11 => check::<Genesis>(bytes),
        12 => check::<JobEvent>(bytes),
        _ => check::<og_chain::TransactionReceipt>(bytes),
    }
});
