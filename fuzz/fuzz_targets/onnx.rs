//! ONNX files to be converted: an error or a program that passes its checks, never the end of the process.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_import::onnx::{OnnxError, OnnxOptions, convert};

fuzz_target!(|file: &[u8]| {
    // Small budgets, so that an input takes milliseconds.
    let options = OnnxOptions {
        max_multiplications: 1 << 20,
        compared: 1,
        ..OnnxOptions::default()
    };
    match convert(file, &options, &mut |_| ()) {
        Ok(converted) => assert_eq!(converted.program.check(), Ok(())),
        // A panic that was contained is a finding too.
        Err(OnnxError::Unusable(reason)) => panic!("{reason}"),
        Err(_) => {}
    }
});
