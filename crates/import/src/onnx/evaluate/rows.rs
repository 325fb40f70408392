//! Operators over whole rows: softmax, normalizations, sums, greatest elements.

use crate::onnx::{
    Fault,
    graph::Node,
    tensor::{Tensor, axis_of, count},
};

/// How an operator cuts its input: these axes make a row, in order; the others count rows.
pub(crate) struct Rows {
    /// Axes that count rows.
    pub(crate) outer: Vec<usize>,
    /// Axes that make a row.
    pub(crate) inner: Vec<usize>,
}

impl Rows {
    fn of(rank: usize, inner: Vec<usize>) -> Self {
        let outer = (0..rank).filter(|axis| !inner.contains(axis)).collect();
        Self { outer, inner }
    }

    /// All axes, rows first.
    pub(crate) fn order(&self) -> Vec<usize> {
        self.outer.iter().chain(&self.inner).copied().collect()
    }

    /// Elements of a row.
    pub(crate) fn width(&self, shape: &[usize]) -> Result<usize, Fault> {
        let extents: Vec<usize> = self.inner.iter().map(|axis| shape[*axis]).collect();
        count(&extents)
    }
}

/// Rows of a softmax: one axis, or before version 13 all from it on.
pub(crate) fn softmax_rows(node: &Node, rank: usize, opset: i64) -> Result<Rows, Fault> {
    if opset >= 13 {
        let axis = axis_of(node.int("axis", -1), rank)?;
        return Ok(Rows::of(rank, vec![axis]));
    }
    let axis = axis_of(node.int("axis", 1), rank)?;
    Ok(Rows::of(rank, (axis..rank).collect()))
}

/// Rows of a layer normalization: all axes from one on.
pub(crate) fn layer_rows(node: &Node, rank: usize) -> Result<Rows, Fault> {
    let axis = axis_of(node.int("axis", -1), rank)?;
    Ok(Rows::of(rank, (axis..rank).collect()))
}

/// Rows of a reduction; `axes` is its second input. Empty rows mean that nothing is reduced.
pub(crate) fn reduce_rows(node: &Node, rank: usize, axes: Option<&Tensor>) -> Result<Rows, Fault> {
    let axes = match axes {
        Some(axes) => Some(axes.ints()?),
        None if node.input(1).is_some() => {
            return Err(Fault::Unsupported("its axes must be constant"));
        }
        None => node.ints("axes"),
    };
    let mut inner = match axes {
        Some(axes) if !axes.is_empty() => axes
            .iter()
            .map(|axis| axis_of(*axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
        _ if node.int("noop_with_empty_axes", 0) != 0 => vec![],
        _ => (0..rank).collect(),
    };
    inner.sort_unstable();
    inner.dedup();
    Ok(Rows::of(rank, inner))
}

/// The one row axis of `ArgMax`.
pub(crate) fn argmax_rows(node: &Node, rank: usize) -> Result<Rows, Fault> {
    if node.int("select_last_index", 0) != 0 {
        return Err(Fault::Unsupported(
            "select_last_index is not converted: ties go to the first",
        ));
    }
    Ok(Rows::of(rank, vec![axis_of(node.int("axis", 0), rank)?]))
}

/// The shape when rows become one element each.
pub(crate) fn reduced_shape(shape: &[usize], rows: &Rows, keep: bool) -> Vec<usize> {
    (0..shape.len())
        .filter(|axis| keep || !rows.inner.contains(axis))
        .map(|axis| {
            if rows.inner.contains(&axis) {
                1
            } else {
                shape[axis]
            }
        })
        .collect()
}

/// Applies a function to each row and puts the results where the rows were.
fn each_row(x: &Tensor, rows: &Rows, change: impl Fn(&mut [f32])) -> Result<Tensor, Fault> {
    let order = rows.order();
    let width = rows.width(&x.shape)?.max(1);
    let moved = x.transposed(&order)?;
    let mut values = moved.to_floats();
    values.chunks_exact_mut(width).for_each(change);
    let mut back = vec![0; order.len()];
    for (place, axis) in order.iter().enumerate() {
        back[*axis] = place;
    }
    Tensor::float(moved.shape, values)?.transposed(&back)
}

pub(super) fn softmax(node: &Node, x: &Tensor, opset: i64) -> Result<Tensor, Fault> {
    let rows = softmax_rows(node, x.rank(), opset)?;
    let logarithm = node.operator == "LogSoftmax";
    each_row(x, &rows, |row| {
        let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|x| (x - greatest).exp()).sum();
        for x in row {
            let below = *x - greatest;
            *x = if logarithm {
                below - sum.ln()
            } else {
                below.exp() / sum
            };
        }
    })
}

pub(super) fn layer_normalization(
    node: &Node,
    inputs: &[Option<&Tensor>],
) -> Result<Tensor, Fault> {
    let x = super::needed(inputs, 0)?;
    let rows = layer_rows(node, x.rank())?;
    let width = rows.width(&x.shape)?;
    let row_shape: Vec<usize> = rows.inner.iter().map(|axis| x.shape[*axis]).collect();
    let row_of = |index: usize, default: f32| match inputs.get(index).copied().flatten() {
        Some(tensor) => Ok(tensor.broadcast(&row_shape)?.to_floats()),
        None => Ok(vec![default; width]),
    };
    let (gain, bias) = (row_of(1, 1.0)?, row_of(2, 0.0)?);
    let epsilon = node.number("epsilon", 1e-5);
    let centred = node.operator != "RMSNormalization";
    each_row(x, &rows, |row| {
        let n = row.len() as f32;
        let mean = if centred {
            row.iter().sum::<f32>() / n
        } else {
            0.0
        };
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
        let root = 1.0 / (variance + epsilon).sqrt();
        for (x, (gain, bias)) in row.iter_mut().zip(gain.iter().zip(&bias)) {
            *x = (*x - mean) * root * gain + bias;
        }
    })
}

pub(super) fn reduce(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let x = super::needed(inputs, 0)?;
    let rows = reduce_rows(node, x.rank(), inputs.get(1).copied().flatten())?;
    if rows.inner.is_empty() {
        return Ok(x.clone());
    }
    let shape = reduced_shape(&x.shape, &rows, node.int("keepdims", 1) != 0);
    let width = rows.width(&x.shape)?;
    let moved = x.transposed(&rows.order())?.to_floats();
    let reduce: fn(&[f32]) -> f32 = match node.operator.as_str() {
        "ReduceMean" => |row| row.iter().sum::<f32>() / row.len() as f32,
        "ReduceSum" => |row| row.iter().sum(),
        "ReduceMax" => |row| row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        "ReduceMin" => |row| row.iter().copied().fold(f32::INFINITY, f32::min),
        "ReduceProd" => |row| row.iter().product(),
        "ReduceSumSquare" => |row| row.iter().map(|x| x * x).sum(),
        "ReduceL1" => |row| row.iter().map(|x| x.abs()).sum(),
        "ReduceL2" => |row| row.iter().map(|x| x * x).sum::<f32>().sqrt(),
        _ => return Err(super::unsupported(node)),
    };
    let values: Vec<f32> = moved.chunks_exact(width.max(1)).map(reduce).collect();
    if x.is_float() {
        Tensor::float(shape, values)
    } else {
        Tensor::int(shape, values.into_iter().map(|x| x as i64).collect())
    }
}

pub(super) fn argmax(node: &Node, x: &Tensor) -> Result<Tensor, Fault> {
    let rows = argmax_rows(node, x.rank())?;
    let shape = reduced_shape(&x.shape, &rows, node.int("keepdims", 1) != 0);
    let moved = x.transposed(&rows.order())?.to_floats();
    let width = rows.width(&x.shape)?.max(1);
    let least = node.operator == "ArgMin";
    let values = moved.chunks_exact(width).map(|row| {
        let better = |x: f32, best: f32| if least { x < best } else { x > best };
        let mut best = 0;
        for (index, x) in row.iter().enumerate() {
            if better(*x, row[best]) {
                best = index;
            }
        }
        best as i64
    });
    Tensor::int(shape, values.collect())
}

pub(super) fn instance_normalization(
    node: &Node,
    inputs: &[Option<&Tensor>],
) -> Result<Tensor, Fault> {
    let x = super::needed(inputs, 0)?;
    if x.rank() < 3 {
        return Err(Fault::Shape("takes batch, channels and extents".into()));
    }
    let rows = Rows::of(x.rank(), (2..x.rank()).collect());
    let mut shape = vec![1; x.rank()];
    shape[1] = x.shape[1];
    let channels = |index: usize| {
        let channels = super::needed(inputs, index)?.reshaped(shape.clone())?;
        Ok::<_, Fault>(channels.broadcast(&x.shape)?.to_floats())
    };
    let (gain, bias) = (channels(1)?, channels(2)?);
    let epsilon = node.number("epsilon", 1e-5);
    let normalized = each_row(x, &rows, |row| {
        let n = row.len() as f32;
        let mean = row.iter().sum::<f32>() / n;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
        row.iter_mut()
            .for_each(|x| *x = (*x - mean) / (variance + epsilon).sqrt());
    })?;
    let values = normalized
        .to_floats()
        .into_iter()
        .zip(gain.into_iter().zip(bias));
    Tensor::float(
        x.shape.clone(),
        values.map(|(x, (gain, bias))| x * gain + bias).collect(),
    )
}
