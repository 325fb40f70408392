//! Texts that are embedded by the built-in model with its last norm as its output.

use super::*;
use crate::{BUILT_IN, backend, exact::Model};
use og_kernels::Path;
use og_program::file::Manifest;

/// The built-in language model as one that embeds.
fn model(pooling: Pooling) -> Arc<Model> {
    let story = BUILT_IN.iter().find(|model| model.name == "story").unwrap();
    let story = Model::from_bytes(story.file).unwrap();
    let mut program = story.program().clone();
    let norm = |step: &og_program::program::StepDefinition| step.name == "final norm";
    let norm = program.steps.iter().position(norm).unwrap();
    program.steps.truncate(norm + 1);
    program.outputs[0].name = "hidden".to_owned();
    program.outputs[0].step = norm as u32;
    program.outputs[0].shape = vec![program.steps[norm].output.width];
    let manifest = Manifest {
        text: story.text().cloned().map(|text| TextAssets {
            pooling: Some(pooling),
            ..text
        }),
        program,
    };
    let matrices: Vec<_> = (0..manifest.program.matrices.len())
        .map(|matrix| story.matrix_bytes(matrix).to_vec())
        .collect();
    Arc::new(Model::from_parts(manifest, &matrices).unwrap())
}

async fn embed(
    pooling: Pooling,
    texts: &[&str],
    dimensions: Option<u32>,
    settings: RunSettings,
) -> Result<Vectors, RunError> {
    let backend = backend(model(pooling), settings).unwrap();
    assert_eq!(backend.computed(), Computed::Exact);
    assert_eq!(*backend.describe(), embedding::description());
    let texts = Texts {
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        dimensions,
    };
    let run = backend.run(texts.to_tensors().unwrap(), 0, Pieces::UNWANTED);
    Ok(Vectors::from_tensors(&run.await?).unwrap())
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}

#[tokio::test]
async fn texts_alike_have_vectors_alike_whatever_computes_them() {
    let texts = [
        "The cat sat in the garden.",
        "A dog ran through the garden.",
        "The cat sat in the garden.",
    ];
    for pooling in [Pooling::Mean, Pooling::Last] {
        let fast = embed(pooling, &texts, None, RunSettings::default())
            .await
            .unwrap();
        let plain = RunSettings {
            threads: Some(1),
            path: Some(Path::Scalar),
        };
        let slow = embed(pooling, &texts, None, plain).await.unwrap();
        assert_eq!(fast, slow);
        let Vectors {
            vectors,
            prompt_tokens,
            trace_roots,
        } = fast;
        assert_eq!(vectors[0], vectors[2]);
        assert_eq!(trace_roots[0], trace_roots[2]);
        assert_ne!(trace_roots[0], trace_roots[1]);
        assert_eq!(prompt_tokens[0], prompt_tokens[2]);
        for vector in &vectors {
            assert!((dot(vector, vector) - 1.0).abs() < 1e-4);
        }
        let alike = dot(&vectors[0], &vectors[1]);
        assert!((-1.0..0.999).contains(&alike), "{alike}");
    }
}

#[tokio::test]
async fn shorter_vectors_are_the_first_numbers_at_length_1() {
    let whole = embed(Pooling::Last, &["A fox."], None, RunSettings::default());
    let first = embed(Pooling::Last, &["A fox."], Some(5), RunSettings::default());
    let (whole, first) = (whole.await.unwrap(), first.await.unwrap());
    let (whole, first) = (&whole.vectors[0][..5], &first.vectors[0]);
    assert_eq!(first.len(), 5);
    assert!((dot(first, first) - 1.0).abs() < 1e-4);
    let length = dot(whole, whole).sqrt();
    for (whole, first) in whole.iter().zip(first) {
        assert!((f64::from(*whole) / length - f64::from(*first)).abs() < 1e-4);
    }
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused_by_name() {
    let refused = async |texts: &[&str], dimensions| {
        let run = embed(Pooling::Mean, texts, dimensions, RunSettings::default());
        match run.await.unwrap_err() {
            RunError::Refused(refusal) => refusal,
            other => panic!("{other}"),
        }
    };
    let longer = refused(&["A fox."], Some(60_000)).await;
    assert_eq!(longer.input.as_deref(), Some("dimensions"));
    let long = "word ".repeat(5_000);
    let long = refused(&["A fox.", &long], None).await;
    assert_eq!(long.input.as_deref(), Some("input[1]"));
    assert!(long.reason.contains("tokens"), "{}", long.reason);
}

#[test]
fn short_texts_are_computed_together_and_long_ones_alone() {
    let texts = |lengths: &[usize]| -> Vec<_> { lengths.iter().map(|n| vec![0; *n]).collect() };
    assert_eq!(fitting(&texts(&[100, 100, 56, 1])), 3);
    assert_eq!(fitting(&texts(&[1000, 1])), 1);
    assert_eq!(fitting(&texts(&[1, 1000])), 1);
}

#[test]
fn answers_that_would_be_too_large_are_refused_before_they_are_computed() {
    let texts = |count: usize, tokens: usize| vec![vec![0; tokens]; count];
    // 2,048 times 4·490 + 36 + 4·3 bytes are less than 4 MiB, with 520 numbers they are more, and with 50 tokens.
    assert_eq!(check_size(&texts(2048, 3), 490), Ok(()));
    for (tokens, length) in [(3, 520), (50, 490)] {
        let error = check_size(&texts(2048, tokens), length).unwrap_err();
        assert!(error.to_string().contains("ask several times"), "{error}");
    }
}

#[test]
fn vectors_have_length_1_and_zeros_stay() {
    assert_eq!(unit(&[0, 0]), [0.0, 0.0]);
    assert_eq!(unit(&[0, -7, 0]), [0.0, -1.0, 0.0]);
    assert_eq!(unit(&[i16::MIN]), [-1.0]);
    // 3/5 and 4/5 in multiples of 2^-20: 629145.6 and 838860.8.
    assert_eq!(
        unit(&[3, 4]),
        [629_146.0 / 1_048_576.0, 838_861.0 / 1_048_576.0]
    );
    let long = unit(&vec![i16::MAX; 1 << 16]);
    assert!(long.iter().all(|x| *x == 1.0 / 256.0));
}
