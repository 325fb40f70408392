//! Files of integer models from strangers: an error or a checked program, and what is checked runs without a panic or an overflow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_program::{
    file::{Manifest, read_header},
    interpret::{Interpreter, PositionInput},
    matrix::Weights,
    operation::Operation,
    program::Program,
    value::Value,
};

fuzz_target!(|file: &[u8]| {
    if let Ok(header) = read_header(file) {
        run(&header.manifest.program);
    }
    // The same without the prefix and the one encoding, which few changes get through.
    if let Some(Ok(manifest)) = file.get(16..).map(minicbor::decode::<Manifest>) {
        let bytes = manifest.encode_canonical();
        assert_eq!(
            Manifest::decode_canonical(&bytes).ok(),
            Some(manifest.clone())
        );
        if manifest.program.check().is_ok() {
            run(&manifest.program);
        }
    }
});

/// Runs a checked program over three positions of zeros, unless that is much work.
fn run(program: &Program) {
    let elements: usize = program
        .steps
        .iter()
        .map(|step| step.output.elements())
        .sum();
    let parts: usize = program.steps.iter().map(|step| step.output.parts()).sum();
    let bytes = program
        .matrices
        .iter()
        .map(|matrix| matrix.layout().map_or(usize::MAX, |layout| layout.bytes));
    let wide = program.steps.iter().any(|step| match &step.operation {
        Operation::Pool { window, .. } | Operation::Convolve { window, .. } => {
            window.size[0] * window.size[1] > 64
        }
        _ => false,
    });
    if wide || elements + parts > 5_000 || bytes.clone().fold(0, usize::saturating_add) > 1 << 20 {
        return;
    }
    let bytes: Vec<Vec<u8>> = bytes.map(|length| vec![0; length]).collect();
    let weights = program
        .matrices
        .iter()
        .zip(&bytes)
        .filter_map(|(matrix, bytes)| Weights::new(matrix, bytes));
    let mut inputs = vec![Value::Index(vec![]); program.inputs.len()];
    for step in &program.steps {
        if let Operation::Input(index) = step.operation {
            inputs[index as usize] = Value::zero(&step.output);
        }
    }
    let positions = vec![PositionInput { token: 0, inputs }; 3.min(program.positions as usize)];
    let mut interpreter = Interpreter::new(program, weights.collect()).expect("its own matrices");
    let _ = interpreter.extend(&positions);
}
