//! Operators that move elements: most only change strides; parts are put together, filled up, or picked by index.

use super::{Held, Lowering, index, plain};
use crate::onnx::{
    Fault,
    evaluate::shapes::padding,
    graph::{Id, Node},
    moves::{Axis, Move, moves, whole},
    tensor::axis_of,
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
    pub(super) fn either(&mut self, id: Id) -> Result<Held, Fault> {
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
    pub(super) fn moved(&mut self, held: Held, change: &Move, name: &str) -> Result<Held, Fault> {
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

    /// Parts of one form, one after the other, in as many columns as the first has.
    pub(super) fn together(&mut self, parts: Vec<Step>, name: &str) -> Step {
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
