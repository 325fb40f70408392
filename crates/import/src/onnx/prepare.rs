//! A smaller graph that computes the same: constants folded, dead nodes left out, and neighbours joined that one
//! operation of a program can do together.

use super::{
    OnnxError,
    evaluate::{Values, matrix::batch_scale},
    graph::{Attribute, Graph, Id, Node},
    tensor::Tensor,
};
use std::collections::BTreeSet;

/// Makes constants of all tensors that do not depend on an input's values (shapes are fixed, so they are constant),
/// and leaves out nodes that no output needs. `values` are of any run.
pub(crate) fn fold(graph: &mut Graph, values: &Values) {
    let mut nodes = vec![];
    for node in std::mem::take(&mut graph.nodes) {
        let known = matches!(node.operator.as_str(), "Shape" | "Size")
            || node
                .inputs
                .iter()
                .flatten()
                .all(|id| graph.constants.contains_key(id));
        if !known {
            nodes.push(node);
            continue;
        }
        for id in node.outputs.iter().flatten() {
            if let Some(tensor) = &values[*id] {
                graph.constants.insert(*id, tensor.clone());
            }
        }
    }
    graph.nodes = nodes;
    prune(graph);
}

/// Leaves out nodes that no output needs.
fn prune(graph: &mut Graph) {
    let mut needed: BTreeSet<Id> = graph.outputs.iter().copied().collect();
    let mut kept = vec![];
    for node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        if node.outputs.iter().flatten().any(|id| needed.contains(id)) {
            needed.extend(node.inputs.iter().flatten());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    graph.constants.retain(|id, _| needed.contains(id));
}

/// Joins nodes. Shapes are those of `values`.
pub(crate) fn join(graph: &mut Graph, values: &Values) -> Result<(), OnnxError> {
    spread_instance_normalizations(graph, values)?;
    join_layer_normalizations(graph);
    prune(graph);
    for index in 0..graph.nodes.len() {
        let node = graph.nodes[index].clone();
        match node.operator.as_str() {
            "BatchNormalization" => fold_batch_normalization(graph, &node)?,
            "Add" => join_bias(graph, &node, values),
            _ => {}
        }
    }
    prune(graph);
    Ok(())
}

/// The node that gives a tensor, if only one node reads it and it is no output.
fn sole_producer(graph: &Graph, id: Id, operators: &[&str]) -> Option<usize> {
    let uses = graph
        .nodes
        .iter()
        .flat_map(|node| node.inputs.iter().flatten())
        .filter(|i| **i == id);
    if uses.count() != 1 || graph.outputs.contains(&id) {
        return None;
    }
    let producer = graph
        .nodes
        .iter()
        .position(|node| node.outputs.contains(&Some(id)))?;
    operators
        .contains(&graph.nodes[producer].operator.as_str())
        .then_some(producer)
}

fn new_constant(graph: &mut Graph, name: &str, tensor: Tensor) -> Id {
    graph.names.push(name.to_owned());
    graph.constants.insert(graph.names.len() - 1, tensor);
    graph.names.len() - 1
}

/// Scales the kernels of the convolution before a batch normalization, which is then the identity.
fn fold_batch_normalization(graph: &mut Graph, node: &Node) -> Result<(), OnnxError> {
    let constant = |index: usize| graph.constants.get(&node.input(index)?).cloned();
    let (Some(gain), Some(bias), Some(mean), Some(variance)) =
        (constant(1), constant(2), constant(3), constant(4))
    else {
        return Ok(());
    };
    let Some(producer) = node
        .input(0)
        .and_then(|id| sole_producer(graph, id, &["Conv"]))
    else {
        return Ok(());
    };
    let conv = graph.nodes[producer].clone();
    let Some(weights) = conv
        .input(1)
        .and_then(|id| graph.constants.get(&id))
        .cloned()
    else {
        return Ok(());
    };
    let fault = |fault: super::Fault| fault.at(&node.operator, &node.name);
    let (factors, offsets) = batch_scale(node, [&gain, &bias, &mean, &variance]).map_err(fault)?;
    let outputs = weights.shape.first().copied().unwrap_or(0);
    let old = match conv.input(2) {
        Some(id) => graph.constants.get(&id).map(Tensor::to_floats),
        None => Some(vec![0.0; outputs]),
    };
    let Some(old) = old.filter(|old| old.len() == outputs && factors.len() == outputs) else {
        return Ok(());
    };
    let each = (weights.len() / outputs.max(1)).max(1);
    let values = weights.to_floats().into_iter().enumerate();
    let scaled = values
        .map(|(index, value)| value * factors[index / each])
        .collect();
    let biases = old.iter().zip(&factors).zip(&offsets);
    let biases: Vec<f32> = biases
        .map(|((old, factor), offset)| old * factor + offset)
        .collect();
    let weights = Tensor::float(weights.shape, scaled).map_err(fault)?;
    let bias = Tensor::float(vec![biases.len()], biases).map_err(fault)?;
    let (weights, bias) = (
        new_constant(graph, "scaled", weights),
        new_constant(graph, "offset", bias),
    );
    let conv = &mut graph.nodes[producer];
    conv.inputs.resize(3, None);
    (conv.inputs[1], conv.inputs[2]) = (Some(weights), Some(bias));
    take_over(graph, producer, node);
    Ok(())
}

/// Lets a node give what another gave, which is then dead.
fn take_over(graph: &mut Graph, producer: usize, node: &Node) {
    let inner = graph.nodes[producer].outputs[0];
    graph.nodes[producer].outputs[0] = node.outputs[0];
    // What was between them has no name any more; the dead node gets it, so that no tensor is given twice.
    if let Some(dead) = graph
        .nodes
        .iter()
        .rposition(|other| other.outputs == node.outputs)
    {
        graph.nodes[dead].outputs = vec![inner];
    }
}

/// Makes a constant row that is added to a product its third input.
fn join_bias(graph: &mut Graph, node: &Node, values: &Values) {
    for (product, bias) in [(0, 1), (1, 0)] {
        let (Some(product), Some(bias)) = (node.input(product), node.input(bias)) else {
            return;
        };
        let Some(constant) = graph.constants.get(&bias) else {
            continue;
        };
        let width = values
            .get(product)
            .and_then(Option::as_ref)
            .and_then(|tensor| tensor.shape.last().copied());
        let is_row = constant.is_float()
            && Some(constant.len()) == width
            && constant.shape.last().copied() == width;
        let rank = values
            .get(product)
            .and_then(Option::as_ref)
            .map_or(0, Tensor::rank);
        if !is_row || constant.rank() > rank {
            continue;
        }
        let Some(producer) = sole_producer(graph, product, &["MatMul"]) else {
            continue;
        };
        let right = graph.nodes[producer].input(1);
        let right = right.and_then(|id| graph.constants.get(&id));
        if right.is_none_or(|right| right.rank() != 2) || graph.nodes[producer].inputs.len() != 2 {
            continue;
        }
        let row = Tensor {
            shape: vec![constant.len()],
            data: constant.data.clone(),
        };
        let row = new_constant(graph, "bias", row);
        graph.nodes[producer].inputs.push(Some(row));
        take_over(graph, producer, node);
        return;
    }
}

/// Finds layer normalizations that were exported as their parts: `(x - mean) / √(mean((x - mean)²) + ε)`.
fn join_layer_normalizations(graph: &mut Graph) {
    for index in 0..graph.nodes.len() {
        if let Some((x, epsilon)) = parts_of_normalization(graph, index) {
            let old = &graph.nodes[index];
            let Some(output) = old.outputs[0] else {
                continue;
            };
            let name = old.name.clone();
            graph.nodes[index] = Node::made(&name, "LayerNormalization", vec![Some(x)], output)
                .with("epsilon", Attribute::Float(epsilon))
                .with("axis", Attribute::Int(-1));
        }
    }
}

fn parts_of_normalization(graph: &Graph, index: usize) -> Option<(Id, f32)> {
    let producer = |id: Id, operator: &str| {
        let node = graph
            .nodes
            .iter()
            .find(|node| node.outputs.contains(&Some(id)))?;
        (node.operator == operator).then_some(node)
    };
    let scalar = |id: Id| graph.constants.get(&id)?.scalar();
    let is_mean_of = |id: Id, of: Id| {
        let mean = producer(id, "ReduceMean")?;
        let axes = mean.input(1).and_then(|axes| graph.constants.get(&axes));
        let axes = axes
            .and_then(|axes| axes.ints().ok())
            .or(mean.ints("axes"))?;
        let last = axes == [-1];
        (mean.input(0)? == of && last && mean.int("keepdims", 1) != 0).then_some(())
    };
    let divide = &graph.nodes[index];
    if divide.operator != "Div" {
        return None;
    }
    let centred = divide.input(0)?;
    let subtract = producer(centred, "Sub")?;
    let x = subtract.input(0)?;
    is_mean_of(subtract.input(1)?, x)?;
    let root = producer(divide.input(1)?, "Sqrt")?;
    let add = producer(root.input(0)?, "Add")?;
    let (variance, epsilon) = match (scalar(add.input(1)?), scalar(add.input(0)?)) {
        (Some(epsilon), _) => (add.input(0)?, epsilon),
        (None, Some(epsilon)) => (add.input(1)?, epsilon),
        _ => return None,
    };
    let squares = producer(variance, "ReduceMean")?.input(0)?;
    is_mean_of(variance, squares)?;
    let of_centred = |id: Option<Id>| {
        let id = id?;
        // Old exports subtract the mean twice.
        let again = producer(id, "Sub").is_some_and(|node| node.inputs == subtract.inputs);
        (id == centred || again).then_some(())
    };
    if let Some(power) = producer(squares, "Pow") {
        of_centred(power.input(0))?;
        return (scalar(power.input(1)?)? == 2.0).then_some((x, epsilon));
    }
    let product = producer(squares, "Mul")?;
    of_centred(product.input(0))?;
    of_centred(product.input(1))?;
    Some((x, epsilon))
}

/// Writes instance normalizations as layer normalizations of each channel, with a factor and an offset.
fn spread_instance_normalizations(graph: &mut Graph, values: &Values) -> Result<(), OnnxError> {
    for node in std::mem::take(&mut graph.nodes) {
        let constant = |index: usize| graph.constants.get(&node.input(index)?).cloned();
        let parts = (
            constant(1),
            constant(2),
            node.input(0),
            node.outputs.first().copied().flatten(),
        );
        let (Some(gain), Some(bias), Some(x), Some(output)) = parts else {
            graph.nodes.push(node);
            continue;
        };
        if node.operator != "InstanceNormalization" {
            graph.nodes.push(node);
            continue;
        }
        let rank = values
            .get(x)
            .and_then(Option::as_ref)
            .map_or(3, Tensor::rank);
        let mut shape = vec![1; rank.max(2)];
        shape[1] = gain.len();
        let fault = |fault: super::Fault| fault.at(&node.operator, &node.name);
        let gain = gain.reshaped(shape.clone()).map_err(fault)?;
        let bias = bias.reshaped(shape).map_err(fault)?;
        let (gain, bias) = (
            new_constant(graph, "gain", gain),
            new_constant(graph, "bias", bias),
        );
        graph
            .names
            .extend(["normalized".to_owned(), "scaled".to_owned()]);
        let (normalized, scaled) = (graph.names.len() - 2, graph.names.len() - 1);
        let epsilon = Attribute::Float(node.number("epsilon", 1e-5));
        let first = Node::made(&node.name, "LayerNormalization", vec![Some(x)], normalized);
        graph.nodes.push(
            first
                .with("epsilon", epsilon)
                .with("axis", Attribute::Int(2)),
        );
        graph.nodes.push(Node::made(
            &node.name,
            "Mul",
            vec![Some(normalized), Some(gain)],
            scaled,
        ));
        graph.nodes.push(Node::made(
            &node.name,
            "Add",
            vec![Some(scaled), Some(bias)],
            output,
        ));
    }
    Ok(())
}
