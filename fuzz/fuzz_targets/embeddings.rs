//! Texts and vectors in tensors, and vectors as other services write them: what is read is written as it was, or is a named error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_dialects::openai::embeddings::{self, Encoding};
use og_types::{
    Canonical as _, InferenceRequest, InferenceResponse,
    embedding::{RelayedVectors, Texts, Vectors},
};
use serde_json::Map;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = InferenceRequest::from_bytes(bytes)
        && let Ok(texts) = Texts::from_tensors(&request.inputs)
    {
        let written = texts.to_tensors().expect("texts that were read");
        assert_eq!(Texts::from_tensors(&written).as_ref(), Ok(&texts));
        let _ = embeddings::sent(&texts, "m");
    }
    if let Ok(response) = InferenceResponse::from_bytes(bytes) {
        if let Ok(vectors) = RelayedVectors::from_tensors(&response.outputs) {
            let written = vectors.to_tensors().expect("vectors that were read");
            assert_eq!(RelayedVectors::from_tensors(&written), Ok(vectors));
        }
        if let Ok(vectors) = Vectors::from_tensors(&response.outputs) {
            let written = vectors.to_tensors().expect("vectors that were read");
            assert_eq!(Vectors::from_tensors(&written), Ok(vectors));
        }
    }
    let _ = embeddings::Request::parse(bytes);
    for texts in 0..3 {
        let Ok(embedded) = embeddings::read(bytes, texts) else {
            continue;
        };
        assert_eq!(embedded.vectors.len(), texts);
        // What a service said can be said to a client, and read again.
        let body = embeddings::whole(&embedded, Encoding::Float, Map::new()).to_string();
        let again = embeddings::read(body.as_bytes(), texts).expect("what was written");
        assert_eq!(again.vectors, embedded.vectors);
    }
});
