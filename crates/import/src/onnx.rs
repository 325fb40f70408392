//! ONNX models into programs: networks of layers, recurrent ones, encoders, and ensembles of trees.
//!
//! The float original is run on samples ([`evaluate`]), which gives every tensor's shape and range and folds all that
//! is constant. Then each remaining node becomes steps of a program ([`lower`]). One run of such a program is one
//! position: inputs have fixed shapes, a batch is one, and a sequence has the length that conversion was told.

mod calibrate;
mod error;
mod evaluate;
mod graph;
mod lower;
mod moves;
mod prepare;
mod report;
mod tensor;
mod trees;
mod windows;

pub(crate) use error::Fault;
pub use error::OnnxError;
pub use graph::{MAX_MODEL_BYTES, MAX_NODES};
pub use report::{LayerQuality, OnnxReport, OutputQuality};

use crate::{convert::Progress, quantise::Quantisation};
use evaluate::recurrent::Trace;
use graph::{Graph, Id};
use lower::{Lowered, Original, Settings};
use og_program::program::Program;
use std::collections::{BTreeMap, HashMap};
use tensor::Tensor;

/// Samples that are generated where none are given.
const GENERATED: usize = 8;

/// Multiplications of the interpreter for a report, at most: about a minute.
const COMPARED_MULTIPLICATIONS: u64 = 1 << 32;

/// Data on which ranges are measured.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    /// The file's name; its ending says how it is read: `npz` (arrays named as inputs, not compressed), `npy` or `bin`
    /// (raw floats; one input), or `csv` (a sample in each line, perhaps after a label).
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// How a model is converted.
#[derive(Clone, Debug)]
pub struct OnnxOptions<'a> {
    /// Extents of named dimensions; others that the file leaves open become 1.
    pub extents: BTreeMap<String, u32>,
    /// Data on which ranges are measured; a few samples are generated if there are none, and the report says so.
    pub calibration: Option<Calibration<'a>>,
    /// How many times the measured range a value may have. 1.25 suits real data.
    pub headroom: f64,
    /// How matrices are made.
    pub quantisation: Quantisation,
    /// Whether each matrix becomes two, for weights of about 16 bits: half as fast, and nearer to the original.
    pub precise: bool,
    /// Bits of what matrices are multiplied by, 8 to 16.
    pub operand_bits: u8,
    /// Most multiplications of one run of the model.
    pub max_multiplications: u64,
    /// Samples on which program and original are compared, at most; the interpreter is slow.
    pub compared: usize,
}

impl Default for OnnxOptions<'_> {
    fn default() -> Self {
        Self {
            extents: BTreeMap::new(),
            calibration: None,
            headroom: 1.25,
            // Four bits would double the error, and these models are small.
            quantisation: Quantisation {
                multiplier_bits: 8,
                ..Quantisation::default()
            },
            precise: false,
            operand_bits: 14,
            max_multiplications: 1 << 37,
            compared: 32,
        }
    }
}

/// A converted model.
#[derive(Clone, Debug)]
pub struct OnnxConverted {
    /// The program.
    pub program: Program,
    /// The bytes of each of its matrices.
    pub matrices: Vec<Vec<u8>>,
    /// How near it is to the original.
    pub report: OnnxReport,
    /// Names of the classes that an output of indices names, if they are not the indices themselves.
    pub labels: Vec<String>,
}

/// Converts a model. `progress` is told of each sample and phase.
///
/// # Errors
/// [`OnnxError`] names the node, input or limit that is wrong; nothing in a file makes this panic or run without end.
pub fn convert(
    file: &[u8],
    options: &OnnxOptions<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<OnnxConverted, OnnxError> {
    og_text::contain::contain(|| convert_contained(file, options, progress))
        .map_err(OnnxError::Unusable)?
}

fn convert_contained(
    file: &[u8],
    options: &OnnxOptions<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<OnnxConverted, OnnxError> {
    let mut graph = graph::read(file, &options.extents)?;
    if trees::has_trees(&graph) {
        return trees::convert(&graph, options);
    }
    let mut samples = match options.calibration {
        Some(file) => calibrate::read(file.name, file.bytes, &graph)?,
        None => calibrate::generated(&graph, &domains(&graph, &[]), GENERATED),
    };
    calibrate::check(&graph, &samples)?;
    let first = samples
        .first()
        .ok_or_else(|| OnnxError::Calibration("there is no sample".into()))?;
    let budget = options.max_multiplications;
    let values = evaluate::run(&graph, first, budget)?;
    prepare::fold(&mut graph, &values);
    prepare::join(&mut graph, &values)?;
    let domains = domains(&graph, &samples);
    if options.calibration.is_none() {
        samples = calibrate::generated(&graph, &domains, GENERATED);
    }
    let run = evaluate::total_work(&graph, &values).max(1);
    let affordable = usize::try_from(COMPARED_MULTIPLICATIONS / run).unwrap_or(usize::MAX);
    let compared = samples.len().min(options.compared).min(affordable);
    let of = (samples.len() + compared + 2) as u32;
    let mut done = 0;
    let mut said = || {
        done += 1;
        progress(Progress { done, of });
    };
    said();
    let measured = measure(&graph, &samples, budget, &mut said)?;
    let original = Original {
        graph: &graph,
        values: &measured.values,
        ranges: &measured.ranges,
        headroom: options.headroom.clamp(1.0, 1e6),
        domains: &domains,
        recurrent: &measured.recurrent,
    };
    let settings = Settings {
        quantisation: options.quantisation,
        precise: options.precise,
        operand_bits: options.operand_bits.clamp(8, 16),
        table_bits: 14,
    };
    let lowered = lower::lower(&original, settings)?;
    lowered.builder.program.check()?;
    said();
    let mut comparison = report::Comparison::new(&lowered);
    for sample in &samples[..compared] {
        let values = evaluate::run(&graph, sample, budget)?;
        let compared = comparison.extend(&graph, &lowered, sample, &values);
        compared.map_err(|error| OnnxError::Unusable(error.to_string()))?;
        said();
    }
    let mut report = comparison.report(&lowered);
    report.calibrated = samples.len();
    report.generated = options.calibration.is_none();
    report.notes = notes(&graph, &lowered, &report);
    let Lowered { builder, .. } = lowered;
    Ok(OnnxConverted {
        program: builder.program,
        matrices: builder.bytes,
        report,
        labels: vec![],
    })
}

/// What was seen of the original on all samples.
struct Measured {
    values: evaluate::Values,
    ranges: Vec<calibrate::Range>,
    recurrent: HashMap<Id, Trace>,
}

fn measure(
    graph: &Graph,
    samples: &[Vec<Tensor>],
    budget: u64,
    said: &mut dyn FnMut(),
) -> Result<Measured, OnnxError> {
    let mut ranges = vec![calibrate::Range::default(); graph.names.len()];
    let mut recurrent: HashMap<Id, Trace> = HashMap::new();
    let mut first = None;
    for sample in samples {
        let values = evaluate::run(graph, sample, budget)?;
        calibrate::extend(&mut ranges, &values);
        for node in graph
            .nodes
            .iter()
            .filter(|node| matches!(node.operator.as_str(), "LSTM" | "GRU" | "RNN"))
        {
            let read = |id: &Option<Id>| {
                id.and_then(|id| values[id].as_ref().or_else(|| graph.constants.get(&id)))
            };
            let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(read).collect();
            let trace = evaluate::recurrent::evaluate(node, &inputs)
                .map_err(|fault| fault.at(&node.operator, &node.name))?;
            if let Some(id) = node.outputs.iter().flatten().next() {
                match recurrent.get_mut(id) {
                    Some(known) => known.extend(&trace),
                    None => {
                        recurrent.insert(*id, trace);
                    }
                }
            }
        }
        first.get_or_insert(values);
        said();
    }
    let values = first.ok_or_else(|| OnnxError::Calibration("there is no sample".into()))?;
    Ok(Measured {
        values,
        ranges,
        recurrent,
    })
}

/// For each input of the graph, how many indices it can name: the rows of a table that it picks from, or one more
/// than the greatest in the samples.
fn domains(graph: &Graph, samples: &[Vec<Tensor>]) -> Vec<usize> {
    let mut source: HashMap<Id, usize> = graph
        .inputs
        .iter()
        .enumerate()
        .map(|(place, input)| (input.id, place))
        .collect();
    let mut domains = vec![2; graph.inputs.len()];
    for (place, domain) in domains.iter_mut().enumerate() {
        let values = samples
            .iter()
            .filter_map(|sample| sample.get(place)?.ints().ok());
        let greatest = values.flatten().copied().max().unwrap_or(0);
        *domain = usize::try_from(greatest.saturating_add(1))
            .unwrap_or(2)
            .max(2);
    }
    for node in &graph.nodes {
        match (node.operator.as_str(), node.input(0), node.input(1)) {
            ("Gather", Some(data), Some(indices)) => {
                if let (Some(table), Some(place)) =
                    (graph.constants.get(&data), source.get(&indices))
                {
                    domains[*place] = table.shape.first().copied().unwrap_or(1);
                }
            }
            (
                "Cast" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Slice",
                Some(from),
                _,
            ) => {
                if let (Some(place), Some(to)) = (
                    source.get(&from).copied(),
                    node.outputs.first().copied().flatten(),
                ) {
                    source.insert(to, place);
                }
            }
            _ => {}
        }
    }
    domains
}

fn notes(graph: &Graph, lowered: &Lowered, report: &OnnxReport) -> Vec<String> {
    let mut notes = vec![];
    if report.compared == 0 {
        notes.push("program and original were not compared: the model is too large for the slow interpreter".into());
    }
    if report.generated {
        notes.push("no calibration data were given: ranges come from generated samples, and real ones may be clamped".into());
    }
    for (place, input) in graph.inputs.iter().enumerate() {
        if !lowered.inputs.contains(&place) {
            let name = graph::shorten(&graph.names[input.id]);
            notes.push(format!("input {name:?} changes nothing and is left out"));
        }
    }
    let worst = report
        .layers
        .iter()
        .filter(|layer| !layer.scores)
        .max_by(|a, b| a.relative_error.total_cmp(&b.relative_error));
    if let Some(worst) = worst.filter(|worst| worst.relative_error > 0.05) {
        notes.push(format!(
            "{} ({}) loses most, {:.1} %: more calibration data, or more bits, may help",
            worst.name,
            worst.operator,
            worst.relative_error * 100.0
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
