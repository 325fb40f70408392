//! Operators that move elements: most only change strides; parts are put together, filled up, or picked by index.

use super::{Held, Lowering, index, plain};
use crate::onnx::{
    Fault,
    evaluate::shapes::{gather_nd, padding, place},
    graph::{Id, Node},
    moves::{Axis, Move, moves, whole},
    tensor::{Tensor, axis_of, walk},
};
use og_program::{
    operation::{Operation, Step},
    value::Form,
};

/// Parts that one node puts together, at most.
const MAX_PARTS: usize = 4096;

impl Lowering<'_> {
    /// Lowers an operator that only moves; false if it is no such one.
    pub(super) fn places(&mut self, node: &Node) -> Result<bool, Fault> {
        let Some(input) = node.input(0) else {
            return Ok(false);
        };
        let shape = self.shape(input)?.to_vec();
        let constant = |place: usize| self.constant(node, place).cloned();
        let Some(outputs) = moves(node, &shape, &constant, self.original.graph.opset)? else {
            return Ok(false);
        };
        let held = self.either(input)?;
        for (id, changes) in node.outputs.iter().zip(outputs) {
            let mut moved = held.clone();
            for change in &changes {
                moved = self.moved(moved, change, &node.name)?;
            }
            if let Some(id) = id {
                self.set(*id, moved);
            }
        }
        Ok(true)
    }

    /// A tensor of numbers or indices.
    fn either(&mut self, id: Id) -> Result<Held, Fault> {
        if self.uses.is_index(id) {
            self.indices(id)
        } else {
            self.held(id)
        }
    }

    /// A tensor of indices.
    pub(super) fn indices(&mut self, id: Id) -> Result<Held, Fault> {
        let mut of = id;
        // Casts between integers change nothing.
        while self.held[of].is_none()
            && self.uses.is_index(self.uses.root(of))
            && of != self.uses.root(of)
        {
            of = self.uses.root(of);
        }
        let held = self.held[of].clone();
        held.filter(|held| self.builder.of(held.step).form == Form::Index && self.uses.is_index(id))
            .ok_or(Fault::Unsupported(
                "indices must be an input or an ArgMax, without arithmetic",
            ))
    }

    /// The result of a change: new strides, or elements moved into row-major order before.
    fn moved(&mut self, held: Held, change: &Move, name: &str) -> Result<Held, Fault> {
        if let Some(moved) = held.moved(change) {
            return Ok(moved);
        }
        let shape = match change {
            Move::Reshape(shape) => shape,
            Move::Axes { .. } => &held.shape,
        };
        let width = shape.last().copied().unwrap_or(1);
        let step = self.natural(&held, width, name)?;
        let moved = Held::new(step, held.shape).moved(change);
        moved.ok_or_else(|| Fault::Shape("cannot be moved".into()))
    }

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

    /// Parts of one form, one after the other, in as many columns as the first has.
    fn together(&mut self, parts: Vec<Step>, name: &str) -> Step {
        if let [one] = parts[..] {
            return one;
        }
        let elements: usize = parts
            .iter()
            .map(|step| self.builder.of(*step).elements())
            .sum();
        let mut of = parts
            .first()
            .map_or_else(|| index(1, 1), |first| self.builder.of(*first).clone());
        if !elements.is_multiple_of(of.width as usize) {
            of.width = 1;
        }
        of.rows = (elements / of.width as usize) as u32;
        self.builder
            .step(&format!("{name}/join"), Operation::Join(parts), of)
    }

    /// A tensor with an axis outermost, in a form.
    fn outermost(
        &mut self,
        held: &Held,
        axis: usize,
        form: Option<(u8, i32)>,
        name: &str,
    ) -> Result<Step, Fault> {
        let order = outermost_order(axis, held.shape.len());
        let width = order
            .iter()
            .map(|axis| held.shape[*axis])
            .rfind(|extent| *extent > 1)
            .unwrap_or(1);
        let step = self.arranged(held, &order, width, name)?;
        Ok(match form {
            Some((bits, exponent)) => self.cast(step, bits, exponent, name),
            None => step,
        })
    }

    pub(super) fn concat(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let shape = self.shape(id)?.to_vec();
        let axis = axis_of(node.int("axis", 0), shape.len())?;
        let form = if self.uses.is_index(id) {
            None
        } else {
            let bits = self.bits(id);
            Some((bits, self.exponent(id, bits)))
        };
        let mut parts = vec![];
        for input in node.inputs.iter().flatten() {
            let held = if form.is_some() {
                self.held(*input)?
            } else {
                self.indices(*input)?
            };
            if held.shape.contains(&0) {
                continue;
            }
            parts.push(self.outermost(&held, axis, form, name)?);
        }
        if parts.is_empty() || parts.len() > MAX_PARTS {
            return Err(Fault::Unsupported(
                "puts nothing or more than 4096 parts together",
            ));
        }
        let step = self.together(parts, name);
        let order = outermost_order(axis, shape.len());
        self.set(id, Held::ordered(step, shape, &order));
        Ok(())
    }

    pub(super) fn pad(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let input = self.needed(node, 0)?;
        let mut held = self.held(input)?;
        let constant = |place: usize| self.constant(node, place).cloned();
        let padding = padding(node, held.shape.len(), &constant)?;
        let bits = self.bits(id);
        let form = match padding.value {
            0.0 => {
                let of = self.builder.of(held.step);
                (of.bits(), super::exponent_of(of))
            }
            _ => (bits, self.exponent(id, bits)),
        };
        for axis in 0..held.shape.len() {
            let (before, after) = (padding.before[axis], padding.after[axis]);
            if before < 0 || after < 0 {
                let mut axes: Vec<Axis> = (0..held.shape.len())
                    .map(|axis| whole(axis, held.shape[axis]))
                    .collect();
                let (first, last) = ((-before).max(0) as usize, (-after).max(0) as usize);
                axes[axis].start = first;
                axes[axis].extent = held.shape[axis].saturating_sub(first + last);
                held = self.moved(
                    held,
                    &Move::Axes {
                        axes,
                        fixed: vec![],
                    },
                    name,
                )?;
            }
            if before <= 0 && after <= 0 {
                continue;
            }
            let inner = self.outermost(&held, axis, Some(form), name)?;
            let width = self.builder.of(inner).width as usize;
            let each: usize = held
                .shape
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != axis)
                .map(|(_, e)| *e)
                .product();
            let mut parts = vec![];
            if before > 0 {
                parts.push(self.filler(
                    padding.value,
                    before as usize * each,
                    width,
                    form,
                    name,
                )?);
            }
            parts.push(inner);
            if after > 0 {
                parts.push(self.filler(padding.value, after as usize * each, width, form, name)?);
            }
            let mut shape = held.shape.clone();
            shape[axis] += before.max(0) as usize + after.max(0) as usize;
            let step = self.together(parts, name);
            let order = outermost_order(axis, shape.len());
            held = Held::ordered(step, shape, &order);
        }
        self.set(id, held);
        Ok(())
    }

    /// One number, many times.
    fn filler(
        &mut self,
        value: f32,
        count: usize,
        width: usize,
        form: (u8, i32),
        name: &str,
    ) -> Result<Step, Fault> {
        let mantissa = super::mantissa(value, form.1, form.0);
        let vector = self.builder.vector(vec![mantissa], form.1);
        let one = self.builder.step(
            name,
            Operation::Constant(vector),
            plain(1, 1, form.0, form.1),
        );
        let width = if count.is_multiple_of(width) {
            width
        } else {
            1
        };
        let all = Held::new(one, vec![1]).broadcast(&[count / width, width])?;
        self.natural(&all, width, name)
    }
}

/// All axes, this one first.
fn outermost_order(axis: usize, rank: usize) -> Vec<usize> {
    std::iter::once(axis)
        .chain((0..rank).filter(|other| *other != axis))
        .collect()
}
