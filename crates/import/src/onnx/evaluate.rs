//! Runs the float original: to fold constants, to learn shapes and ranges, and to compare with.

pub(crate) mod elementwise;
pub(crate) mod functions;
pub(crate) mod matrix;
pub(crate) mod recurrent;
pub(crate) mod rows;
pub(crate) mod shapes;

use super::{
    Fault, OnnxError,
    graph::{Graph, Id, Node},
    tensor::{Tensor, count},
};

/// Elements of all tensors of one run, at most.
const MAX_RUN_ELEMENTS: usize = 1 << 28;

/// The hint for an operator that is not known.
pub(crate) fn unsupported(node: &Node) -> Fault {
    Fault::Unsupported(match node.operator.as_str() {
        "QuantizeLinear"
        | "DequantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => {
            "convert the float model: the program has its own quantisation"
        }
        "CumSum" => {
            "positions computed from the input are not converted: export with position_ids as an input"
        }
        "Einsum" => "write it as transpositions and MatMul",
        "ConvTranspose" => "enlarge with Resize (nearest) and convolve instead",
        "NonZero" | "Unique" | "NonMaxSuppression" | "TopK" | "Compress" => {
            "its output depends on values: end the model before it and do the rest outside"
        }
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike"
        | "Bernoulli" | "Multinomial" => "a program has no randomness of its own: make it an input",
        "ai.onnx.ml.ZipMap" => "export without ZipMap (skl2onnx: options={'zipmap': False})",
        _ => "simplify the model (onnxsim), or export with another opset or without this layer",
    })
}

/// An input that must be there.
pub(crate) fn needed<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Result<&'a Tensor, Fault> {
    let input = inputs.get(index).copied().flatten();
    input.ok_or_else(|| Fault::Shape(format!("lacks input {index}")))
}

/// Computes one node.
pub(crate) fn evaluate(
    node: &Node,
    inputs: &[Option<&Tensor>],
    opset: i64,
) -> Result<Vec<Tensor>, Fault> {
    if let Some(outputs) = shapes::evaluate_moves(node, inputs, opset)? {
        return Ok(outputs);
    }
    if elementwise::is_elementwise(&node.operator) {
        return Ok(vec![elementwise::evaluate(node, inputs)?]);
    }
    let x = || needed(inputs, 0);
    let one = match node.operator.as_str() {
        "MatMul" => matrix::matmul(x()?, needed(inputs, 1)?),
        "Gemm" => matrix::gemm(node, inputs),
        "Conv" => matrix::conv(node, inputs),
        "MaxPool" | "AveragePool" => matrix::pool(node, x()?),
        "GlobalAveragePool" | "GlobalMaxPool" => matrix::global_pool(node, x()?),
        "BatchNormalization" => matrix::batch_normalization(node, inputs),
        "Softmax" | "LogSoftmax" => rows::softmax(node, x()?, opset),
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
            rows::layer_normalization(node, inputs)
        }
        "ArgMax" | "ArgMin" => rows::argmax(node, x()?),
        name if name.starts_with("Reduce") => rows::reduce(node, inputs),
        "LSTM" | "GRU" | "RNN" => return Ok(recurrent::evaluate(node, inputs)?.outputs),
        "Constant" => shapes::constant(node),
        "Shape" => shapes::shape(node, x()?),
        "Size" => Ok(Tensor {
            shape: vec![],
            data: super::tensor::Data::Int(vec![x()?.len() as i64]),
        }),
        "ConstantOfShape" => shapes::constant_of_shape(node, x()?),
        "Range" => shapes::range(inputs),
        "Gather" => shapes::gather(node, x()?, needed(inputs, 1)?),
        "GatherND" if node.int("batch_dims", 0) == 0 => shapes::gather_nd(x()?, needed(inputs, 1)?),
        "GatherElements" => shapes::gather_elements(node, x()?, needed(inputs, 1)?),
        "InstanceNormalization" => rows::instance_normalization(node, inputs),
        "Concat" => shapes::concat(node, inputs),
        "Pad" => shapes::pad(node, inputs),
        "Trilu" => shapes::triangle(node, inputs),
        "CumSum" => shapes::cumulative(node, inputs),
        _ => Err(unsupported(node)),
    };
    Ok(vec![one?])
}

/// Multiplications of a node, about.
pub(crate) fn work(node: &Node, inputs: &[Option<&Tensor>]) -> u64 {
    let shape = |index: usize| {
        inputs
            .get(index)
            .copied()
            .flatten()
            .map_or(&[][..], |x| &x.shape)
    };
    let product = |extents: &[usize]| {
        extents
            .iter()
            .fold(1_u64, |p, e| p.saturating_mul(*e as u64))
    };
    let (x, w) = (product(shape(0)), shape(1));
    match node.operator.as_str() {
        "MatMul" | "Gemm" => {
            x.saturating_mul(product(w) / shape(0).last().map_or(1, |k| (*k).max(1) as u64))
        }
        // Each element of a kernel is used at most once for each pixel of the padded input.
        "Conv" => product(w).saturating_mul(product(shape(0).get(2..).unwrap_or(&[]))),
        "LSTM" | "GRU" | "RNN" => {
            let each = product(w).saturating_add(product(shape(2)));
            each.saturating_mul(shape(0).iter().max().map_or(1, |s| *s as u64))
        }
        "MaxPool" | "AveragePool" => {
            let size = node.ints("kernel_shape").unwrap_or(&[]);
            x.saturating_mul(
                size.iter()
                    .fold(1_u64, |p, e| p.saturating_mul(e.unsigned_abs())),
            )
        }
        _ => x,
    }
}

/// Multiplications of a run that gave these values, about.
pub(crate) fn total_work(graph: &Graph, values: &Values) -> u64 {
    let each = graph.nodes.iter().map(|node| {
        let read = |id: &Option<Id>| {
            let id = (*id)?;
            let value = values.get(id).and_then(Option::as_ref);
            value.or_else(|| graph.constants.get(&id))
        };
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(read).collect();
        work(node, &inputs)
    });
    each.fold(0, u64::saturating_add)
}

/// Values of all tensors that could be computed, by id.
pub(crate) type Values = Vec<Option<Tensor>>;

/// Runs a graph on one sample; `inputs` are in the graph's order. `budget` bounds multiplications.
pub(crate) fn run(graph: &Graph, inputs: &[Tensor], budget: u64) -> Result<Values, OnnxError> {
    let mut values: Values = vec![None; graph.names.len()];
    for (input, tensor) in graph.inputs.iter().zip(inputs) {
        values[input.id] = Some(tensor.clone());
    }
    let (mut elements, mut left) = (0_usize, budget);
    for node in &graph.nodes {
        let read = |id: &Option<Id>| {
            let id = (*id)?;
            values[id].as_ref().or_else(|| graph.constants.get(&id))
        };
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(read).collect();
        left = left
            .checked_sub(work(node, &inputs))
            .ok_or(OnnxError::TooMuchWork(budget))?;
        let outputs = evaluate(node, &inputs, graph.opset)
            .map_err(|fault| fault.at(&node.operator, &node.name))?;
        for (id, tensor) in node.outputs.iter().zip(outputs) {
            elements = elements.saturating_add(count(&tensor.shape).unwrap_or(0));
            if let Some(id) = id {
                values[*id] = Some(tensor);
            }
        }
        if elements > MAX_RUN_ELEMENTS {
            return Err(OnnxError::TooManyElements(MAX_RUN_ELEMENTS));
        }
    }
    Ok(values)
}
