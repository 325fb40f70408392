//! Operations whose results are choices: greatest elements, elements by index, decision trees.

use super::{Operand, Row};
use crate::{operation::Branch, value::Value};

pub(super) fn largest(input: &Operand<'_>) -> Value {
    choose(input, 1)
}

pub(super) fn choose(input: &Operand<'_>, count: usize) -> Value {
    let rows = 0..input.of.rows as usize;
    Value::Index(
        rows.flat_map(|row| {
            let x = input.row(row);
            let mut order: Vec<u32> = (0..x.len() as u32).collect();
            order.sort_by_key(|index| (std::cmp::Reverse(x[*index as usize]), *index));
            order.truncate(count);
            order
        })
        .collect(),
    )
}

pub(super) fn take(input: &Operand<'_>, indices: &Operand<'_>) -> Value {
    let mut mantissas = vec![];
    let mut exponents = vec![];
    for row in 0..input.of.rows as usize {
        let x = input.row(row);
        mantissas.extend(
            indices
                .indices(row)
                .iter()
                .map(|index| x[(*index as usize).min(x.len() - 1)]),
        );
        exponents.push(input.exponent(row, 0));
    }
    Value::Rows {
        mantissas,
        exponents,
    }
}

pub(super) fn trees<'a>(
    input: Operand<'a>,
    nodes: &'a [Branch],
    roots: &'a [u32],
    exponent: i32,
    width: usize,
    row: usize,
) -> Row<'a> {
    let features = input.indices(row);
    let mut sums = vec![0_i64; width];
    for root in roots {
        for (output, value) in leaves(nodes, *root, features) {
            sums[output as usize] += i64::from(value);
        }
    }
    Row::new(width, exponent, move |column| sums[column])
}

/// What the leaves that `features` lead to add, from one root. Nodes lead to later ones, so this ends.
fn leaves<'a>(
    nodes: &'a [Branch],
    root: u32,
    features: &[u32],
) -> impl Iterator<Item = (u32, i32)> + 'a {
    let mut at = root as usize;
    while let Branch::Decision {
        feature,
        threshold,
        below,
        otherwise,
    } = nodes[at]
    {
        at = if features[feature as usize] < threshold {
            below as usize
        } else {
            otherwise as usize
        };
    }
    let mut next = Some(at);
    std::iter::from_fn(move || match nodes[next?] {
        Branch::Leaf {
            output,
            value,
            more,
        } => {
            next = next.filter(|_| more).map(|at| at + 1);
            Some((output, value))
        }
        Branch::Decision { .. } => None,
    })
}
