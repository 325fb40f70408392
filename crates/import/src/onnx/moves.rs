//! Operators that compute nothing: their outputs are elements of their input in another order. The evaluator and the
//! lowering share this reading of them.

mod read;

use super::{
    Fault,
    graph::Node,
    tensor::{Tensor, axis_of, count},
};

use read::Reader;

/// One axis of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// The axis of the input along which it runs; `None` if it repeats.
    pub(crate) source: Option<usize>,
    /// Index of the first element on that axis.
    pub(crate) start: usize,
    /// From one element to the next on that axis.
    pub(crate) step: i64,
    /// Elements.
    pub(crate) extent: usize,
}

/// One change of order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// The same elements in row-major order, in another shape.
    Reshape(Vec<usize>),
    /// Axes that run along axes of the input; `fixed` are axes that are left at one index.
    Axes {
        /// Axes of the result.
        axes: Vec<Axis>,
        /// Axis and index.
        fixed: Vec<(usize, usize)>,
    },
}

/// For each output, the changes that lead to it, one after the other; `None` if the operator is no such one.
/// `constant` gives the inputs beside the first if they are known.
pub(crate) fn moves(
    node: &Node,
    shape: &[usize],
    constant: &dyn Fn(usize) -> Option<Tensor>,
    opset: i64,
) -> Result<Option<Vec<Vec<Move>>>, Fault> {
    let reader = Reader {
        node,
        shape,
        constant,
        opset,
    };
    Ok(Some(match node.operator.as_str() {
        "Identity" | "Dropout" => vec![vec![]],
        "Reshape" => vec![vec![Move::Reshape(reader.reshape()?)]],
        "Flatten" => {
            let axis = node.int("axis", 1);
            let axis = if axis == shape.len() as i64 {
                shape.len()
            } else {
                axis_of(axis, shape.len())?
            };
            let parts = [count(&shape[..axis])?, count(&shape[axis..])?];
            vec![vec![Move::Reshape(parts.to_vec())]]
        }
        "Squeeze" => vec![vec![Move::Reshape(reader.squeeze()?)]],
        "Unsqueeze" => vec![vec![Move::Reshape(reader.unsqueeze()?)]],
        "Transpose" => vec![vec![reader.transpose()?]],
        "Slice" => vec![vec![reader.slice()?]],
        "Split" => reader.split()?.into_iter().map(|one| vec![one]).collect(),
        "Expand" => vec![vec![reader.expand()?]],
        "Tile" => vec![reader.tile()?],
        "DepthToSpace" | "SpaceToDepth" => vec![reader.depth()?],
        "Resize" | "Upsample" => vec![reader.resize()?],
        _ => return Ok(None),
    }))
}

/// All of an axis.
pub(crate) fn whole(source: usize, extent: usize) -> Axis {
    Axis {
        source: Some(source),
        start: 0,
        step: 1,
        extent,
    }
}

/// Axes in another order.
pub(crate) fn permutation(shape: &[usize], order: &[usize]) -> Move {
    let axes = order
        .iter()
        .map(|axis| whole(*axis, shape[*axis]))
        .collect();
    Move::Axes {
        axes,
        fixed: vec![],
    }
}
