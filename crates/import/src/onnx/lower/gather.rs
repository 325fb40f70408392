//! Elements that are picked by index: rows of a table by a request's indices, or constant places.

use super::{Held, Lowering, plain};
use crate::onnx::{
    Fault,
    evaluate::shapes::{gather_nd, place},
    graph::{Id, Node},
    moves::{Axis, Move, whole},
    tensor::{Tensor, axis_of, walk},
};
use og_program::operation::Operation;

/// Places that are picked one by one, at most.
const MAX_PARTS: usize = 4096;

impl Lowering<'_> {
    pub(super) fn gather(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let (data, indices) = (self.needed(node, 0)?, self.needed(node, 1)?);
        let shape = self.shape(data)?.to_vec();
        let axis = axis_of(node.int("axis", 0), shape.len())?;
        if let Some(indices) = self.constant(node, 1).cloned() {
            let held = self.picked(data, &shape, axis, &indices, id, name)?;
            self.set(id, held);
            return Ok(());
        }
        let table = self.needed_constant(node, 0, "picks by an index from a constant only")?;
        if axis != 0 {
            return Err(Fault::Unsupported("picks rows: axis 0 of a constant"));
        }
        let indices = self.indices(indices)?;
        let width = table.len() / shape[0].max(1);
        let matrix = self
            .builder
            .matrix(name, shape[0], width, table.to_floats())?;
        let rows = indices.shape.iter().product();
        let input = self.natural(&indices, 1, name)?;
        let bits = self.bits(id);
        let to = plain(rows, width, bits, self.exponent(id, bits));
        let embed = |matrix, _| Operation::Embed { input, matrix };
        let step = self.builder.with_matrices(name, &matrix, None, to, embed);
        let shape = self.shape(id)?.to_vec();
        self.set(id, Held::new(step, shape));
        Ok(())
    }

    /// Elements at constant indices along an axis.
    fn picked(
        &mut self,
        data: Id,
        shape: &[usize],
        axis: usize,
        indices: &Tensor,
        id: Id,
        name: &str,
    ) -> Result<Held, Fault> {
        let held = self.either(data)?;
        let places = indices
            .ints()?
            .iter()
            .map(|index| place(*index, shape[axis]));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let others = |axes: &mut Vec<Axis>, range: std::ops::Range<usize>| {
            axes.extend(range.map(|axis| whole(axis, shape[axis])));
        };
        let step = match places[..] {
            [first, second, ..] => second as i64 - first as i64,
            _ => 1,
        };
        let first = places.first().copied().unwrap_or(0);
        let even = places
            .iter()
            .enumerate()
            .all(|(n, place)| *place as i64 == first as i64 + n as i64 * step);
        if even && indices.rank() <= 1 {
            let mut axes = vec![];
            others(&mut axes, 0..axis);
            let mut fixed = vec![];
            match indices.rank() {
                0 => fixed.push((axis, first)),
                _ => axes.push(Axis {
                    source: Some(axis),
                    start: first,
                    step,
                    extent: places.len(),
                }),
            }
            others(&mut axes, axis + 1..shape.len());
            return self.moved(held, &Move::Axes { axes, fixed }, name);
        }
        self.picked_one_by_one((held, shape, axis), &places, (indices.rank(), id), name)
    }

    /// The same, by a view for each place: of a tensor with its shape and an axis, to a result with as many axes of
    /// indices.
    fn picked_one_by_one(
        &mut self,
        (held, shape, axis): (Held, &[usize], usize),
        places: &[usize],
        (rank, id): (usize, Id),
        name: &str,
    ) -> Result<Held, Fault> {
        if places.len() > MAX_PARTS {
            return Err(Fault::Unsupported("picks more than 4096 constant places"));
        }
        let others = (0..shape.len()).filter(|other| *other != axis);
        let axes: Vec<Axis> = others.map(|axis| whole(axis, shape[axis])).collect();
        let mut parts = vec![];
        for place in places {
            let one = Move::Axes {
                axes: axes.clone(),
                fixed: vec![(axis, *place)],
            };
            let part = self.moved(held.clone(), &one, name)?;
            let width = part.shape.last().copied().unwrap_or(1);
            parts.push(self.natural(&part, width, name)?);
        }
        // Picked places are outermost; the result's axes of indices stand where the axis was.
        let of = self.shape(id)?.to_vec();
        let places = axis..axis + rank;
        let order: Vec<usize> = places
            .clone()
            .chain(0..axis)
            .chain(places.end..of.len())
            .collect();
        let step = self.together(parts, name);
        Ok(Held::ordered(step, of, &order))
    }

    /// Elements at constant places that are evenly apart along each axis of the indices.
    pub(super) fn gather_nd(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let data = self.needed(node, 0)?;
        let hint = "picks by constant indices only";
        let indices = self.needed_constant(node, 1, hint)?;
        if node.int("batch_dims", 0) != 0 {
            return Err(Fault::Unsupported("batch_dims must be 0"));
        }
        let held = self.either(data)?;
        let shape = self.shape(id)?.to_vec();
        let elements: usize = held.shape.iter().product();
        // Where the elements of the result are, as the evaluator finds them among numbered ones.
        let numbered = Tensor::int(held.shape.clone(), (0..elements as i64).collect())?;
        let places = gather_nd(&numbered, &indices)?;
        let places = places.ints()?;
        let first = places.first().copied().unwrap_or(0);
        let steps = crate::onnx::tensor::strides(&shape);
        let strides: Vec<i64> = (0..shape.len())
            .map(|axis| match shape[axis] {
                1 => 0,
                _ => places.get(steps[axis]).map_or(0, |place| place - first),
            })
            .collect();
        let even = walk(&shape, &strides, first);
        if !even
            .iter()
            .zip(places)
            .all(|(even, place)| *even as i64 == *place)
        {
            return Err(Fault::Unsupported("picks places that are unevenly apart"));
        }
        let width = held.shape.last().copied().unwrap_or(1);
        let step = self.natural(&held, width, name)?;
        self.set(
            id,
            Held {
                step,
                shape,
                offset: first,
                strides,
            },
        );
        Ok(())
    }
}
