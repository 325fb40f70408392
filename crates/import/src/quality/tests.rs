//! Reports: a good conversion passes, a bad one does not and says why.

use super::{output::loss, *};
use crate::{
    convert::{Options, Purpose, Widths, convert, run_float},
    decoder::{Arithmetic, Random, Shape},
};

fn report(options: &Options, outlier: f32) -> Report {
    let shape = Shape {
        name: "tiny",
        width: 64,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        feed_forward_width: 128,
        vocabulary: 64,
    };
    let source = Random::new(shape.config(), 5).with_outliers(32, outlier);
    let made = convert(&source, options, &mut |_| {}).unwrap();
    let q8_0 = run_float(&source, options, Arithmetic::Q8_0).unwrap();
    compare(&made, Some(&q8_0), &mut || {
        Ok(Box::new(InterpreterRun::new(
            &made.program,
            &made.matrices,
        )?))
    })
    .unwrap()
}

fn texts(seed: u64) -> Vec<Vec<u32>> {
    let token = |i| (crate::tensor::mixed(i) % 64) as u32;
    (0..2)
        .map(|text| {
            (0..12)
                .map(|i| token(seed << 20 | text << 10 | i))
                .collect()
        })
        .collect()
}

fn options() -> Options {
    Options {
        calibration: texts(1),
        evaluation: texts(2),
        ..Options::default()
    }
}

#[test]
fn a_good_conversion_passes_and_is_nearer_than_q8_0() {
    let report = report(&options(), 1.0);
    assert!(report.passes, "{}", report.verdict);
    assert_eq!(report.positions, 24);
    assert_eq!(report.residual_errors.len(), 4);
    let (cosine, q8_0) = (report.output.cosine(), report.output.q8_0_cosine());
    assert!(cosine > q8_0.unwrap(), "{cosine} {q8_0:?}");
    let json = json_and_back(&report);
    for name in ["logits_cosine", "same_choice", "exact_perplexity"] {
        assert!(json[name].is_f64(), "{name}");
    }
}

/// Decimal digits may move a float by its last bit, once.
fn json_and_back(report: &Report) -> serde_json::Value {
    let text = serde_json::to_string(report).unwrap();
    let again: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (again.positions, &again.verdict),
        (report.positions, &report.verdict)
    );
    assert!((again.output.cosine() - report.output.cosine()).abs() < 1e-12);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn rows_to_embed_by_are_judged_without_perplexity() {
    let options = Options {
        purpose: Purpose::Embed,
        ..options()
    };
    let report = report(&options, 1.0);
    assert!(report.passes, "{}", report.verdict);
    assert!(report.verdict.starts_with("rows are"), "{}", report.verdict);
    assert_eq!((report.positions, report.residual_errors.len()), (24, 4));
    let (cosine, q8_0) = (report.output.cosine(), report.output.q8_0_cosine());
    assert!(cosine > q8_0.unwrap(), "{cosine} {q8_0:?}");
    let json = json_and_back(&report);
    assert!(json["rows_cosine"].is_f64() && json["worst_rows_cosine"].is_f64());
    for name in ["logits_cosine", "same_choice", "float_perplexity"] {
        assert_eq!(json.get(name), None);
    }
}

#[test]
fn too_few_bits_do_not_pass() {
    let widths = Widths {
        residual: 8,
        norm: 8,
        gate: 8,
        attention: 8,
        cache: 8,
    };
    let report = report(
        &Options {
            widths,
            ..options()
        },
        30.0,
    );
    assert!(!report.passes);
    assert!(
        report.verdict.contains("raise the bits"),
        "{}",
        report.verdict
    );
}

#[test]
fn saturation_is_counted_and_named() {
    let mut options = options();
    // One token that is everywhere calibrates nothing else.
    options.calibration = vec![vec![7]];
    let report = report(&options, 1.0);
    let most = report.saturation.first().unwrap();
    assert!(most.clamped > 0 && most.of >= most.clamped);
    assert!(
        !report.passes && report.verdict.contains("clamps"),
        "{}",
        report.verdict
    );
}

#[test]
fn losses_are_those_of_a_softmax() {
    assert!((loss(&[0.0, 0.0], 1) - 2_f64.ln()).abs() < 1e-12);
    assert!((loss(&[1000.0, 0.0], 1) - 1000.0).abs() < 1e-9);
    assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f64.sqrt()).abs() < 1e-12);
}
