//! Models of six families: the float original here is transformers', and the program is near it.
//!
//! `OG_REFERENCE=FOLDER` tests what `tests/reference/make.py` wrote elsewhere, larger ones for instance.

use og_import::{
    checkpoint::Checkpoint,
    convert::{Options, convert, run_float},
    decoder::Arithmetic,
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

fn check(family: &str) {
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
    assert_eq!(made.float.logits.len(), expected.len());
    let largest = expected.iter().fold(1_f32, |most, x| most.max(x.abs()));
    for (ours, theirs) in made.float.logits.iter().zip(&expected) {
        assert!(
            (ours - theirs).abs() < 1e-4 * largest,
            "{family}: {ours} and {theirs}"
        );
    }
    let q8_0 = run_float(&source, &options.evaluation, Arithmetic::Q8_0, 2).unwrap();
    let report = compare(&made, Some(&q8_0), &mut || {
        Ok(Box::new(InterpreterRun::new(
            &made.program,
            &made.matrices,
        )?))
    })
    .unwrap();
    println!(
        "{family}: {}; Q8_0 {:.2e}",
        report.verdict,
        1.0 - report.q8_0_logits_cosine.unwrap()
    );
    assert!(
        report.logits_cosine >= 0.999,
        "{family}: {}",
        report.verdict
    );
    assert!(
        report.logits_cosine >= report.q8_0_logits_cosine.unwrap(),
        "{family}: {report:?}"
    );
}

#[test]
fn llama() {
    check("llama");
}

#[test]
fn qwen2() {
    check("qwen2");
}

#[test]
fn qwen3() {
    check("qwen3");
}

#[test]
fn gemma3() {
    check("gemma3");
}

#[test]
fn gpt2() {
    check("gpt2");
}

#[test]
fn phi3() {
    check("phi3");
}
