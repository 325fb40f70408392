//! `og infer`: ask a model, keep the receipt.

use super::{
    answered::{Answered, ReceiptArgs, ask},
    verify::read_bounded,
};
use crate::{
    client::GatewayArgs,
    failure::failure,
    output::{Output, QUIET, TITLE, paint},
    picture::Picture,
};
use anyhow::Context as _;
use og_types::{ElementType, ModelInfo, limits::MAX_PAYLOAD_BYTES};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Longest input file that is read, in bytes: JSON is longer than the tensors it spells.
const MAX_INPUT_BYTES: u64 = 8 * MAX_PAYLOAD_BYTES as u64;
/// Most classes that are shown with their probabilities.
const SHOWN_CLASSES: usize = 3;

/// Ask a model.
///
/// The answer comes at once; it is final, and has a receipt, when the validators have agreed on
/// a block with the record of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og infer --model digits --input seven.png
  og infer --model digits --input seven.png --receipt seven.receipt
  og infer --model mymodel --input inputs.json --gateway http://127.0.0.1:8745

A PNG is taken as gray values from 0 (black) to 1 (white), in the size that the model wants; the
digits model knows light strokes on dark ground. A JSON file holds the model's inputs by name, as
nested arrays: {\"image\": [[[[0.0, 0.5, ...], ...]]]}; `og model show` says what a model takes.")]
pub(crate) struct Infer {
    /// Name or id of the model.
    #[arg(long)]
    model: String,
    /// What to ask it: a PNG picture, or JSON.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Seed of the sampling, for models that sample.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    receipt: ReceiptArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    answered: Answered,
    /// The most probable classes, where the model gives probabilities.
    classes: Option<Vec<Class>>,
}

/// A class with its probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Class {
    pub(crate) class: usize,
    pub(crate) probability: f64,
}

impl Infer {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let gateway = self.gateway.gateway()?;
        let bytes = read_bounded(&self.input, MAX_INPUT_BYTES)?;
        let is_picture = has_extension(&self.input, "png");
        if !is_picture && !has_extension(&self.input, "json") {
            return Err(failure(
                format!("{} is neither .png nor .json", self.input.display()),
                "give a PNG picture, or JSON with the model's inputs by name",
            ));
        }
        let inputs = if is_picture {
            let model = gateway.model(&self.model).await?;
            picture_inputs(&model.info, &bytes, output)
        } else {
            serde_json::from_slice(&bytes).context("it is not JSON")
        }
        .with_context(|| format!("cannot use {}", self.input.display()))?;
        let answer = ask(&gateway, &self.model, &inputs, self.seed).await?;
        output.result(&Outcome {
            classes: classes(&answer.outputs),
            answered: Answered::settle(answer, &gateway, &self.receipt, output).await?,
        })
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// A picture as the one input of a model that takes pictures.
pub(crate) fn picture_inputs(
    model: &ModelInfo,
    png: &[u8],
    output: &Output,
) -> anyhow::Result<Value> {
    let takes_no_picture = || {
        failure(
            format!("the model {} does not take one gray picture", model.name),
            format!(
                "give its inputs as JSON; `og model show {}` lists them",
                model.name
            ),
        )
    };
    let [input] = model.description.inputs.as_slice() else {
        return Err(takes_no_picture());
    };
    let shape: Vec<u32> = input
        .shape
        .iter()
        .map(|extent| extent.unwrap_or(1))
        .collect();
    let Some(([height, width], outer)) = split_last_two(&shape) else {
        return Err(takes_no_picture());
    };
    if input.element_type != ElementType::F32 || outer.iter().any(|extent| *extent != 1) {
        return Err(takes_no_picture());
    }
    let (width, height) = (usize::try_from(width)?, usize::try_from(height)?);
    let mut picture = Picture::from_png(png)?;
    if (picture.width, picture.height) != (width, height) {
        output.notice(format!(
            "the picture has {}x{} pixels, the model takes {width}x{height}: resized",
            picture.width, picture.height
        ));
        picture = picture.resized(width, height)?;
    }
    Ok(json!({
        &input.name: { "shape": shape, "dtype": input.element_type, "data": picture.values }
    }))
}

fn split_last_two(shape: &[u32]) -> Option<([u32; 2], &[u32])> {
    let (outer, last) = shape.split_last_chunk::<2>()?;
    Some((*last, outer))
}

/// The most probable classes, if the outputs are one list of probabilities.
pub(crate) fn classes(outputs: &Map<String, Value>) -> Option<Vec<Class>> {
    let output = outputs
        .get("probabilities")
        .filter(|_| outputs.len() == 1)?;
    let mut classes: Vec<_> = numbers(output)?
        .into_iter()
        .enumerate()
        .map(|(class, probability)| Class { class, probability })
        .collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    classes.truncate(SHOWN_CLASSES);
    Some(classes)
}

/// The numbers of a tensor in JSON: nested arrays, or an object with `data`.
fn numbers(tensor: &Value) -> Option<Vec<f64>> {
    match tensor {
        Value::Object(explicit) => numbers(explicit.get("data")?),
        Value::Array(items) => {
            let parts: Option<Vec<_>> = items.iter().map(numbers).collect();
            Some(parts?.concat())
        }
        number => number.as_f64().map(|number| vec![number]),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.classes {
            Some(classes) => {
                for (rank, class) in classes.iter().enumerate() {
                    let style = if rank == 0 { TITLE } else { QUIET };
                    let percent = class.probability * 100.0;
                    writeln!(
                        f,
                        "{}",
                        paint(style, format!("{:>4}  {percent:6.2} %", class.class))
                    )?;
                }
            }
            None => writeln!(f, "{}", Value::from(self.answered.answer.outputs.clone()))?,
        }
        write!(f, "{}", self.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use og_types::{Computed, ModelDescription, ModelId, TensorDescription};

    fn model(inputs: &[(&str, ElementType, &[Option<u32>])]) -> ModelInfo {
        ModelInfo {
            id: ModelId::default(),
            name: "m".to_owned(),
            computed: Computed::Float,
            description: ModelDescription {
                inputs: inputs
                    .iter()
                    .map(|(name, element_type, shape)| TensorDescription {
                        name: (*name).to_owned(),
                        element_type: *element_type,
                        shape: shape.to_vec(),
                    })
                    .collect(),
                outputs: vec![],
            },
        }
    }

    #[test]
    fn a_picture_fills_the_one_input_in_its_own_size() {
        let output = Output::new(true);
        let png = crate::digits::EXAMPLES[7].png;
        let shape = [None, Some(1), Some(4), Some(8)];
        let model = model(&[("image", ElementType::F32, &shape)]);
        let inputs = picture_inputs(&model, png, &output).unwrap();
        assert_eq!(inputs["image"]["shape"], json!([1, 1, 4, 8]));
        assert_eq!(inputs["image"]["data"].as_array().unwrap().len(), 32);
    }

    #[test]
    fn a_model_that_takes_no_picture_says_so() {
        let output = Output::new(true);
        let png = crate::digits::EXAMPLES[7].png;
        let (two, one) = ([Some(8), Some(8)], [Some(64)]);
        let colors = [Some(3), Some(8), Some(8)];
        for model in [
            model(&[]),
            model(&[("a", ElementType::F32, &two), ("b", ElementType::F32, &two)]),
            model(&[("a", ElementType::U8, &two)]),
            model(&[("a", ElementType::F32, &one)]),
            model(&[("a", ElementType::F32, &colors)]),
        ] {
            let error = picture_inputs(&model, png, &output).unwrap_err();
            assert!(error.to_string().contains("does not take"), "{error}");
        }
    }

    #[test]
    fn probabilities_are_read_in_either_form_and_sorted() {
        let nested = json!({ "probabilities": [[0.1, 0.7, 0.15, 0.05]] });
        let explicit = json!({ "probabilities": { "shape": [1, 4], "dtype": "f32", "data": [0.1, 0.7, 0.15, 0.05] } });
        for outputs in [nested, explicit] {
            let classes = classes(outputs.as_object().unwrap()).unwrap();
            let order: Vec<_> = classes.iter().map(|class| class.class).collect();
            assert_eq!(order, [1, 2, 0]);
        }
        for outputs in [
            json!({ "logits": [1.0] }),
            json!({ "probabilities": ["a"] }),
        ] {
            assert_eq!(classes(outputs.as_object().unwrap()), None);
        }
    }
}
