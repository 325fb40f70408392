//! Ensembles of trees as ONNX writes them, and what they say in floats.

use crate::onnx::{Fault, graph::Node};
use std::collections::HashMap;

/// Nodes of an ensemble, at most.
const MAX_TREE_NODES: usize = 1 << 24;

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
}

/// A node of a tree.
#[derive(Clone, Debug)]
pub(super) enum TreeNode {
    /// Goes to `yes` if the feature passes the test against `value`.
    Decision {
        feature: u32,
        test: Test,
        value: f32,
        yes: usize,
        no: usize,
    },
    /// Adds weights to outputs.
    Leaf(Vec<(u32, f32)>),
}

/// What is done with the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Softmax,
    Logistic,
}

/// An ensemble.
#[derive(Clone, Debug)]
pub(super) struct Ensemble {
    /// Nodes of all trees.
    pub(super) nodes: Vec<TreeNode>,
    /// The first node of each tree.
    pub(super) roots: Vec<usize>,
    /// Added to each output.
    pub(super) base: Vec<f32>,
    /// Outputs.
    pub(super) outputs: usize,
    /// A transformation of the sums.
    pub(super) after: After,
    /// Names of classes; empty for a regressor.
    pub(super) labels: Vec<String>,
}

impl Ensemble {
    pub(super) fn read(node: &Node) -> Result<Self, Fault> {
        let classifier = node.operator.ends_with("Classifier");
        if node.tensor("nodes_values_as_tensor").is_some() {
            let hint = "thresholds of 64 bits are not converted: export with float32";
            return Err(Fault::Unsupported(hint));
        }
        let (nodes, roots) = all_nodes(node, if classifier { "class" } else { "target" })?;
        let labels = labels(node);
        let targets = usize::try_from(node.int("n_targets", 1)).unwrap_or(0);
        let outputs = if classifier { labels.len() } else { targets };
        if !(1..=1 << 16).contains(&outputs) || nodes.is_empty() {
            return Err(Fault::Shape("has no trees, no outputs or too many".into()));
        }
        let after = match node.text("post_transform", "NONE") {
            "NONE" => After::Nothing,
            "SOFTMAX" => After::Softmax,
            "LOGISTIC" => After::Logistic,
            _ => {
                let hint = "post_transform must be NONE, SOFTMAX or LOGISTIC";
                return Err(Fault::Unsupported(hint));
            }
        };
        let base = node.floats("base_values").unwrap_or_default();
        if base.iter().any(|base| !base.is_finite()) {
            return Err(Fault::Shape("a base value is no number".into()));
        }
        let mut ensemble = Self {
            nodes,
            roots,
            base,
            outputs,
            after,
            labels,
        };
        match (node.text("aggregate_function", "SUM"), classifier) {
            ("SUM", _) | (_, true) => {}
            ("AVERAGE", _) => ensemble.average(),
            _ => {
                return Err(Fault::Unsupported(
                    "aggregate_function must be SUM or AVERAGE",
                ));
            }
        }
        ensemble.two_classes(classifier)?;
        if ensemble.base.len() > ensemble.outputs || ensemble.leaf_outputs() > ensemble.outputs {
            return Err(Fault::Shape("has more weights than outputs".into()));
        }
        Ok(ensemble)
    }

    /// Divides all leaves by the number of trees.
    fn average(&mut self) {
        let share = 1.0 / self.roots.len() as f32;
        for node in &mut self.nodes {
            if let TreeNode::Leaf(weights) = node {
                weights.iter_mut().for_each(|(_, weight)| *weight *= share);
            }
        }
    }

    /// One more than the greatest output that a leaf adds to.
    fn leaf_outputs(&self) -> usize {
        let leaves = self.nodes.iter().filter_map(|node| match node {
            TreeNode::Leaf(weights) => Some(weights),
            TreeNode::Decision { .. } => None,
        });
        leaves
            .flatten()
            .map(|(output, _)| *output as usize + 1)
            .max()
            .unwrap_or(0)
    }

    /// Two classes are often written with one score `s`: `(1 - s, s)` if no weight is negative, else `(-s, s)`.
    fn two_classes(&mut self, classifier: bool) -> Result<(), Fault> {
        let weights = || {
            let leaves = self.nodes.iter().filter_map(|node| match node {
                TreeNode::Leaf(weights) => Some(weights),
                TreeNode::Decision { .. } => None,
            });
            leaves.flatten()
        };
        let first = weights().next().map(|(output, _)| *output);
        let one = first.is_some() && weights().all(|(output, _)| Some(*output) == first);
        if !classifier || self.outputs != 2 || !one {
            return Ok(());
        }
        let positive = weights().all(|(_, weight)| *weight >= 0.0);
        let base = match self.base[..] {
            [] => 0.0,
            [base] | [_, base] => base,
            _ => return Err(Fault::Shape("has more base values than classes".into())),
        };
        for node in &mut self.nodes {
            if let TreeNode::Leaf(weights) = node {
                let sum: f32 = weights.iter().map(|(_, weight)| weight).sum();
                *weights = vec![(0, -sum), (1, sum)];
            }
        }
        let whole = if positive { 1.0 } else { 0.0 };
        if positive && self.after != After::Nothing {
            return Err(Fault::Unsupported(
                "two classes with one positive score and a transformation are not converted",
            ));
        }
        self.base = vec![whole - base, base];
        Ok(())
    }

    /// The sums of the leaves that features lead to, in 64 bits: what a program is compared with.
    pub(super) fn sums(&self, features: &[f32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.outputs];
        for (sum, base) in sums.iter_mut().zip(&self.base) {
            *sum += f64::from(*base);
        }
        for root in &self.roots {
            let mut at = *root;
            // Nodes lead to each other without circles (whoever made a program of them checked that).
            while let TreeNode::Decision {
                feature,
                test,
                value,
                yes,
                no,
            } = &self.nodes[at]
            {
                let x = features.get(*feature as usize).copied().unwrap_or(0.0);
                let passes = match test {
                    Test::LessOrEqual => x <= *value,
                    Test::Less => x < *value,
                    Test::GreaterOrEqual => x >= *value,
                    Test::Greater => x > *value,
                    Test::Equal => x == *value,
                    Test::NotEqual => x != *value,
                };
                at = if passes { *yes } else { *no };
            }
            if let TreeNode::Leaf(weights) = &self.nodes[at] {
                for (output, weight) in weights {
                    sums[*output as usize] += f64::from(*weight);
                }
            }
        }
        sums
    }
}

/// Nodes of all trees, and where each tree begins.
fn all_nodes(node: &Node, kind: &str) -> Result<(Vec<TreeNode>, Vec<usize>), Fault> {
    let ints = |name: &str| node.ints(name).unwrap_or(&[]);
    let (trees, ids) = (ints("nodes_treeids"), ints("nodes_nodeids"));
    let mut places: HashMap<(i64, i64), usize> = HashMap::new();
    let mut roots = vec![];
    for (place, (tree, id)) in trees.iter().zip(ids).enumerate() {
        if place == 0 || trees[place - 1] != *tree {
            roots.push(place);
        }
        if places.insert((*tree, *id), place).is_some() {
            return Err(Fault::Shape("a node stands twice".into()));
        }
    }
    let mut nodes = nodes(node, trees, &places)?;
    leaves(node, kind, &places, &mut nodes)?;
    Ok((nodes, roots))
}

fn labels(node: &Node) -> Vec<String> {
    match node
        .ints("classlabels_int64s")
        .or(node.ints("classlabels_ints"))
    {
        Some(labels) if !labels.is_empty() => labels.iter().map(i64::to_string).collect(),
        _ => node.texts("classlabels_strings").to_vec(),
    }
}

fn nodes(
    node: &Node,
    trees: &[i64],
    places: &HashMap<(i64, i64), usize>,
) -> Result<Vec<TreeNode>, Fault> {
    let ints = |name: &str| node.ints(name).unwrap_or(&[]);
    let (features, modes) = (ints("nodes_featureids"), node.texts("nodes_modes"));
    let (yes, no) = (ints("nodes_truenodeids"), ints("nodes_falsenodeids"));
    let values = node.floats("nodes_values").unwrap_or_default();
    let lengths = [
        ints("nodes_nodeids").len(),
        features.len(),
        modes.len(),
        yes.len(),
        no.len(),
        values.len(),
    ];
    if lengths != [trees.len(); 6] || trees.len() > MAX_TREE_NODES {
        return Err(Fault::Shape(
            "its lists of nodes differ in length or are too long".into(),
        ));
    }
    let one = |at: usize| {
        let test = match modes[at].as_str() {
            "LEAF" => return Ok(TreeNode::Leaf(vec![])),
            "BRANCH_LEQ" => Test::LessOrEqual,
            "BRANCH_LT" => Test::Less,
            "BRANCH_GTE" => Test::GreaterOrEqual,
            "BRANCH_GT" => Test::Greater,
            "BRANCH_EQ" => Test::Equal,
            "BRANCH_NEQ" => Test::NotEqual,
            _ => {
                return Err(Fault::Unsupported(
                    "compares in a way that is not converted",
                ));
            }
        };
        let child = |id: i64| {
            let place = places.get(&(trees[at], id)).copied();
            place.ok_or_else(|| Fault::Shape("a branch leads to a node that is not there".into()))
        };
        let feature = u32::try_from(features[at])
            .map_err(|_| Fault::Shape("a feature is negative".into()))?;
        if !values[at].is_finite() {
            return Err(Fault::Shape("a threshold is no number".into()));
        }
        Ok(TreeNode::Decision {
            feature,
            test,
            value: values[at] + 0.0,
            yes: child(yes[at])?,
            no: child(no[at])?,
        })
    };
    (0..trees.len()).map(one).collect()
}

fn leaves(
    node: &Node,
    kind: &str,
    places: &HashMap<(i64, i64), usize>,
    nodes: &mut [TreeNode],
) -> Result<(), Fault> {
    let ints = |name: &str| node.ints(&format!("{kind}_{name}")).unwrap_or(&[]);
    let (trees, ids, outputs) = (ints("treeids"), ints("nodeids"), ints("ids"));
    let weights = node.floats(&format!("{kind}_weights")).unwrap_or_default();
    if [ids.len(), outputs.len(), weights.len()] != [trees.len(); 3] {
        return Err(Fault::Shape("its lists of leaves differ in length".into()));
    }
    for (at, weight) in weights.iter().enumerate() {
        let place = places
            .get(&(trees[at], ids[at]))
            .and_then(|place| nodes.get_mut(*place));
        let output = u32::try_from(outputs[at]).ok();
        match (place, output) {
            (Some(TreeNode::Leaf(weights)), Some(output)) if weight.is_finite() => {
                weights.push((output, *weight))
            }
            _ => {
                return Err(Fault::Shape(
                    "a weight is of no leaf, of no output, or no number".into(),
                ));
            }
        }
    }
    Ok(())
}
