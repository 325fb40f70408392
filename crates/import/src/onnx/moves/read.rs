//! What inputs and attributes of these operators say.

use super::{Axis, Move, permutation, whole};
use crate::onnx::{
    Fault,
    graph::Node,
    tensor::{Tensor, axis_of, count},
};

pub(super) struct Reader<'a> {
    pub(super) node: &'a Node,
    pub(super) shape: &'a [usize],
    pub(super) constant: &'a dyn Fn(usize) -> Option<Tensor>,
    pub(super) opset: i64,
}

impl Reader<'_> {
    /// Integers that are an input in new versions and an attribute in old ones.
    fn list(&self, input: usize, name: &str) -> Result<Option<Vec<i64>>, Fault> {
        match (self.constant)(input) {
            Some(tensor) => Ok(Some(tensor.ints()?.to_vec())),
            None if self.node.input(input).is_some() => Err(Fault::Unsupported(
                "its shape depends on values that are only known at run time: export with fixed shapes",
            )),
            None => Ok(self.node.ints(name).map(<[i64]>::to_vec)),
        }
    }

    fn needed(&self, input: usize, name: &str) -> Result<Vec<i64>, Fault> {
        let list = self.list(input, name)?;
        list.ok_or_else(|| Fault::Shape(format!("lacks {name}")))
    }

    pub(super) fn reshape(&self) -> Result<Vec<usize>, Fault> {
        let wanted = self.needed(1, "shape")?;
        let keeps_zero = self.node.int("allowzero", 0) == 0;
        let elements = count(self.shape)?;
        let mut shape = vec![];
        let mut unknown = None;
        for (axis, extent) in wanted.iter().enumerate() {
            shape.push(match extent {
                0 if keeps_zero => *self
                    .shape
                    .get(axis)
                    .ok_or_else(|| Fault::Shape("keeps an axis that is not there".into()))?,
                -1 if unknown.is_none() => {
                    unknown = Some(axis);
                    1
                }
                extent => usize::try_from(*extent)
                    .map_err(|_| Fault::Shape(format!("shape {wanted:?} is none")))?,
            });
        }
        if let Some(axis) = unknown {
            let others = count(&shape)?.max(1);
            shape[axis] = elements / others;
        }
        if count(&shape)? != elements {
            let own = self.shape;
            return Err(Fault::Shape(format!(
                "shape {own:?} cannot become {wanted:?}"
            )));
        }
        Ok(shape)
    }

    pub(super) fn squeeze(&self) -> Result<Vec<usize>, Fault> {
        let rank = self.shape.len();
        let axes = match self.list(1, "axes")? {
            Some(axes) => axes
                .iter()
                .map(|axis| axis_of(*axis, rank))
                .collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).filter(|axis| self.shape[*axis] == 1).collect(),
        };
        if axes.iter().any(|axis| self.shape[*axis] != 1) {
            return Err(Fault::Shape(
                "squeezes an axis of more than one element".into(),
            ));
        }
        let kept = (0..rank).filter(|axis| !axes.contains(axis));
        Ok(kept.map(|axis| self.shape[axis]).collect())
    }

    pub(super) fn unsqueeze(&self) -> Result<Vec<usize>, Fault> {
        let axes = self.needed(1, "axes")?;
        let rank = self.shape.len() + axes.len();
        let axes = axes
            .iter()
            .map(|axis| axis_of(*axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        let mut old = self.shape.iter();
        let shape: Vec<usize> = (0..rank)
            .filter_map(|axis| {
                if axes.contains(&axis) {
                    Some(1)
                } else {
                    old.next().copied()
                }
            })
            .collect();
        count(&shape)?;
        Ok(shape)
    }

    pub(super) fn transpose(&self) -> Result<Move, Fault> {
        let rank = self.shape.len();
        let order: Vec<usize> = match self.node.ints("perm") {
            Some(order) => order
                .iter()
                .map(|axis| axis_of(*axis, rank))
                .collect::<Result<_, _>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..rank) {
            return Err(Fault::Shape("its order names not every axis once".into()));
        }
        Ok(permutation(self.shape, &order))
    }

    pub(super) fn slice(&self) -> Result<Move, Fault> {
        let starts = self.needed(1, "starts")?;
        let ends = self.needed(2, "ends")?;
        let rank = self.shape.len();
        let all = || (0..starts.len() as i64).collect();
        let axes: Vec<i64> = self.list(3, "axes")?.unwrap_or_else(all);
        let steps = self
            .list(4, "steps")?
            .unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(Fault::Shape(
                "its starts, ends, axes and steps differ in number".into(),
            ));
        }
        let mut result: Vec<Axis> = (0..rank)
            .map(|axis| whole(axis, self.shape[axis]))
            .collect();
        for (index, axis) in axes.iter().enumerate() {
            let axis = axis_of(*axis, rank)?;
            let extent = self.shape[axis] as i64;
            let step = steps[index].clamp(-(1 << 32), 1 << 32);
            let from_end = |at: i64| {
                if at < 0 {
                    at.saturating_add(extent)
                } else {
                    at
                }
            };
            let (low, high) = if step > 0 {
                (0, extent)
            } else {
                (-1, extent - 1)
            };
            let start = from_end(starts[index]).clamp(low.max(0), high.max(0));
            // An end of -1 - extent or below means "to the very first" when going backwards.
            let end = from_end(ends[index]).clamp(low, high);
            let taken = match step {
                0 => return Err(Fault::Shape("its step is zero".into())),
                step if step > 0 => (end - start)
                    .max(0)
                    .unsigned_abs()
                    .div_ceil(step.unsigned_abs()),
                step => (start - end)
                    .max(0)
                    .unsigned_abs()
                    .div_ceil(step.unsigned_abs()),
            };
            result[axis] = Axis {
                source: Some(axis),
                start: start as usize,
                step,
                extent: taken as usize,
            };
        }
        Ok(Move::Axes {
            axes: result,
            fixed: vec![],
        })
    }

    pub(super) fn split(&self) -> Result<Vec<Move>, Fault> {
        let axis = axis_of(self.node.int("axis", 0), self.shape.len())?;
        let extent = self.shape[axis];
        let parts = self.node.outputs.len();
        let sizes: Vec<usize> = match self.list(1, "split")? {
            Some(sizes) => sizes
                .iter()
                .map(|size| usize::try_from(*size))
                .collect::<Result<_, _>>()
                .map_err(|_| Fault::Shape("a part is negative".into()))?,
            None => {
                let size = extent.div_ceil(parts.max(1));
                let start = |part: usize| (part * size).min(extent);
                (0..parts)
                    .map(|part| start(part + 1) - start(part))
                    .collect()
            }
        };
        let sum = sizes
            .iter()
            .try_fold(0_usize, |sum, size| sum.checked_add(*size));
        if sizes.len() != parts || sum != Some(extent) {
            return Err(Fault::Shape("its parts do not make the whole".into()));
        }
        let mut start = 0;
        Ok(sizes
            .iter()
            .map(|size| {
                let mut axes: Vec<Axis> = (0..self.shape.len())
                    .map(|axis| whole(axis, self.shape[axis]))
                    .collect();
                axes[axis] = Axis {
                    source: Some(axis),
                    start,
                    step: 1,
                    extent: *size,
                };
                start += size;
                Move::Axes {
                    axes,
                    fixed: vec![],
                }
            })
            .collect())
    }

    pub(super) fn expand(&self) -> Result<Move, Fault> {
        let wanted = self
            .needed(1, "shape")?
            .iter()
            .map(|extent| usize::try_from(*extent))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Fault::Shape("its shape is negative".into()))?;
        let shape = crate::onnx::tensor::broadcast_shape(self.shape, &wanted)?;
        let missing = shape.len() - self.shape.len();
        let axes = shape
            .iter()
            .enumerate()
            .map(|(axis, extent)| match axis.checked_sub(missing) {
                Some(source) if self.shape[source] == *extent => whole(source, *extent),
                _ => Axis {
                    source: None,
                    start: 0,
                    step: 0,
                    extent: *extent,
                },
            });
        Ok(Move::Axes {
            axes: axes.collect(),
            fixed: vec![],
        })
    }

    /// Each axis becomes (`before[axis]`, axis, `after[axis]`), both repetitions, and these are joined.
    fn repeat(&self, before: &[usize], after: &[usize]) -> Result<Vec<Move>, Fault> {
        let mut axes = vec![];
        let mut joined = vec![];
        for (axis, extent) in self.shape.iter().enumerate() {
            let again = |extent: usize| Axis {
                source: None,
                start: 0,
                step: 0,
                extent,
            };
            axes.extend((before[axis] != 1).then(|| again(before[axis])));
            axes.push(whole(axis, *extent));
            axes.extend((after[axis] != 1).then(|| again(after[axis])));
            let extent = extent
                .checked_mul(before[axis])
                .and_then(|extent| extent.checked_mul(after[axis]));
            joined.push(extent.ok_or_else(|| Fault::Shape("repeats too often".into()))?);
        }
        count(&joined)?;
        Ok(vec![
            Move::Axes {
                axes,
                fixed: vec![],
            },
            Move::Reshape(joined),
        ])
    }

    pub(super) fn tile(&self) -> Result<Vec<Move>, Fault> {
        let times = self
            .needed(1, "repeats")?
            .iter()
            .map(|times| usize::try_from(*times))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Fault::Shape("repeats a negative number of times".into()))?;
        if times.len() != self.shape.len() {
            return Err(Fault::Shape("repeats another number of axes".into()));
        }
        self.repeat(&times, &vec![1; self.shape.len()])
    }

    /// Nearest neighbours, by whole factors.
    pub(super) fn resize(&self) -> Result<Vec<Move>, Fault> {
        const HINT: Fault =
            Fault::Unsupported("only enlargement by whole factors with mode nearest is converted");
        if self.node.text("mode", "nearest") != "nearest" {
            return Err(HINT);
        }
        let (scales, sizes) = match self.node.operator.as_str() {
            "Resize" if self.opset >= 11 => (2, 3),
            _ => (1, usize::MAX),
        };
        let sizes = if sizes == usize::MAX {
            None
        } else {
            (self.constant)(sizes)
        };
        let factors: Vec<f32> = match (sizes, (self.constant)(scales)) {
            (Some(sizes), _) => {
                let pairs = sizes.to_floats().into_iter().zip(self.shape);
                pairs.map(|(size, extent)| size / *extent as f32).collect()
            }
            (None, Some(scales)) => scales.to_floats(),
            (None, None) => self.node.floats("scales").ok_or(HINT)?,
        };
        let whole_factors = factors
            .iter()
            .all(|f| f.fract() == 0.0 && (1.0..=65536.0).contains(f));
        let place = self
            .node
            .text("coordinate_transformation_mode", "half_pixel");
        let nearest = self.node.text("nearest_mode", "round_prefer_floor");
        let odd = self.opset >= 11
            && match place {
                "half_pixel" | "pytorch_half_pixel" => !nearest.starts_with("round_prefer"),
                "asymmetric" => nearest != "floor",
                _ => true,
            };
        if factors.len() != self.shape.len() || !whole_factors || odd {
            return Err(HINT);
        }
        let factors: Vec<usize> = factors.iter().map(|factor| *factor as usize).collect();
        self.repeat(&vec![1; self.shape.len()], &factors)
    }

    pub(super) fn depth(&self) -> Result<Vec<Move>, Fault> {
        let block = usize::try_from(self.node.int("blocksize", 0)).unwrap_or(0);
        let [n, c, h, w] = *self.shape else {
            return Err(Fault::Shape("takes pictures: four axes".into()));
        };
        let square = block.checked_mul(block).filter(|square| *square > 0);
        let square = square.ok_or_else(|| Fault::Shape("its block is empty".into()))?;
        let (inner, order, last) = match self.node.operator.as_str() {
            "SpaceToDepth" if h % block == 0 && w % block == 0 => {
                let (h, w) = (h / block, w / block);
                (
                    vec![n, c, h, block, w, block],
                    [0, 3, 5, 1, 2, 4],
                    vec![n, c * square, h, w],
                )
            }
            "DepthToSpace" if c % square == 0 => {
                let last = vec![n, c / square, h * block, w * block];
                if self.node.text("mode", "DCR") == "CRD" {
                    (
                        vec![n, c / square, block, block, h, w],
                        [0, 1, 4, 2, 5, 3],
                        last,
                    )
                } else {
                    (
                        vec![n, block, block, c / square, h, w],
                        [0, 3, 4, 1, 5, 2],
                        last,
                    )
                }
            }
            _ => return Err(Fault::Shape("its block does not divide the picture".into())),
        };
        let permuted = permutation(&inner, &order);
        Ok(vec![Move::Reshape(inner), permuted, Move::Reshape(last)])
    }
}
