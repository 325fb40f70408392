//! Measures how fast a language model is executed: tokens per second in prefill, decode and batches.
//!
//! `cargo run --release -p og-engine --example exact_speed -- MODEL [threads]`. MODEL is a model file, or 15m, 124m or 1b for a
//! Llama-shaped program with arbitrary weights of 8 bits. Speed does not depend on weights and tokens.

mod random;

use og_engine::exact::{Executor, Model, Ready, Settings, Span};
use og_kernels::Kernels;
use og_program::matrix::Encoding;
use std::{error::Error, path::Path, sync::Arc, time::Instant};

/// Positions of the prompt that is prefilled.
const PROMPT: usize = 512;
/// Tokens that are decoded at a time; the best of several times counts.
const DECODED: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("give a model file, or 15m, 124m or 1b")?;
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let start = Instant::now();
    let model = match random::Shape::named(&path) {
        Some(shape) => random::model(shape, Encoding::Int8)?,
        None => Model::load(Path::new(&path))?,
    };
    let loaded = start.elapsed().as_secs_f64();
    let megabytes = model.weight_bytes() / 1_000_000;
    let ready = Arc::new(Ready::new(Arc::new(model), Kernels::best())?);
    let prepared = start.elapsed().as_secs_f64() - loaded;
    println!(
        "{megabytes} MB loaded in {loaded:.2} s, prepared in {prepared:.2} s; {threads} threads"
    );
    let settings = Settings {
        threads,
        cache_bytes: 1 << 30,
        keeps_prefixes: false,
    };
    let mut executor = Executor::new(ready, &settings);
    for traced in [false, true] {
        let name = if traced { ", committed" } else { "" };
        println!(
            "prefill of {PROMPT}{name}: {:.0} tokens/s",
            prefill(&mut executor, traced)?
        );
        for batch in [1, 2, 4, 8, 16] {
            println!(
                "decode of {batch}{name}: {:.1} tokens/s",
                decode(&mut executor, batch, traced)?
            );
        }
    }
    Ok(())
}

/// Tokens per second of a prompt in chunks of 256.
fn prefill(executor: &mut Executor, traced: bool) -> Result<f64, Box<dyn Error>> {
    let tokens: Vec<u32> = (0..PROMPT as u32).collect();
    let mut best = 0_f64;
    for _ in 0..3 {
        let (sequence, _) = executor.begin(&[], traced);
        let start = Instant::now();
        for chunk in tokens.chunks(256) {
            let span = Span {
                sequence,
                tokens: chunk,
                inputs: &[],
                wanted: chunk.len() - 1..chunk.len(),
                traced,
            };
            executor.forward(&[span], None)?;
        }
        best = best.max(PROMPT as f64 / start.elapsed().as_secs_f64());
        executor.end(sequence);
    }
    Ok(best)
}

/// Tokens per second of a batch of sequences that grow token by token.
fn decode(executor: &mut Executor, batch: usize, traced: bool) -> Result<f64, Box<dyn Error>> {
    let sequences: Vec<_> = (0..batch).map(|_| executor.begin(&[], traced).0).collect();
    let mut best = 0_f64;
    for _ in 0..4 {
        let start = Instant::now();
        for step in 0..DECODED {
            let token = [step as u32];
            let spans = sequences.iter().map(|sequence| Span {
                sequence: *sequence,
                tokens: &token,
                inputs: &[],
                wanted: 0..1,
                traced,
            });
            let spans: Vec<Span<'_>> = spans.collect();
            executor.forward(&spans, None)?;
        }
        let tokens = (batch * DECODED) as f64;
        best = best.max(tokens / start.elapsed().as_secs_f64());
    }
    sequences
        .into_iter()
        .for_each(|sequence| executor.end(sequence));
    Ok(best)
}
