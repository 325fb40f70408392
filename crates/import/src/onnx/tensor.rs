//! Tensors of the float original, with the few index computations that everything else is made of.

use super::Fault;

/// Elements of one tensor, at most.
pub(crate) const MAX_ELEMENTS: usize = og_program::check::MAX_ELEMENTS;
/// Axes of one tensor, at most.
pub(crate) const MAX_RANK: usize = 8;

/// Elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    /// Floats of any width, as 32 bits.
    Float(Vec<f32>),
    /// Integers of any width; booleans as 0 and 1.
    Int(Vec<i64>),
}

/// A tensor of the original.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    /// Extents.
    pub(crate) shape: Vec<usize>,
    /// Elements.
    pub(crate) data: Data,
}

/// Elements of one constant, at most: tables and matrices are larger than values.
const MAX_CONSTANT: usize = 1 << 28;

/// The product of extents, bounded; so is the product of any of them, even beside an extent of zero.
pub(crate) fn count(shape: &[usize]) -> Result<usize, Fault> {
    bounded(shape, MAX_ELEMENTS)
}

/// The same for a constant.
pub(crate) fn count_constant(shape: &[usize]) -> Result<usize, Fault> {
    bounded(shape, MAX_CONSTANT)
}

fn bounded(shape: &[usize], most: usize) -> Result<usize, Fault> {
    let product = shape
        .iter()
        .try_fold(1_usize, |product, extent| {
            product.checked_mul((*extent).max(1))
        })
        .filter(|elements| *elements <= most && shape.len() <= MAX_RANK);
    let elements = product.map(|elements| if shape.contains(&0) { 0 } else { elements });
    elements.ok_or_else(|| {
        let shown = &shape[..shape.len().min(MAX_RANK)];
        Fault::Shape(format!(
            "a tensor of shape {shown:?} is too large: {most} elements and {MAX_RANK} axes are allowed"
        ))
    })
}

/// Distances between neighbours along each axis of a row-major tensor. The shape was counted.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The axis that a number which may count from the end means.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Fault> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| Fault::Shape(format!("axis {axis} of a tensor with {rank} axes")))
}

/// The shape that two shapes are broadcast to.
pub(crate) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Fault> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    let shape = (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            _ => Err(Fault::Shape(format!(
                "shapes {a:?} and {b:?} do not go together"
            ))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    count(&shape)?;
    Ok(shape)
}

/// For each element of `to`, in order, the offset of its source: axes have `strides` in the source.
pub(crate) fn walk(to: &[usize], strides: &[i64], offset: i64) -> Vec<usize> {
    if to.contains(&0) {
        return vec![];
    }
    let mut sources = vec![offset];
    for (extent, stride) in to.iter().zip(strides) {
        let mut next = Vec::with_capacity(sources.len() * extent);
        for at in &sources {
            next.extend((0..*extent as i64).map(|index| at + index * stride));
        }
        sources = next;
    }
    sources.into_iter().map(|at| at as usize).collect()
}

/// Strides with which a tensor of shape `from` is read as one of the broader shape `to`.
pub(crate) fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<i64> {
    let own = strides(from);
    let missing = to.len().saturating_sub(from.len());
    (0..to.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(axis) if from[axis] != 1 => own[axis] as i64,
            _ => 0,
        })
        .collect()
}

impl Tensor {
    /// Floats of a shape.
    pub(crate) fn float(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, Fault> {
        Self::new(shape, Data::Float(values))
    }

    /// Integers of a shape.
    pub(crate) fn int(shape: Vec<usize>, values: Vec<i64>) -> Result<Self, Fault> {
        Self::new(shape, Data::Int(values))
    }

    /// A list of integers.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Self {
            shape: vec![values.len()],
            data: Data::Int(values),
        }
    }

    fn new(shape: Vec<usize>, data: Data) -> Result<Self, Fault> {
        let tensor = Self { shape, data };
        if count_constant(&tensor.shape)? != tensor.len() {
            return Err(Fault::Shape(format!(
                "{} elements for the shape {:?}",
                tensor.len(),
                tensor.shape
            )));
        }
        Ok(tensor)
    }

    /// Elements.
    pub(crate) fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        }
    }

    /// Axes.
    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Whether elements are floats.
    pub(crate) fn is_float(&self) -> bool {
        matches!(self.data, Data::Float(_))
    }

    /// The floats, or a fault that names what is wrong.
    pub(crate) fn floats(&self) -> Result<&[f32], Fault> {
        match &self.data {
            Data::Float(values) => Ok(values),
            Data::Int(_) => Err(Fault::Shape("takes floats, not integers".into())),
        }
    }

    /// The integers, or a fault that names what is wrong.
    pub(crate) fn ints(&self) -> Result<&[i64], Fault> {
        match &self.data {
            Data::Int(values) => Ok(values),
            Data::Float(_) => Err(Fault::Shape("takes integers, not floats".into())),
        }
    }

    /// Elements as floats, whatever they are.
    pub(crate) fn to_floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Float(values) => values.clone(),
            Data::Int(values) => values.iter().map(|value| *value as f32).collect(),
        }
    }

    /// The one element, as a float.
    pub(crate) fn scalar(&self) -> Option<f32> {
        match &self.data {
            Data::Float(values) => values.first().copied(),
            Data::Int(values) => values.first().map(|value| *value as f32),
        }
        .filter(|_| self.len() == 1)
    }

    /// The same elements in another shape.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Result<Self, Fault> {
        Self::new(shape, self.data.clone())
    }

    /// Elements by their offsets, in a new shape. Offsets were computed from this tensor's shape.
    pub(crate) fn gathered(&self, shape: Vec<usize>, sources: &[usize]) -> Result<Self, Fault> {
        let outside = || Fault::Shape("reads beyond its input".into());
        let data = match &self.data {
            Data::Float(values) => Data::Float(pick(values, sources).ok_or_else(outside)?),
            Data::Int(values) => Data::Int(pick(values, sources).ok_or_else(outside)?),
        };
        Self::new(shape, data)
    }

    /// Repeated along axes of extent 1, and new leading axes.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Result<Self, Fault> {
        if self.shape == shape {
            return Ok(self.clone());
        }
        if broadcast_shape(&self.shape, shape)? != shape {
            return Err(Fault::Shape(format!(
                "a tensor of shape {:?} cannot become {shape:?}",
                self.shape
            )));
        }
        let sources = walk(shape, &broadcast_strides(&self.shape, shape), 0);
        self.gathered(shape.to_vec(), &sources)
    }

    /// Axes in another order: axis `i` of the result is axis `order[i]` of this.
    pub(crate) fn transposed(&self, order: &[usize]) -> Result<Self, Fault> {
        let own = strides(&self.shape);
        let shape: Vec<usize> = order.iter().map(|axis| self.shape[*axis]).collect();
        let moved: Vec<i64> = order.iter().map(|axis| own[*axis] as i64).collect();
        self.gathered(shape.clone(), &walk(&shape, &moved, 0))
    }
}

fn pick<T: Copy>(values: &[T], sources: &[usize]) -> Option<Vec<T>> {
    sources.iter().map(|at| values.get(*at).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_move_and_repeat() {
        let tensor = Tensor::int(vec![2, 3], (0..6).collect()).unwrap();
        let moved = tensor.transposed(&[1, 0]).unwrap();
        assert_eq!(moved.ints().unwrap(), [0, 3, 1, 4, 2, 5]);
        let row = Tensor::list(vec![7, 8, 9]).broadcast(&[2, 3]).unwrap();
        assert_eq!(row.ints().unwrap(), [7, 8, 9, 7, 8, 9]);
        assert!(tensor.broadcast(&[3, 2]).is_err());
    }

    #[test]
    fn what_is_too_large_is_refused() {
        assert!(count(&[usize::MAX, 2]).is_err());
        assert!(count(&[1; 9]).is_err());
        assert!(count(&[0, usize::MAX]).is_err());
        assert_eq!(count(&[0, 7]), Ok(0));
        // The embedding of a common encoder is a constant, and no value.
        assert!(count(&[30_522, 768]).is_err() && count_constant(&[30_522, 768]).is_ok());
        assert_eq!(axis_of(-1, 3), Ok(2));
        assert!(axis_of(3, 3).is_err() && axis_of(-4, 3).is_err());
    }
}
