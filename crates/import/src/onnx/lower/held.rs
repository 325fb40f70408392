//! Where a tensor's elements lie in a step's value: strides, so that most changes of order cost nothing.

use crate::onnx::{Fault, moves::Move, tensor::strides};
use og_program::operation::Step;

/// A tensor in a program: element `index` is element `offset + Σ strides·index` of the step's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The step.
    pub(crate) step: Step,
    /// Extents of the tensor.
    pub(crate) shape: Vec<usize>,
    /// The first element.
    pub(crate) offset: i64,
    /// From one element to the next along each axis; 0 where it repeats.
    pub(crate) strides: Vec<i64>,
}

impl Held {
    /// A tensor whose elements are a step's, in row-major order.
    pub(crate) fn new(step: Step, shape: Vec<usize>) -> Self {
        let strides = strides(&shape)
            .into_iter()
            .map(|stride| stride as i64)
            .collect();
        Self {
            step,
            shape,
            offset: 0,
            strides,
        }
    }

    /// A tensor whose elements lie in the order of these axes, outermost first.
    pub(crate) fn ordered(step: Step, shape: Vec<usize>, order: &[usize]) -> Self {
        let mut held = Self::new(step, shape);
        let mut stride = 1;
        for axis in order.iter().rev() {
            held.strides[*axis] = stride;
            stride *= held.shape[*axis] as i64;
        }
        held
    }

    /// Axes of more than one element, those with the greatest strides first.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shape.len())
            .filter(|axis| self.shape[*axis] != 1)
            .collect();
        order.sort_by_key(|axis| (std::cmp::Reverse(self.strides[*axis].abs()), *axis));
        order
    }

    /// Whether it holds every element of a value of `elements` elements once.
    pub(crate) fn is_whole(&self, elements: usize) -> bool {
        let mut stride = 1;
        for axis in self.order().into_iter().rev() {
            if self.strides[axis] != stride {
                return false;
            }
            stride *= self.shape[axis] as i64;
        }
        self.offset == 0 && stride == elements as i64
    }

    /// Read with the axes of a change; `None` if elements would have to move.
    pub(crate) fn moved(&self, change: &Move) -> Option<Self> {
        match change {
            Move::Reshape(shape) => self.reshaped(shape),
            Move::Axes { axes, fixed } => {
                let along = |axis: &usize, index: usize| self.strides[*axis] * index as i64;
                let fixed: i64 = fixed.iter().map(|(axis, index)| along(axis, *index)).sum();
                let starts = axes
                    .iter()
                    .filter_map(|axis| Some(along(&axis.source?, axis.start)));
                Some(Self {
                    step: self.step,
                    shape: axes.iter().map(|axis| axis.extent).collect(),
                    offset: self.offset + fixed + starts.sum::<i64>(),
                    strides: axes
                        .iter()
                        .map(|axis| {
                            axis.source
                                .map_or(0, |source| self.strides[source] * axis.step)
                        })
                        .collect(),
                })
            }
        }
    }

    /// The same elements in row-major order under another shape, if strides can say that.
    fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let kept: Vec<usize> = (0..self.shape.len())
            .filter(|axis| self.shape[*axis] != 1)
            .collect();
        let mut strides = vec![0; shape.len()];
        let (mut old, mut new) = (0, 0);
        while old < kept.len() {
            // The fewest old and new axes that hold equally many elements.
            let (first_old, first_new) = (old, new);
            let mut have = self.shape[kept[old]];
            old += 1;
            let mut want = 1;
            while want != have {
                if want < have {
                    want *= *shape.get(new)?;
                    new += 1;
                } else {
                    have *= self.shape[*kept.get(old)?];
                    old += 1;
                }
            }
            let group = &kept[first_old..old];
            let joined = group.windows(2).all(|pair| {
                self.strides[pair[0]] == self.strides[pair[1]] * self.shape[pair[1]] as i64
            });
            if !joined {
                return None;
            }
            let mut stride = self.strides[*group.last()?];
            for axis in (first_new..new).rev() {
                strides[axis] = stride;
                stride *= shape[axis] as i64;
            }
        }
        let shape = shape.to_vec();
        Some(Self {
            step: self.step,
            shape,
            offset: self.offset,
            strides,
        })
    }

    /// Read as the broader shape `shape`.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Result<Self, Fault> {
        let missing = shape.len().checked_sub(self.shape.len());
        let missing = missing.ok_or_else(|| Fault::Shape("cannot be broadcast".into()))?;
        let strides = (0..shape.len()).map(|axis| match axis.checked_sub(missing) {
            Some(own) if self.shape[own] == shape[axis] => Ok(self.strides[own]),
            Some(own) if self.shape[own] != 1 => Err(Fault::Shape("cannot be broadcast".into())),
            _ => Ok(0),
        });
        let strides = strides.collect::<Result<_, _>>()?;
        Ok(Self {
            step: self.step,
            shape: shape.to_vec(),
            offset: self.offset,
            strides,
        })
    }

    /// Extents and strides along these axes, joined where neighbours run on.
    pub(crate) fn axes(&self, order: &[usize]) -> Vec<(u32, i32)> {
        let mut axes: Vec<(u32, i32)> = vec![];
        for axis in order.iter().filter(|axis| self.shape[**axis] != 1) {
            let (extent, stride) = (self.shape[*axis] as u32, self.strides[*axis] as i32);
            match axes.last_mut() {
                Some(last) if i64::from(last.1) == i64::from(stride) * i64::from(extent) => {
                    *last = (last.0 * extent, stride);
                }
                _ => axes.push((extent, stride)),
            }
        }
        if axes.is_empty() {
            axes.push((1, 1));
        }
        axes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::moves::permutation;

    #[test]
    fn reshaping_needs_no_copy_where_axes_run_on() {
        let held = Held::new(0, vec![1, 6, 8]);
        let heads = held.moved(&Move::Reshape(vec![1, 6, 2, 4])).unwrap();
        assert_eq!(heads.strides[1..], [8, 4, 1]);
        let moved = heads
            .moved(&permutation(&heads.shape, &[0, 2, 1, 3]))
            .unwrap();
        assert_eq!(
            (moved.shape.clone(), moved.strides[1..].to_vec()),
            (vec![1, 2, 6, 4], vec![4, 8, 1])
        );
        assert!(moved.is_whole(48) && !moved.is_whole(96));
        assert!(moved.moved(&Move::Reshape(vec![12, 4])).is_none());
        assert_eq!(moved.moved(&Move::Reshape(vec![2, 24])), None);
        assert_eq!(
            moved
                .moved(&Move::Reshape(vec![2, 3, 2, 4]))
                .unwrap()
                .strides,
            [4, 16, 8, 1]
        );
    }

    #[test]
    fn neighbours_that_run_on_are_one_axis() {
        let held = Held::ordered(0, vec![1, 3, 4, 5], &[0, 2, 3, 1]);
        assert_eq!(held.axes(&[0, 2, 3, 1]), [(60, 1)]);
        assert_eq!(held.axes(&[1, 2, 3]), [(3, 1), (20, 3)]);
        assert_eq!(held.order(), [2, 3, 1]);
    }
}
