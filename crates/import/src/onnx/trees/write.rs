//! Trees as nodes of a program: thresholds become ranks, so that no comparison loses precision.

use super::read::{Ensemble, Test, TreeNode};
use crate::onnx::Fault;
use og_program::operation::Branch;
use std::collections::HashMap;

/// Bits of the greatest leaf: sums of them are exact, and finer than floats add.
const LEAF_BITS: i32 = 30;

/// Nodes of a program, and what its features' ranks count.
pub(super) struct Written {
    pub(super) nodes: Vec<Branch>,
    pub(super) roots: Vec<u32>,
    pub(super) exponent: i32,
    /// For each feature, bits of thresholds, ascending.
    pub(super) ranks: Vec<Vec<u32>>,
}

/// Threshold `t` of "below `t`": a number passes "at most `v`" if it is below the next number after `v`.
fn bounds(test: Test, value: f32) -> (f32, f32) {
    match test {
        Test::Less | Test::GreaterOrEqual => (value, value),
        Test::LessOrEqual | Test::Greater => (value.next_up(), value.next_up()),
        Test::Equal | Test::NotEqual => (value, value.next_up()),
    }
}

/// Writes an ensemble whose rows have `features` elements.
pub(super) fn write(ensemble: &Ensemble, features: usize) -> Result<Written, Fault> {
    let mut thresholds: Vec<Vec<f32>> = vec![vec![]; features];
    for node in &ensemble.nodes {
        if let TreeNode::Decision {
            feature,
            test,
            value,
            ..
        } = node
        {
            let column = thresholds.get_mut(*feature as usize);
            let column = column
                .ok_or_else(|| Fault::Shape(format!("reads feature {feature} of {features}")))?;
            let (low, high) = bounds(*test, *value);
            column.extend([low, high]);
        }
    }
    for column in &mut thresholds {
        column.sort_by(f32::total_cmp);
        column.dedup();
    }
    let mut writer = Writer {
        ensemble,
        thresholds,
        exponent: exponent(ensemble),
        nodes: vec![],
    };
    let mut roots = vec![];
    for root in &ensemble.roots {
        roots.push(writer.nodes.len() as u32);
        writer.tree(*root)?;
    }
    if ensemble.base.iter().any(|base| *base != 0.0) {
        roots.push(writer.nodes.len() as u32);
        let base: Vec<(u32, f32)> = (0..).zip(ensemble.base.iter().copied()).collect();
        writer.leaves(&base);
    }
    let ranks = writer
        .thresholds
        .iter()
        .map(|column| column.iter().map(|value| value.to_bits()).collect());
    Ok(Written {
        ranks: ranks.collect(),
        nodes: writer.nodes,
        roots,
        exponent: writer.exponent,
    })
}

/// The exponent at which the greatest weight has as many bits as leaves may.
fn exponent(ensemble: &Ensemble) -> i32 {
    let weights = ensemble.nodes.iter().flat_map(|node| match node {
        TreeNode::Leaf(weights) => &weights[..],
        TreeNode::Decision { .. } => &[],
    });
    let all = weights.map(|(_, weight)| weight).chain(&ensemble.base);
    let greatest = all.fold(0.0_f64, |most, weight| most.max(f64::from(weight.abs())));
    if greatest == 0.0 {
        0
    } else {
        (greatest.log2().floor() as i32 + 1 - LEAF_BITS).clamp(-200, 200)
    }
}

struct Writer<'a> {
    ensemble: &'a Ensemble,
    thresholds: Vec<Vec<f32>>,
    exponent: i32,
    nodes: Vec<Branch>,
}

impl Writer<'_> {
    /// Writes a tree, its levels one after the other, so that nodes lead to later ones.
    fn tree(&mut self, root: usize) -> Result<(), Fault> {
        let mut order = vec![root];
        let mut place: HashMap<usize, u32> = HashMap::from([(root, self.nodes.len() as u32)]);
        let mut next = 0;
        let mut end = self.nodes.len() + self.size(root);
        while let Some(at) = order.get(next).copied() {
            next += 1;
            if let TreeNode::Decision { yes, no, .. } = &self.ensemble.nodes[at] {
                for child in [*yes, *no] {
                    if place.insert(child, end as u32).is_some() {
                        return Err(Fault::Shape("two ways in a tree lead to one node".into()));
                    }
                    end += self.size(child);
                    order.push(child);
                }
            }
        }
        for at in order {
            match &self.ensemble.nodes[at] {
                TreeNode::Decision {
                    feature,
                    test,
                    value,
                    yes,
                    no,
                } => {
                    self.decision(*feature, *test, *value, place[yes], place[no]);
                }
                TreeNode::Leaf(weights) => self.leaves(weights),
            }
        }
        Ok(())
    }

    /// Nodes of the program that a node becomes.
    fn size(&self, at: usize) -> usize {
        match &self.ensemble.nodes[at] {
            TreeNode::Decision {
                test: Test::Equal | Test::NotEqual,
                ..
            } => 2,
            TreeNode::Decision { .. } => 1,
            TreeNode::Leaf(weights) => weights.len().max(1),
        }
    }

    fn decision(&mut self, feature: u32, test: Test, value: f32, yes: u32, no: u32) {
        let column = &self.thresholds[feature as usize];
        let rank = |bound: f32| column.partition_point(|other| *other <= bound) as u32;
        let (low, high) = bounds(test, value);
        let decision = |threshold: u32, below: u32, otherwise: u32| Branch::Decision {
            feature,
            threshold,
            below,
            otherwise,
        };
        match test {
            Test::Less | Test::LessOrEqual => self.nodes.push(decision(rank(low), yes, no)),
            Test::GreaterOrEqual | Test::Greater => self.nodes.push(decision(rank(low), no, yes)),
            Test::Equal | Test::NotEqual => {
                let (inside, outside) = if test == Test::Equal {
                    (yes, no)
                } else {
                    (no, yes)
                };
                let second = self.nodes.len() as u32 + 1;
                let both = [
                    decision(rank(low), outside, second),
                    decision(rank(high), inside, outside),
                ];
                self.nodes.extend(both);
            }
        }
    }

    fn leaves(&mut self, weights: &[(u32, f32)]) {
        let unit = 2f64.powi(-self.exponent);
        let count = weights.len();
        self.nodes.extend(
            weights
                .iter()
                .enumerate()
                .map(|(at, (output, weight))| Branch::Leaf {
                    output: *output,
                    value: (f64::from(*weight) * unit).round() as i32,
                    more: at + 1 < count,
                }),
        );
        if count == 0 {
            self.nodes.push(Branch::Leaf {
                output: 0,
                value: 0,
                more: false,
            });
        }
    }
}
