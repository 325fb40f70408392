//! Models of six families: the float original here is transformers', and the program is near it.
//!
//! `OG_REFERENCE=FOLDER` tests what `tests/reference/make.py` wrote elsewhere, larger ones for instance.

use og_import::{
    checkpoint::Checkpoint,
    convert::{Options, convert, run_float},
    decoder::Arithmetic,
    gguf::{Gguf, GgufDecoder},
    quality::{InterpreterRun, compare},
};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/data");
    std::env::var_os("OG_REFERENCE").map_or(committed, PathBuf::from)
}

fn words<T>(path: &Path, of: impl Fn([u8; 4]) -> T) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .chunks_exact(4)
        .map(|b| of([b[0], b[1], b[2], b[3]]))
        .collect()
}

fn check_floats(name: &str, ours: &[f32], expected: &[f32]) {
    assert_eq!(ours.len(), expected.len());
    let largest = expected.iter().fold(1_f32, |most, x| most.max(x.abs()));
    for (ours, theirs) in ours.iter().zip(expected) {
        assert!(
            (ours - theirs).abs() < 1e-4 * largest,
            "{name}: {ours} and {theirs}"
        );
    }
}

/// One less the cosine of logits of the program, and of a run with Q8_0.
fn check(family: &str) -> (f64, f64) {
    let folder = folder().join(family);
    let tokens = words(&folder.join("tokens.bin"), u32::from_le_bytes);
    let expected = words(&folder.join("logits.bin"), f32::from_le_bytes);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let source = checkpoint.decoder(64).unwrap();
    let options = Options {
        positions: 64,
        evaluation: vec![tokens],
        ..Options::default()
    };
    let made = convert(&source, &options, &mut |_| {}).unwrap();
    check_floats(family, &made.float.output, &expected);
    if let Ok(bytes) = std::fs::read(folder.join("model.gguf")) {
        let gguf = Gguf::read(&bytes).unwrap();
        let source = GgufDecoder::new(&gguf, 64).unwrap();
        let run = run_float(&source, &options, Arithmetic::Float).unwrap();
        check_floats(&format!("{family}, GGUF"), &run.output, &expected);
        println!("{family}: GGUF too");
    }
    let q8_0 = run_float(&source, &options, Arithmetic::Q8_0).unwrap();
    let report = compare(&made, Some(&q8_0), &mut || {
        Ok(Box::new(InterpreterRun::new(
            &made.program,
            &made.matrices,
        )?))
    })
    .unwrap();
    let q8_0 = 1.0 - report.output.q8_0_cosine().unwrap();
    println!("{family}: {}; Q8_0 {q8_0:.2e}", report.verdict);
    let cosine = report.output.cosine();
    assert!(cosine >= 0.999, "{family}: {}", report.verdict);
    (1.0 - cosine, q8_0)
}

#[test]
fn six_families_are_as_in_transformers_and_nearer_to_it_than_q8_0() {
    let families = ["llama", "qwen2", "qwen3", "gemma3", "gpt2", "phi3"];
    let (ours, q8_0): (Vec<f64>, Vec<f64>) = families.into_iter().map(check).unzip();
    // A dozen tokens are few: over all families.
    assert!(
        ours.iter().sum::<f64>() < q8_0.iter().sum::<f64>(),
        "{ours:?} {q8_0:?}"
    );
}
