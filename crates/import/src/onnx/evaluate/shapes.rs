//! Operators that make shapes and constants, or put tensors together.

use crate::onnx::{
    Fault,
    graph::Node,
    moves::{Axis, Move, moves},
    tensor::{Data, Tensor, axis_of, count, strides, walk},
};

/// Applies one change of order.
pub(super) fn apply(x: &Tensor, change: &Move) -> Result<Tensor, Fault> {
    match change {
        Move::Reshape(shape) => x.reshaped(shape.clone()),
        Move::Axes { axes, fixed } => {
            let own = strides(&x.shape);
            let at = |axis: usize, index: usize| (own[axis] * index) as i64;
            let offset: i64 = fixed.iter().map(|(axis, index)| at(*axis, *index)).sum();
            let starts = axes
                .iter()
                .filter_map(|axis| axis.source.map(|source| at(source, axis.start)));
            let offset = offset + starts.sum::<i64>();
            let along: Vec<i64> = axes
                .iter()
                .map(|axis| {
                    axis.source
                        .map_or(0, |source| own[source] as i64 * axis.step)
                })
                .collect();
            let shape: Vec<usize> = axes.iter().map(|axis: &Axis| axis.extent).collect();
            count(&shape)?;
            x.gathered(shape.clone(), &walk(&shape, &along, offset))
        }
    }
}

/// Computes an operator that only moves; `None` if it is no such one.
pub(super) fn evaluate_moves(
    node: &Node,
    inputs: &[Option<&Tensor>],
    opset: i64,
) -> Result<Option<Vec<Tensor>>, Fault> {
    let Some(x) = inputs.first().copied().flatten() else {
        return Ok(None);
    };
    let constant = |index: usize| inputs.get(index).copied().flatten().cloned();
    let Some(outputs) = moves(node, &x.shape, &constant, opset)? else {
        return Ok(None);
    };
    outputs
        .iter()
        .map(|changes| {
            changes
                .iter()
                .try_fold(x.clone(), |x, change| apply(&x, change))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

pub(super) fn constant(node: &Node) -> Result<Tensor, Fault> {
    let floats = node
        .floats("value_floats")
        .map(|values| Tensor::float(vec![values.len()], values));
    let ints = node
        .ints("value_ints")
        .map(|values| Ok(Tensor::list(values.to_vec())));
    if let Some(tensor) = node.tensor("value") {
        return Ok(tensor.clone());
    }
    if let Some(list) = floats.or(ints) {
        return list;
    }
    let number = node.number("value_float", f32::NAN);
    if !number.is_nan() {
        return Tensor::float(vec![], vec![number]);
    }
    Tensor::int(vec![], vec![node.int("value_int", 0)])
}

pub(super) fn shape(node: &Node, x: &Tensor) -> Result<Tensor, Fault> {
    let rank = x.rank() as i64;
    let bound = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
    let extents = x.shape.get(start..end).unwrap_or(&[]);
    Ok(Tensor::list(
        extents.iter().map(|extent| *extent as i64).collect(),
    ))
}

fn shape_of(list: &Tensor) -> Result<Vec<usize>, Fault> {
    let extents = list.ints()?.iter().map(|extent| usize::try_from(*extent));
    let shape = extents.collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| Fault::Shape("a shape is negative".into()))?;
    count(&shape)?;
    Ok(shape)
}

pub(super) fn constant_of_shape(node: &Node, list: &Tensor) -> Result<Tensor, Fault> {
    let shape = shape_of(list)?;
    let one = match node.tensor("value") {
        Some(value) => value.reshaped(vec![])?,
        None => Tensor::float(vec![], vec![0.0])?,
    };
    one.broadcast(&shape)
}

pub(super) fn range(inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let [start, limit, delta] = [0, 1, 2].map(|index| super::needed(inputs, index));
    let (start, limit, delta) = (start?, limit?, delta?);
    let one = |tensor: &Tensor| {
        tensor
            .scalar()
            .ok_or_else(|| Fault::Shape("takes numbers".into()))
    };
    let (from, to, by) = (one(start)?, one(limit)?, one(delta)?);
    let length = ((to - from) / by).ceil();
    if !(0.0..=1e6).contains(&length) {
        return Err(Fault::Shape("its range is endless or too long".into()));
    }
    let values = (0..length as usize).map(|index| from + index as f32 * by);
    if start.is_float() {
        Tensor::float(vec![length as usize], values.collect())
    } else {
        Ok(Tensor::list(values.map(|value| value as i64).collect()))
    }
}

pub(super) fn gather(node: &Node, x: &Tensor, indices: &Tensor) -> Result<Tensor, Fault> {
    let axis = axis_of(node.int("axis", 0), x.rank())?;
    let extent = x.shape[axis];
    let inner = count(&x.shape[axis + 1..])?;
    let mut shape = x.shape[..axis].to_vec();
    shape.extend(&indices.shape);
    shape.extend(&x.shape[axis + 1..]);
    count(&shape)?;
    let places = indices
        .ints()?
        .iter()
        .map(|index| place(*index, extent))
        .collect::<Result<Vec<_>, _>>()?;
    let mut sources = vec![];
    for outer in 0..count(&x.shape[..axis])? {
        for place in &places {
            let start = (outer * extent + place) * inner;
            sources.extend(start..start + inner);
        }
    }
    x.gathered(shape, &sources)
}

/// An index that may count from the end.
pub(crate) fn place(index: i64, extent: usize) -> Result<usize, Fault> {
    let from_start = if index < 0 {
        index + extent as i64
    } else {
        index
    };
    usize::try_from(from_start)
        .ok()
        .filter(|index| *index < extent)
        .ok_or_else(|| Fault::Shape(format!("index {index} of {extent}")))
}

pub(super) fn concat(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let given: Vec<&Tensor> = inputs.iter().flatten().copied().collect();
    let first = super::needed(inputs, 0)?;
    let axis = axis_of(node.int("axis", 0), first.rank())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for x in &given {
        let alike = x.rank() == shape.len()
            && (0..shape.len()).all(|other| other == axis || x.shape[other] == shape[other]);
        if !alike {
            return Err(Fault::Shape("its inputs differ in shape".into()));
        }
        shape[axis] = shape[axis].saturating_add(x.shape[axis]);
    }
    count(&shape)?;
    fn joined<T: Copy>(parts: &[(Vec<T>, usize)], outer: usize) -> Vec<T> {
        let each = |at: usize| {
            parts
                .iter()
                .flat_map(move |(values, length)| &values[at * length..][..*length])
        };
        (0..outer).flat_map(each).copied().collect()
    }
    let outer = count(&shape[..axis])?;
    let length = |x: &Tensor| count(&x.shape[axis..]);
    if given.iter().all(|x| !x.is_float()) {
        let parts = given.iter().map(|x| Ok((x.ints()?.to_vec(), length(x)?)));
        return Tensor::int(
            shape,
            joined(&parts.collect::<Result<Vec<_>, Fault>>()?, outer),
        );
    }
    let parts = given.iter().map(|x| Ok((x.to_floats(), length(x)?)));
    Tensor::float(
        shape,
        joined(&parts.collect::<Result<Vec<_>, Fault>>()?, outer),
    )
}

/// What `Pad` puts before and after each axis, and with which number.
pub(crate) struct Padding {
    /// Elements before, for each axis; negative ones cut.
    pub(crate) before: Vec<i64>,
    /// Elements after.
    pub(crate) after: Vec<i64>,
    /// The number.
    pub(crate) value: f32,
}

pub(crate) fn padding(
    node: &Node,
    rank: usize,
    constant: &dyn Fn(usize) -> Option<Tensor>,
) -> Result<Padding, Fault> {
    if node.text("mode", "constant") != "constant" {
        return Err(Fault::Unsupported("pads with a constant only"));
    }
    let list = match constant(1) {
        Some(list) => list.ints()?.to_vec(),
        None => node.ints("pads").unwrap_or(&[]).to_vec(),
    };
    let axes = match constant(3) {
        Some(axes) => axes
            .ints()?
            .iter()
            .map(|axis| axis_of(*axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let bounded = list.iter().all(|pad| pad.abs() <= 1 << 20);
    if list.len() != 2 * axes.len() || !bounded {
        return Err(Fault::Shape("its pads do not go with its axes".into()));
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (index, axis) in axes.iter().enumerate() {
        before[*axis] = list[index];
        after[*axis] = list[axes.len() + index];
    }
    let value = constant(2).and_then(|value| value.scalar());
    let value = value.unwrap_or_else(|| node.number("value", 0.0));
    Ok(Padding {
        before,
        after,
        value,
    })
}

pub(super) fn pad(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let x = super::needed(inputs, 0)?;
    let constant = |index: usize| inputs.get(index).copied().flatten().cloned();
    let padding = padding(node, x.rank(), &constant)?;
    let extents = x
        .shape
        .iter()
        .zip(padding.before.iter().zip(&padding.after));
    let shape = extents
        .map(|(extent, (before, after))| usize::try_from(*extent as i64 + before + after))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Fault::Shape("cuts more than there is".into()))?;
    let elements = count(&shape)?;
    let (own, of) = (strides(&x.shape), strides(&shape));
    let source = |at: usize| {
        let mut source = 0;
        for axis in 0..shape.len() {
            let index = (at / of[axis] % shape[axis]) as i64 - padding.before[axis];
            let index = usize::try_from(index)
                .ok()
                .filter(|index| *index < x.shape[axis])?;
            source += index * own[axis];
        }
        Some(source)
    };
    let data = match &x.data {
        Data::Float(values) => Data::Float(
            (0..elements)
                .map(|at| source(at).map_or(padding.value, |at| values[at]))
                .collect(),
        ),
        Data::Int(values) => Data::Int(
            (0..elements)
                .map(|at| source(at).map_or(padding.value as i64, |at| values[at]))
                .collect(),
        ),
    };
    Ok(Tensor { shape, data })
}

/// The lower or upper triangle of the last two axes.
pub(super) fn triangle(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let x = super::needed(inputs, 0)?;
    let [.., rows, columns] = *x.shape else {
        return Err(Fault::Shape("takes matrices".into()));
    };
    let k = match inputs.get(1).copied().flatten() {
        Some(k) => k.scalar().unwrap_or(0.0) as i64,
        None => 0,
    };
    let upper = node.int("upper", 1) != 0;
    let kept = |at: usize| {
        let (row, column) = (at / columns % rows, at % columns);
        let above = column as i64 - row as i64;
        if upper { above >= k } else { above <= k }
    };
    let data = match &x.data {
        Data::Float(values) => Data::Float(
            values
                .iter()
                .enumerate()
                .map(|(at, x)| if kept(at) { *x } else { 0.0 })
                .collect(),
        ),
        Data::Int(values) => Data::Int(
            values
                .iter()
                .enumerate()
                .map(|(at, x)| if kept(at) { *x } else { 0 })
                .collect(),
        ),
    };
    Ok(Tensor {
        shape: x.shape.clone(),
        data,
    })
}

/// Sums of all before along an axis.
pub(super) fn cumulative(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Tensor, Fault> {
    let (x, axis) = (super::needed(inputs, 0)?, super::needed(inputs, 1)?);
    let axis = axis_of(axis.scalar().unwrap_or(0.0) as i64, x.rank())?;
    if node.int("exclusive", 0) != 0 || node.int("reverse", 0) != 0 {
        return Err(Fault::Unsupported(
            "exclusive and reverse are not converted",
        ));
    }
    let stride = strides(&x.shape)[axis];
    let mut values: Vec<f64> = x.to_floats().iter().map(|x| f64::from(*x)).collect();
    for at in 0..values.len() {
        if !(at / stride).is_multiple_of(x.shape[axis]) {
            values[at] += values[at - stride];
        }
    }
    if x.is_float() {
        Tensor::float(x.shape.clone(), values.iter().map(|x| *x as f32).collect())
    } else {
        Tensor::int(x.shape.clone(), values.iter().map(|x| *x as i64).collect())
    }
}

/// `Gather` along several axes at once, or its opposite: constants of masks are made so.
pub(crate) fn gather_nd(x: &Tensor, indices: &Tensor) -> Result<Tensor, Fault> {
    let [outer @ .., depth] = indices.shape.as_slice() else {
        return Err(Fault::Shape("takes lists of indices".into()));
    };
    if *depth == 0 || *depth > x.rank() {
        return Err(Fault::Shape(
            "its indices are longer than its input has axes".into(),
        ));
    }
    let own = strides(&x.shape);
    let inner = count(&x.shape[*depth..])?;
    let mut shape = outer.to_vec();
    shape.extend(&x.shape[*depth..]);
    count(&shape)?;
    let mut sources = vec![];
    for index in indices.ints()?.chunks_exact(*depth) {
        let mut start = 0;
        for (axis, index) in index.iter().enumerate() {
            start += place(*index, x.shape[axis])? * own[axis];
        }
        sources.extend(start..start + inner);
    }
    x.gathered(shape, &sources)
}

/// Elements at indices along an axis, for each place of the indices.
pub(super) fn gather_elements(node: &Node, x: &Tensor, indices: &Tensor) -> Result<Tensor, Fault> {
    let axis = axis_of(node.int("axis", 0), x.rank())?;
    let fits = indices.rank() == x.rank()
        && (0..x.rank()).all(|other| other == axis || indices.shape[other] <= x.shape[other]);
    if !fits {
        return Err(Fault::Shape("its indices go beyond its input".into()));
    }
    let own: Vec<i64> = strides(&x.shape)
        .into_iter()
        .map(|stride| stride as i64)
        .collect();
    let mut along = own.clone();
    along[axis] = 0;
    let starts = walk(&indices.shape, &along, 0);
    let sources = starts
        .into_iter()
        .zip(indices.ints()?)
        .map(|(start, index)| Ok(start + place(*index, x.shape[axis])? * own[axis] as usize));
    x.gathered(
        indices.shape.clone(),
        &sources.collect::<Result<Vec<_>, Fault>>()?,
    )
}
