//! Decoders: every feature converts to a sound program that is near the float original.

use super::*;
use crate::{
    convert::{Converted, Options, Purpose, convert},
    quality::cosine,
};
use og_program::{
    interpret::{Interpreter, PositionInput},
    matrix::Weights,
};

fn tiny() -> DecoderConfig {
    Shape {
        name: "tiny",
        width: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        feed_forward_width: 96,
        vocabulary: 100,
    }
    .config()
}

fn tokens(count: u64, seed: u64) -> Vec<u32> {
    (0..count)
        .map(|i| (crate::tensor::mixed(seed << 32 | i) % 100) as u32)
        .collect()
}

fn converted(source: &dyn Source, purpose: Purpose) -> Converted {
    let options = Options {
        purpose,
        calibration: vec![tokens(24, 1)],
        evaluation: vec![tokens(16, 2)],
        ..Options::default()
    };
    convert(source, &options, &mut |_| {}).unwrap()
}

/// The least cosine of outputs over the evaluation tokens.
fn worst_cosine(made: &Converted) -> f64 {
    let weights = made.program.matrices.iter().zip(&made.matrices);
    let weights = weights.map(|(matrix, bytes)| Weights::new(matrix, bytes).unwrap());
    let mut run = Interpreter::new(&made.program, weights.collect()).unwrap();
    let inputs = made.float.texts[0].iter().map(|token| PositionInput {
        token: *token,
        inputs: vec![],
    });
    run.extend(&inputs.collect::<Vec<_>>()).unwrap();
    let output = &made.program.steps[made.landmarks.output as usize].output;
    let width = output.width as usize;
    let mut worst = 1.0_f64;
    for (position, float) in made.float.output.chunks(width).enumerate() {
        let value = run.computed(made.landmarks.output, position);
        let exact: Vec<f32> = value.mantissas().iter().map(|m| f32::from(*m)).collect();
        worst = worst.min(cosine(&exact, float));
    }
    assert_eq!(made.float.output.len(), 16 * width);
    worst
}

/// A decoder for each group of features.
fn featured() -> [(&'static str, DecoderConfig); 5] {
    let mut llama = tiny();
    llama.layers[1].window = Some(5);
    let mut halves = tiny();
    for layer in &mut halves.layers {
        layer.rotary = Some(Rotary::new(true, 8, 10_000.0, None).unwrap());
    }
    let mut normed = halves.clone();
    (normed.query_key_norm, normed.post_norms, normed.tied) = (true, true, true);
    normed.norm = Norm::RootMeanSquare {
        epsilon: 1e-6,
        plus_one: true,
    };
    normed.embedding_scale = 8.0;
    normed.feed_forward = FeedForward::Gated(Activation::GeluTanh);
    let mut capped = tiny();
    (capped.attention_cap, capped.final_cap) = (Some(50.0), Some(3.0));
    let mut learned = tiny();
    learned.kv_heads = 4;
    learned.learned_positions = true;
    learned.norm = Norm::Layer { epsilon: 1e-5 };
    learned.feed_forward = FeedForward::Plain(Activation::Gelu);
    for layer in &mut learned.layers {
        layer.rotary = None;
    }
    [
        ("llama", llama),
        ("halves", halves),
        ("normed", normed),
        ("capped", capped),
        ("learned", learned),
    ]
}

#[test]
fn every_feature_is_near_its_float_original() {
    for (name, config) in featured() {
        let made = converted(&Random::new(config, 7).with_biases(), Purpose::Continue);
        let cosine = worst_cosine(&made);
        assert!(cosine > 0.999, "{name}: {cosine}");
    }
}

/// A source whose matrix to logits must not be asked for.
struct Headless(Random);

impl Source for Headless {
    fn config(&self) -> &DecoderConfig {
        self.0.config()
    }

    fn weight(&self, role: Role) -> Result<crate::tensor::Tensor<'_>, SourceError> {
        assert_ne!(role, Role::Output);
        self.0.weight(role)
    }

    fn bias(&self, role: Role) -> Result<Option<Vec<f32>>, SourceError> {
        assert_ne!(role, Role::Output);
        self.0.bias(role)
    }
}

#[test]
fn every_feature_embeds_near_its_float_original() {
    for (name, config) in featured() {
        let source = Headless(Random::new(config, 7).with_biases());
        let made = converted(&source, Purpose::Embed);
        let cosine = worst_cosine(&made);
        assert!(cosine > 0.999, "{name}: {cosine}");
        let config = source.config();
        let [output] = &*made.program.outputs else {
            panic!("{name}: {:?}", made.program.outputs);
        };
        assert_eq!((&*output.name, &*output.shape), ("hidden", &[64][..]));
        let row = &made.program.steps[output.step as usize].output;
        assert_eq!((row.rows, row.width), (1, 64));
        assert_eq!(
            row.form,
            og_program::value::Form::Scaled { bits: 16, parts: 1 }
        );
        // The embedding is the only matrix as high as the vocabulary.
        let of_tokens = made.program.matrices.iter();
        let of_tokens = of_tokens.filter(|matrix| matrix.outputs == config.vocabulary);
        assert_eq!(of_tokens.count(), 1, "{name}");
    }
}

/// Rows are those that the matrix to logits reads.
#[test]
fn rows_times_the_output_matrix_are_logits() {
    let source = Random::new(tiny(), 7);
    let rows = converted(&source, Purpose::Embed).float.output;
    let logits = converted(&source, Purpose::Continue).float.output;
    let matrix = source.weight(Role::Output).unwrap().read().unwrap();
    for (row, logits) in rows.chunks(64).zip(logits.chunks(100)) {
        let products = matrix.chunks(64).map(|output| {
            let pairs = output.iter().zip(row);
            pairs.map(|(x, y)| x * y).sum::<f32>()
        });
        assert!(cosine(&products.collect::<Vec<_>>(), logits) > 1.0 - 1e-9);
    }
}

#[test]
fn conversion_is_reproducible() {
    let source = Random::new(tiny(), 3);
    let of = || converted(&source, Purpose::Continue);
    let (a, b) = (of(), of());
    assert_eq!(a.program, b.program);
    assert_eq!(a.matrices, b.matrices);
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let changes: [fn(&mut DecoderConfig); 6] = [
        |config| config.heads = 0,
        |config| config.kv_heads = 3,
        |config| config.layers.clear(),
        |config| config.width = u32::MAX,
        |config| config.attention_scale = f64::NAN,
        |config| config.layers[0].window = Some(0),
    ];
    for change in changes {
        let mut config = tiny();
        change(&mut config);
        assert!(config.check().is_err());
    }
    assert_eq!(tiny().check(), Ok(()));
}

#[test]
fn activations_are_what_they_are_called() {
    // From a table of the normal distribution, and from tanh's own definition.
    assert!((Activation::Gelu.factor(1.0) - 0.841_344_746).abs() < 1e-6);
    assert!((Activation::Gelu.factor(-2.0) - 0.022_750_132).abs() < 1e-6);
    assert!((Activation::GeluTanh.factor(1.0) - 0.841_191_99).abs() < 1e-6);
    assert!((Activation::Silu.factor(0.0) - 0.5).abs() < 1e-12);
}
