//! Measures what bits cost: one less the cosine of logits, for widths of multipliers and activations.
//!
//! `cargo run --release -p og-import --example widths [FOLDER]`: random decoders with outliers, and the models that
//! `tests/reference/make.py` wrote to FOLDER. Each line has an error for each setting, and Q8_0's beside them.

use og_import::{
    checkpoint::Checkpoint,
    convert::{Options, Widths, convert, run_float},
    decoder::{Arithmetic, Random, Shape, Source},
    quality::{InterpreterRun, compare},
    quantise::Quantisation,
};
use std::{error::Error, path::PathBuf};

/// Bits of multipliers, of operands of matrices, and of the cache.
const SETTINGS: [(u8, u8, u8); 5] = [
    (4, 12, 12),
    (4, 14, 12),
    (5, 14, 12),
    (6, 14, 12),
    (8, 16, 16),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("multiplier.operand.cache bits: {SETTINGS:?}");
    for (every, outlier) in [(0, 1.0), (32, 8.0), (64, 30.0)] {
        let shape = Shape {
            name: "random",
            width: 256,
            layers: 8,
            heads: 8,
            kv_heads: 4,
            feed_forward_width: 512,
            vocabulary: 256,
        };
        let source = Random::new(shape.config(), 1).with_outliers(every, outlier);
        measure(&format!("random, outliers {outlier}"), &source, 48)?;
    }
    if let Some(folder) = std::env::args_os().nth(1) {
        for family in ["llama", "qwen2", "qwen3", "gemma3", "gpt2", "phi3"] {
            let checkpoint = Checkpoint::open(&PathBuf::from(&folder).join(family))?;
            measure(family, &checkpoint.decoder(64)?, 48)?;
        }
    }
    Ok(())
}

fn measure(name: &str, source: &dyn Source, count: u32) -> Result<(), Box<dyn Error>> {
    let vocabulary = source.config().vocabulary;
    let text = |seed: u32| {
        (0..count)
            .map(|i| (i * i * 31 + i * 7 + seed * 13) % vocabulary)
            .collect()
    };
    let mut line = format!("{name}:");
    let mut q8_0 = None;
    for (multiplier_bits, operand, cache) in SETTINGS {
        let options = Options {
            calibration: vec![text(1), text(2)],
            evaluation: vec![text(3)],
            widths: Widths {
                residual: 16,
                norm: operand,
                attention: operand,
                gate: operand,
                cache,
            },
            quantisation: Quantisation {
                multiplier_bits,
                ..Quantisation::default()
            },
            ..Options::default()
        };
        if q8_0.is_none() {
            q8_0 = Some(run_float(source, &options, Arithmetic::Q8_0)?);
        }
        let made = convert(source, &options, &mut |_| {})?;
        let report = compare(&made, q8_0.as_ref(), &mut || {
            Ok(Box::new(InterpreterRun::new(
                &made.program,
                &made.matrices,
            )?))
        })?;
        line.push_str(&format!(" {:.1e}", 1.0 - report.output.cosine()));
        if multiplier_bits == 8 && cache == 16 {
            let q8_0 = report.output.q8_0_cosine().unwrap_or(0.0);
            line.push_str(&format!(" | Q8_0 {:.1e}", 1.0 - q8_0));
        }
    }
    println!("{line}");
    Ok(())
}
