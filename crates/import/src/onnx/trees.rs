//! Ensembles of trees: requests' floats become ranks among thresholds, comparisons are exact, leaves are summed exactly.

mod read;
mod write;

use super::{
    Calibration, Fault, OnnxConverted, OnnxError, OnnxOptions, calibrate,
    graph::{Graph, Id},
    lower::{Builder, index, plain, scaled},
    report::{OnnxReport, Sums, decode, encode, interpret},
    tensor::Tensor,
};
use og_program::{
    operation::{Operation, Scale, Step},
    program::{InputDefinition, InputForm, OutputDefinition},
};
use read::{After, Ensemble, TreeNode};
use std::collections::HashMap;

/// Bits and exponent of the points at which the logistic function is tabulated: to ±16.
const LOGISTIC: (u8, i32) = (16, -11);
/// Samples that are generated where none are given.
const GENERATED: usize = 64;
/// Features, at most.
const MAX_FEATURES: usize = 1 << 16;

/// Whether a graph holds an ensemble of trees.
pub(super) fn has_trees(graph: &Graph) -> bool {
    graph
        .nodes
        .iter()
        .any(|node| node.operator.starts_with("ai.onnx.ml.TreeEnsemble"))
}

/// What of an ensemble a tensor is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Features,
    Label,
    Scores,
}

/// Converts a graph of one ensemble, with nothing but names and types changed around it.
pub(super) fn convert(
    graph: &Graph,
    options: &OnnxOptions<'_>,
) -> Result<OnnxConverted, OnnxError> {
    let (ensemble, kinds) = parts(graph)?;
    let mut inputs = graph.inputs.iter();
    let at = inputs.position(|input| kinds.get(&input.id) == Some(&Kind::Features));
    let at = at.ok_or_else(|| OnnxError::NotOnnx("its trees read no input".into()))?;
    let mut builder = Builder::new(options.quantisation, false);
    let (scores, label) = steps(&mut builder, graph, &ensemble, at)?;
    for id in &graph.outputs {
        let name = graph.names[*id].clone();
        let (shape, step) = match (kinds.get(id), label) {
            (Some(Kind::Scores), _) => (vec![1, ensemble.outputs as u32], scores),
            (Some(Kind::Label), Some(label)) => (vec![1], label),
            _ => return Err(Fault::Unsupported("is no output of the trees").at("output", &name)),
        };
        builder
            .program
            .outputs
            .push(OutputDefinition { name, shape, step });
    }
    builder.program.check()?;
    let report = compare(graph, &ensemble, &kinds, &builder, at, options.calibration)?;
    let named = (0..).zip(&ensemble.labels);
    let plain = named
        .clone()
        .all(|(n, label): (usize, _)| *label == n.to_string());
    let labels = if plain { vec![] } else { ensemble.labels };
    Ok(OnnxConverted {
        program: builder.program,
        matrices: builder.bytes,
        report,
        labels,
    })
}

/// Adds the input and the trees; gives the steps of the scores and of the label.
fn steps(
    builder: &mut Builder,
    graph: &Graph,
    ensemble: &Ensemble,
    at: usize,
) -> Result<(Step, Option<Step>), OnnxError> {
    let input = &graph.inputs[at];
    let name = graph.names[input.id].clone();
    let features = match input.shape[..] {
        [1, features] | [features] if input.float && features <= MAX_FEATURES => features,
        _ => {
            let reason = "must be one row of at most 65,536 floats: shape [1, features]".to_owned();
            return Err(OnnxError::Input { name, reason });
        }
    };
    let fault = |fault: Fault| fault.at("TreeEnsemble", &name);
    let written = write::write(ensemble, features).map_err(fault)?;
    let shape = input.shape.iter().map(|extent| *extent as u32).collect();
    let form = InputForm::Ranks(written.ranks.clone());
    builder.program.inputs.push(InputDefinition {
        name: name.clone(),
        shape,
        form,
    });
    let ranks = builder.step(&name, Operation::Input(0), index(1, features));
    let trees = |written: write::Written| Operation::Trees {
        input: ranks,
        nodes: written.nodes,
        roots: written.roots,
        exponent: written.exponent,
    };
    let sums = builder.step("trees", trees(written), scaled(1, ensemble.outputs, 16));
    let scores = after(builder, ensemble, sums).map_err(fault)?;
    if ensemble.labels.is_empty() {
        return Ok((scores, None));
    }
    // The difference alone decides between two, and its sign is exact.
    let decided = if ensemble.outputs == 2 {
        let difference = write::write(&difference(ensemble), features).map_err(fault)?;
        builder.step("difference", trees(difference), scaled(1, 2, 16))
    } else {
        sums
    };
    let label = builder.step("label", Operation::Largest(decided), index(1, 1));
    Ok((scores, Some(label)))
}

/// The one ensemble, and which tensors are its features, labels and scores.
fn parts(graph: &Graph) -> Result<(Ensemble, HashMap<Id, Kind>), OnnxError> {
    let mut kinds: HashMap<Id, Kind> = graph
        .inputs
        .iter()
        .map(|input| (input.id, Kind::Features))
        .collect();
    let mut ensemble = None;
    for node in &graph.nodes {
        let wrong = |fault: Fault| fault.at(&node.operator, &node.name);
        let kind = node.input(0).and_then(|id| kinds.get(&id).copied());
        let output = |place: usize| node.outputs.get(place).copied().flatten();
        match node.operator.as_str() {
            "Identity" | "Cast" | "ai.onnx.ml.ZipMap" => {
                if let (Some(kind), Some(id)) = (kind, output(0)) {
                    kinds.insert(id, kind);
                }
            }
            "ai.onnx.ml.TreeEnsembleClassifier" | "ai.onnx.ml.TreeEnsembleRegressor"
                if ensemble.is_none() && kind == Some(Kind::Features) =>
            {
                let classifier = node.operator.ends_with("Classifier");
                let names = if classifier {
                    [Kind::Label, Kind::Scores]
                } else {
                    [Kind::Scores; 2]
                };
                kinds.extend((0..2).filter_map(|place| Some((output(place)?, names[place]))));
                ensemble = Some(Ensemble::read(node).map_err(wrong)?);
            }
            _ => {
                return Err(wrong(Fault::Unsupported(
                    "beside one ensemble of trees that reads the input, nothing is converted: scale features and combine results outside",
                )));
            }
        }
    }
    let ensemble = ensemble.ok_or_else(|| OnnxError::NotOnnx("it holds no trees".into()))?;
    Ok((ensemble, kinds))
}

/// Two classes as `(0, second - first)`.
fn difference(ensemble: &Ensemble) -> Ensemble {
    let mut result = ensemble.clone();
    let sign = |output: u32| if output == 0 { -1.0 } else { 1.0 };
    for node in &mut result.nodes {
        if let TreeNode::Leaf(weights) = node {
            let sum = weights
                .iter()
                .map(|(output, weight)| sign(*output) * weight)
                .sum();
            *weights = vec![(1, sum)];
        }
    }
    let base = (0..)
        .zip(&ensemble.base)
        .map(|(output, base)| sign(output) * base)
        .sum();
    result.base = vec![0.0, base];
    result
}

/// The step of the scores: the sums, or what a transformation makes of them.
fn after(builder: &mut Builder, ensemble: &Ensemble, sums: Step) -> Result<Step, Fault> {
    let to = plain(1, ensemble.outputs, 16, -14);
    match ensemble.after {
        After::Nothing => Ok(sums),
        After::Softmax => {
            let entries = (0..1 << 14).map(|entry| {
                let weight = (-f64::from(entry) / 1024.0).exp() * f64::from(i16::MAX);
                if entry + 1 == 1 << 14 {
                    0
                } else {
                    weight.round() as i16
                }
            });
            let weights = builder.vector(entries.collect(), -15);
            let scale = Scale {
                multiplier: 1,
                places: 6,
            };
            let softmax = Operation::Softmax {
                input: sums,
                exponent: -16,
                scale,
                weights,
            };
            Ok(builder.step("scores", softmax, to))
        }
        After::Logistic => {
            let (bits, grid) = LOGISTIC;
            let from = plain(1, 1, bits, grid);
            let values: Vec<f32> = Builder::points(&from, bits)
                .iter()
                .map(|x| 1.0 / (1.0 + (-x).exp()))
                .collect();
            let table = builder.table(&from, bits, &to, &values)?;
            Ok(builder.step("scores", Operation::Lookup { input: sums, table }, to))
        }
    }
}

/// The program beside the trees in floats.
fn compare(
    graph: &Graph,
    ensemble: &Ensemble,
    kinds: &HashMap<Id, Kind>,
    builder: &Builder,
    input: usize,
    calibration: Option<Calibration<'_>>,
) -> Result<OnnxReport, OnnxError> {
    let samples = match calibration {
        Some(file) => calibrate::read(file.name, file.bytes, graph)?,
        None => generated(graph, ensemble, input),
    };
    calibrate::check(graph, &samples)?;
    let program = &builder.program;
    let mut sums = vec![Sums::default(); program.outputs.len()];
    for sample in &samples {
        let features = sample[input].to_floats();
        let of = &program.steps[0].output;
        let value = encode(&program.inputs[0].form, of, &sample[input]);
        let run = interpret(program, &builder.bytes, vec![value]);
        let run = run.map_err(|error| OnnxError::Unusable(error.to_string()))?;
        let original = ensemble.sums(&features);
        for ((sums, output), id) in sums.iter_mut().zip(&program.outputs).zip(&graph.outputs) {
            let own = decode(
                &program.steps[output.step as usize].output,
                run.computed(output.step, 0),
            );
            if kinds.get(id) == Some(&Kind::Label) {
                let mut best = 0;
                for (class, score) in original.iter().enumerate() {
                    if *score > original[best] {
                        best = class;
                    }
                }
                sums.extend_indices(&[best as f32], &own);
            } else {
                let original = transformed(ensemble.after, &original);
                sums.extend(&original, &own, ensemble.outputs, calibrate::ENDLESS);
            }
        }
    }
    let outputs = sums.iter().zip(&program.outputs);
    Ok(OnnxReport {
        calibrated: 0,
        compared: samples.len(),
        generated: calibration.is_none(),
        layers: vec![],
        outputs: outputs.map(|(sums, output)| sums.output(&output.name)).collect(),
        notes: vec!["features must be numbers: where one is missing (NaN), a program may choose another branch".into()],
    })
}

fn transformed(after: After, sums: &[f64]) -> Vec<f32> {
    let total: f64 = sums.iter().map(|x| x.exp()).sum();
    let each = sums.iter().map(|x| match after {
        After::Nothing => *x,
        After::Softmax => x.exp() / total,
        After::Logistic => 1.0 / (1.0 + (-x).exp()),
    });
    each.map(|x| x as f32).collect()
}

/// Features near thresholds: on them, or a little beside.
fn generated(graph: &Graph, ensemble: &Ensemble, input: usize) -> Vec<Vec<Tensor>> {
    let mut samples = calibrate::generated(graph, &[], GENERATED);
    let mut thresholds: HashMap<usize, Vec<f32>> = HashMap::new();
    for node in &ensemble.nodes {
        if let TreeNode::Decision { feature, value, .. } = node {
            thresholds
                .entry(*feature as usize)
                .or_default()
                .push(*value);
        }
    }
    for (sample, tensors) in samples.iter_mut().enumerate() {
        let values = (0..tensors[input].len()).map(|feature| {
            let noise = calibrate::mixed((sample << 20 | feature) as u64);
            let near = thresholds
                .get(&feature)
                .map_or(0.0, |all| all[(noise >> 8) as usize % all.len()]);
            [near, near.next_up(), near.next_down(), near + 0.5][(noise & 3) as usize]
        });
        tensors[input] = Tensor {
            shape: tensors[input].shape.clone(),
            data: super::tensor::Data::Float(values.collect()),
        };
    }
    samples
}
