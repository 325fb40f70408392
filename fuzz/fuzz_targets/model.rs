//! ONNX files from strangers: an error or a model, never the end of the process.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_engine::OnnxFloat;

fuzz_target!(|file: &[u8]| {
    let _ = OnnxFloat::load(file);
});
