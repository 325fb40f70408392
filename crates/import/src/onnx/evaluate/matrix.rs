//! Operators that multiply matrices, slide windows, or scale channels.

use crate::onnx::{
    Fault,
    graph::Node,
    tensor::{Tensor, broadcast_shape, broadcast_strides, count, strides, walk},
    windows,
};

/// `a` (m by k) times `b` (k by n), row-major.
pub(crate) fn multiply(m: usize, k: usize, n: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
    let mut result = vec![0.0; m * n];
    if m * k * n > 0 {
        multiply_into(m, k, n, a, b, &mut result);
    }
    result
}

fn multiply_into(m: usize, k: usize, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    for (row, out) in c.chunks_exact_mut(n).enumerate().take(m) {
        for (index, x) in a[row * k..][..k].iter().enumerate() {
            let weights = &b[index * n..][..n];
            for (sum, weight) in out.iter_mut().zip(weights) {
                *sum += x * weight;
            }
        }
    }
}

/// What `MatMul` multiplies: batches of matrices.
pub(crate) struct Batches {
    /// Shape of the batch.
    pub(crate) batch: Vec<usize>,
    /// Rows of the left, columns of the left, columns of the right.
    pub(crate) sizes: [usize; 3],
    /// Shape of the result, with axes of vectors left out.
    pub(crate) result: Vec<usize>,
    /// The left's shape with vectors made rows.
    pub(crate) left: Vec<usize>,
    /// The right's shape with vectors made columns.
    pub(crate) right: Vec<usize>,
}

/// The shapes of a `MatMul`.
pub(crate) fn batches(left: &[usize], right: &[usize]) -> Result<Batches, Fault> {
    let no = || {
        Fault::Shape(format!(
            "matrices {left:?} and {right:?} do not go together"
        ))
    };
    if left.is_empty() || right.is_empty() {
        return Err(no());
    }
    let a = if left.len() == 1 {
        vec![1, left[0]]
    } else {
        left.to_vec()
    };
    let b = if right.len() == 1 {
        vec![right[0], 1]
    } else {
        right.to_vec()
    };
    let (a_batch, a_matrix) = a.split_at(a.len() - 2);
    let (b_batch, b_matrix) = b.split_at(b.len() - 2);
    if a_matrix[1] != b_matrix[0] {
        return Err(no());
    }
    let batch = broadcast_shape(a_batch, b_batch)?;
    let sizes = [a_matrix[0], a_matrix[1], b_matrix[1]];
    let mut result = batch.clone();
    result.extend((left.len() > 1).then_some(sizes[0]));
    result.extend((right.len() > 1).then_some(sizes[2]));
    count(&result)?;
    Ok(Batches {
        batch,
        sizes,
        result,
        left: a,
        right: b,
    })
}

pub(super) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor, Fault> {
    let shapes = batches(&a.shape, &b.shape)?;
    let [m, k, n] = shapes.sizes;
    let starts = |shape: &[usize]| {
        let (outer, _) = shape.split_at(shape.len() - 2);
        walk(&shapes.batch, &broadcast_strides(outer, &shapes.batch), 0)
    };
    let (left, right) = (a.to_floats(), b.to_floats());
    let mut result = Vec::with_capacity(count(&shapes.result)?);
    for (at, bt) in starts(&shapes.left).into_iter().zip(starts(&shapes.right)) {
        result.extend(multiply(m, k, n, &left[at * m * k..], &right[bt * k * n..]));
    }
    Tensor::float(shapes.result, result)
}

pub(super) fn gemm(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let matrix = |index: usize, transposed: &str| {
        let tensor = super::needed(inputs, index)?;
        if tensor.rank() != 2 {
            return Err(Fault::Shape("takes matrices".into()));
        }
        if node.int(transposed, 0) != 0 {
            tensor.transposed(&[1, 0])
        } else {
            Ok(tensor.clone())
        }
    };
    let product = matmul(&matrix(0, "transA")?, &matrix(1, "transB")?)?;
    let alpha = node.number("alpha", 1.0);
    let mut values: Vec<f32> = product.to_floats().iter().map(|x| x * alpha).collect();
    if let Some(added) = inputs.get(2).copied().flatten() {
        let beta = node.number("beta", 1.0);
        let added = added.broadcast(&product.shape)?.to_floats();
        for (value, added) in values.iter_mut().zip(added) {
            *value += beta * added;
        }
    }
    Tensor::float(product.shape, values)
}

pub(super) fn conv(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let (x, weights) = (super::needed(inputs, 0)?, super::needed(inputs, 1)?);
    let shape = conv_shape(node, &x.shape, &weights.shape)?;
    let placed = windows::window(node, &x.shape, &weights.shape[2..])?;
    let (window, groups) = (&placed.window, shape.groups);
    let pixels = count(&placed.output)?;
    let (channels, outputs) = (x.shape[1] / groups, weights.shape[0] / groups);
    let area = count(&x.shape[2..])?;
    let size = count(&[window.size[0] as usize, window.size[1] as usize])?;
    count(&[channels * size, pixels])?;
    let under: Vec<Vec<Option<usize>>> = (0..pixels).map(|at| window.under(at).collect()).collect();
    let (values, weights) = (x.floats()?, weights.floats()?);
    let bias = inputs.get(2).copied().flatten().map(Tensor::to_floats);
    let mut result = Vec::new();
    for picture in 0..x.shape[0] {
        for group in 0..groups {
            let mut patches = vec![0.0; channels * size * pixels];
            for channel in 0..channels {
                let plane = &values[((picture * groups + group) * channels + channel) * area..];
                for (pixel, seen) in under.iter().enumerate() {
                    for (place, at) in seen.iter().enumerate() {
                        let value = at.map_or(0.0, |at| plane[at]);
                        patches[(channel * size + place) * pixels + pixel] = value;
                    }
                }
            }
            let kernels = &weights[group * outputs * channels * size..];
            result.extend(multiply(
                outputs,
                channels * size,
                pixels,
                kernels,
                &patches,
            ));
        }
    }
    if let Some(bias) = bias {
        for (index, value) in result.iter_mut().enumerate() {
            *value += bias
                .get(index / pixels % shape.outputs)
                .copied()
                .unwrap_or(0.0);
        }
    }
    let mut of = vec![x.shape[0], shape.outputs];
    of.extend(&placed.output);
    Tensor::float(of, result)
}

/// Groups and outputs of a convolution whose shapes fit.
pub(crate) struct ConvShape {
    /// Equal parts of channels.
    pub(crate) groups: usize,
    /// Channels of the result.
    pub(crate) outputs: usize,
}

pub(crate) fn conv_shape(node: &Node, x: &[usize], w: &[usize]) -> Result<ConvShape, Fault> {
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let fits = x.len() == w.len()
        && x.len() >= 3
        && groups > 0
        && w.iter().chain(x).all(|extent| *extent > 0)
        && w[1].checked_mul(groups) == Some(x[1])
        && w[0].is_multiple_of(groups);
    let kernel = node.ints("kernel_shape").is_none_or(|kernel| {
        kernel
            .iter()
            .map(|k| *k as usize)
            .eq(w.iter().skip(2).copied())
    });
    if !fits || !kernel {
        return Err(Fault::Shape(format!(
            "kernels {w:?} do not go with an input {x:?}"
        )));
    }
    Ok(ConvShape {
        groups,
        outputs: w[0],
    })
}

pub(super) fn pool(node: &Node, x: &Tensor) -> Result<Tensor, Fault> {
    if x.rank() < 3 {
        return Err(Fault::Shape("takes batch, channels and extents".into()));
    }
    let placed = windows::window(node, &x.shape, &[])?;
    let greatest = node.operator == "MaxPool";
    let all = node.int("count_include_pad", 0) != 0;
    let window = &placed.window;
    let size = (window.size[0] * window.size[1]) as f32;
    count(&[
        window.size[0] as usize,
        window.size[1] as usize,
        count(&placed.output)?,
    ])?;
    let area = count(&x.shape[2..])?;
    let pixels = count(&placed.output)?;
    let under: Vec<Vec<usize>> = (0..pixels)
        .map(|at| window.under(at).flatten().collect())
        .collect();
    let mut result = vec![];
    for plane in x.floats()?.chunks_exact(area.max(1)) {
        result.extend(under.iter().map(|seen| {
            let values = seen.iter().map(|at| plane[*at]);
            if greatest {
                values.fold(f32::NEG_INFINITY, f32::max)
            } else {
                values.sum::<f32>() / if all { size } else { seen.len() as f32 }
            }
        }));
    }
    let mut of = x.shape[..2].to_vec();
    of.extend(&placed.output);
    Tensor::float(of, result)
}

pub(super) fn global_pool(node: &Node, x: &Tensor) -> Result<Tensor, Fault> {
    if x.rank() < 3 {
        return Err(Fault::Shape("takes batch, channels and extents".into()));
    }
    let area = count(&x.shape[2..])?.max(1);
    let planes = x.floats()?.chunks_exact(area);
    let values = if node.operator == "GlobalMaxPool" {
        planes
            .map(|plane| plane.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            .collect()
    } else {
        planes
            .map(|plane| plane.iter().sum::<f32>() / area as f32)
            .collect()
    };
    let shape = x
        .shape
        .iter()
        .enumerate()
        .map(|(axis, extent)| if axis < 2 { *extent } else { 1 });
    Tensor::float(shape.collect(), values)
}

/// Factor and offset of each channel of a batch normalization.
pub(crate) fn batch_scale(
    node: &Node,
    constants: [&Tensor; 4],
) -> Result<(Vec<f32>, Vec<f32>), Fault> {
    let epsilon = node.number("epsilon", 1e-5);
    let [gain, bias, mean, variance] = constants.map(Tensor::to_floats);
    let lengths = [bias.len(), mean.len(), variance.len()];
    if lengths != [gain.len(); 3] {
        return Err(Fault::Shape("its constants differ in length".into()));
    }
    let factors: Vec<f32> = gain
        .iter()
        .zip(&variance)
        .map(|(gain, variance)| gain / (variance + epsilon).sqrt())
        .collect();
    let offsets = bias
        .iter()
        .zip(&mean)
        .zip(&factors)
        .map(|((bias, mean), factor)| bias - mean * factor);
    let offsets = offsets.collect();
    Ok((factors, offsets))
}

pub(super) fn batch_normalization(
    node: &Node,
    inputs: &[Option<&Tensor>],
) -> Result<Tensor, Fault> {
    let x = super::needed(inputs, 0)?;
    let constant = |index| super::needed(inputs, index);
    let (factors, offsets) = batch_scale(
        node,
        [constant(1)?, constant(2)?, constant(3)?, constant(4)?],
    )?;
    if x.rank() < 2 || x.shape[1] != factors.len() {
        return Err(Fault::Shape("has not as many channels as constants".into()));
    }
    let each = strides(&x.shape)[1].max(1);
    let values = x.floats()?.iter().enumerate().map(|(index, x)| {
        let channel = index / each % factors.len();
        x * factors[channel] + offsets[channel]
    });
    Tensor::float(x.shape.clone(), values.collect())
}
