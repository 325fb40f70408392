//! ONNX models in floating point, through `tract`.

use crate::{
    backend::{Backend, Pieces, Run, RunError},
    convert::{element_type, from_tract, to_tract},
    processors::compute,
};
use og_text::contain::{contain, shorten};
use og_types::{
    Computed, ElementType, ModelDescription, Tensor, TensorDescription,
    limits::{MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_TENSORS},
};
use std::sync::Arc;
use tract_onnx::{
    pb,
    prelude::{self as tract, Framework as _, InferenceModelExt as _, IntoRunnable as _},
};

/// Largest model file, in bytes.
pub const MAX_MODEL_BYTES: usize = 256 * 1024 * 1024;
/// Most nodes of a model's graph.
pub const MAX_NODES: usize = 100_000;
/// Largest tensor between two nodes, in bytes, where its shape is known before running.
pub const MAX_INTERMEDIATE_BYTES: usize = 256 * 1024 * 1024;

/// Why bytes are not a model that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is larger than a model may be.
    #[error("the file has {0} bytes: at most {MAX_MODEL_BYTES} are allowed")]
    TooLarge(usize),
    /// The graph has more nodes than a model may have.
    #[error("the graph has {0} nodes: at most {MAX_NODES} are allowed")]
    TooManyNodes(usize),
    /// A tensor between two nodes is larger than it may be.
    #[error("a tensor inside the graph is larger than {MAX_INTERMEDIATE_BYTES} bytes: {0}")]
    IntermediateTooLarge(String),
    /// Not ONNX, or ONNX that `tract` cannot run.
    #[error("not an ONNX model that can be run: {0}")]
    Unusable(String),
    /// An input or output that a request or response cannot hold.
    #[error("{name:?}: {reason}")]
    Interface {
        /// The input or output.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An ONNX model, loaded and optimized for this machine.
///
/// Its arithmetic is floating point in an order that `tract` chooses for the processor at hand:
/// the same machine repeats itself, another may differ in the last bits.
pub struct OnnxFloat {
    plan: Arc<tract::TypedRunnableModel>,
    description: ModelDescription,
    /// For each input of the plan, its position among the inputs sorted by name.
    input_positions: Vec<usize>,
    /// For each output of the plan, its name and type.
    outputs: Vec<(String, ElementType)>,
}

impl std::fmt::Debug for OnnxFloat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnnxFloat({:?})", self.description)
    }
}

impl OnnxFloat {
    /// Loads the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`LoadError`]; a panic of `tract` is [`LoadError::Unusable`].
    pub fn load(file: &[u8]) -> Result<Self, LoadError> {
        if file.len() > MAX_MODEL_BYTES {
            return Err(LoadError::TooLarge(file.len()));
        }
        contain(|| load(file)).map_err(LoadError::Unusable)?
    }

    /// Computes the outputs, sorted by name.
    ///
    /// # Errors
    /// [`RunError`]: the inputs do not fit, or the model failed on them.
    pub fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.description.check_inputs(inputs)?;
        let failed = |error: tract::TractError| RunError::Model(describe_error(&error));
        let run = || {
            let values = self
                .input_positions
                .iter()
                .filter_map(|position| inputs.get(*position))
                .map(|input| to_tract(input).map(tract::TValue::from))
                .collect::<tract::TractResult<_>>()?;
            self.plan.run(values)
        };
        let values = contain(run).map_err(RunError::Model)?.map_err(failed)?;
        let mut remaining = MAX_PAYLOAD_BYTES;
        let mut outputs = Vec::with_capacity(values.len());
        for (value, (name, element_type)) in values.iter().zip(&self.outputs) {
            remaining = remaining
                .checked_sub(value.len().saturating_mul(element_type.width_bytes()))
                .ok_or(RunError::TooLarge)?;
            outputs.push(from_tract(value, name, *element_type).map_err(failed)?);
        }
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(outputs)
    }
}

impl Backend for OnnxFloat {
    fn computed(&self) -> Computed {
        Computed::Float
    }

    fn describe(&self) -> &ModelDescription {
        &self.description
    }

    fn run(self: Arc<Self>, inputs: Vec<Tensor>, _seed: u64, _pieces: Pieces) -> Run {
        Box::pin(compute(move || self.infer(&inputs)))
    }
}

fn load(file: &[u8]) -> Result<OnnxFloat, LoadError> {
    let unusable = |error: tract::TractError| LoadError::Unusable(describe_error(&error));
    let onnx = tract_onnx::onnx();
    let proto = onnx.proto_model_for_read(&mut &*file).map_err(unusable)?;
    let nodes = proto.graph.as_ref().map_or(0, count_nodes);
    if nodes > MAX_NODES {
        return Err(LoadError::TooManyNodes(nodes));
    }
    let model = onnx.model_for_proto_model(&proto).map_err(unusable)?;
    // The names, before optimization puts other nodes in their place.
    let input_names = input_names(&model).map_err(unusable)?;
    let output_names = output_names(&model).map_err(unusable)?;
    let model = model.into_optimized().map_err(unusable)?;
    check_intermediates(&model)?;
    let inputs = describe(
        &model,
        input_names,
        model.input_outlets().map_err(unusable)?,
    )?;
    let outputs = describe(
        &model,
        output_names,
        model.output_outlets().map_err(unusable)?,
    )?;
    let description = ModelDescription {
        inputs: sorted(&inputs)?,
        outputs: sorted(&outputs)?,
    };
    let input_positions = inputs
        .iter()
        .filter_map(|input| {
            description
                .inputs
                .iter()
                .position(|described| described.name == input.name)
        })
        .collect();
    Ok(OnnxFloat {
        plan: model.into_runnable().map_err(unusable)?,
        description,
        input_positions,
        outputs: outputs
            .into_iter()
            .map(|output| (output.name, output.element_type))
            .collect(),
    })
}

/// What `tract` says, with its causes on one line.
fn describe_error(error: &tract::TractError) -> String {
    shorten(&format!("{error:#}").replace('\n', " "))
}

/// Nodes of a graph and of the graphs inside it (the protobuf reader bounds their depth).
fn count_nodes(graph: &pb::GraphProto) -> usize {
    graph
        .node
        .iter()
        .flat_map(|node| &node.attribute)
        .flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
        .map(count_nodes)
        .fold(graph.node.len(), usize::saturating_add)
}

fn check_intermediates(model: &tract::TypedModel) -> Result<(), LoadError> {
    for node in model.nodes() {
        for output in &node.outputs {
            let bytes = output.fact.shape.as_concrete().map(|shape| {
                shape
                    .iter()
                    .fold(output.fact.datum_type.size_of(), |bytes, extent| {
                        bytes.saturating_mul(*extent)
                    })
            });
            if bytes.is_some_and(|bytes| bytes > MAX_INTERMEDIATE_BYTES) {
                return Err(LoadError::IntermediateTooLarge(shorten(&node.name)));
            }
        }
    }
    Ok(())
}

fn input_names(model: &tract::InferenceModel) -> tract::TractResult<Vec<String>> {
    let outlets = model.input_outlets()?.iter();
    Ok(outlets
        .map(|outlet| model.node(outlet.node).name.clone())
        .collect())
}

fn output_names(model: &tract::InferenceModel) -> tract::TractResult<Vec<String>> {
    let outlets = model.output_outlets()?.iter();
    Ok(outlets
        .map(|outlet| match model.outlet_label(*outlet) {
            Some(label) => label.to_owned(),
            None => model.node(outlet.node).name.clone(),
        })
        .collect())
}

/// Describes the model's inputs or outputs in the model's own order.
fn describe(
    model: &tract::TypedModel,
    names: Vec<String>,
    outlets: &[tract::OutletId],
) -> Result<Vec<TensorDescription>, LoadError> {
    if outlets.len() > MAX_TENSORS || outlets.len() != names.len() {
        return Err(LoadError::Unusable(format!(
            "{} inputs or outputs: at most {MAX_TENSORS} are allowed",
            outlets.len()
        )));
    }
    names
        .into_iter()
        .zip(outlets)
        .map(|(name, outlet)| {
            let failed = |reason: String| LoadError::Interface {
                name: shorten(&name),
                reason,
            };
            let fact = model
                .outlet_fact(*outlet)
                .map_err(|error| failed(describe_error(&error)))?;
            let element_type = element_type(fact.datum_type).ok_or_else(|| {
                failed(format!(
                    "elements of type {:?} cannot be sent: f32, i64, i32 and u8 can",
                    fact.datum_type
                ))
            })?;
            if name.len() > MAX_NAME_BYTES || fact.shape.rank() > MAX_DIMENSIONS {
                return Err(failed(format!(
                    "a name has at most {MAX_NAME_BYTES} bytes, a shape {MAX_DIMENSIONS} dimensions"
                )));
            }
            let shape = fact
                .shape
                .dims()
                .iter()
                .map(|extent| match extent.to_i64() {
                    Ok(extent) => u32::try_from(extent).map(Some),
                    Err(_) => Ok(None),
                })
                .collect::<Result<_, _>>()
                .map_err(|_| failed("an extent is larger than 2^32 - 1".to_owned()))?;
            Ok(TensorDescription {
                name,
                element_type,
                shape,
            })
        })
        .collect()
}

/// The same descriptions sorted by name, each name once.
fn sorted(tensors: &[TensorDescription]) -> Result<Vec<TensorDescription>, LoadError> {
    let mut sorted = tensors.to_vec();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    match sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(LoadError::Interface {
            name: pair[0].name.clone(),
            reason: "the name stands twice".to_owned(),
        }),
        None => Ok(sorted),
    }
}

#[cfg(test)]
mod tests;
