//! Products with constant matrices and of two tensors.

use super::{Held, Lowering, plain};
use crate::onnx::{
    Fault,
    evaluate::matrix::batches,
    graph::{Id, Node},
    moves::{Axis, Move, permutation, whole},
    tensor::{Tensor, broadcast_strides, walk},
};
use og_program::operation::{Operation, Step};

/// Products of one node that become steps, at most.
const MAX_BATCH: usize = 4096;

impl Lowering<'_> {
    /// A constant matrix (of `outputs` rows) times each row of `x`.
    pub(super) fn linear(
        &mut self,
        x: Step,
        weights: Vec<f32>,
        bias: Option<&[f32]>,
        form: (u8, i32),
        name: &str,
    ) -> Result<Step, Fault> {
        let of = self.builder.of(x);
        let (rows, inputs) = (of.rows as usize, of.width as usize);
        let outputs = weights.len() / inputs;
        let matrix = self.builder.matrix(name, outputs, inputs, weights)?;
        let bias = bias.map(|bias| self.builder.vector_of(bias));
        let input = self.operand(x, name);
        let to = plain(rows, outputs, form.0, form.1);
        let linear = |matrix, bias| Operation::Linear {
            input,
            matrix,
            bias,
        };
        Ok(self.builder.with_matrices(name, &matrix, bias, to, linear))
    }

    fn form(&self, id: Id) -> (u8, i32) {
        let bits = self.bits(id);
        (bits, self.exponent(id, bits))
    }

    pub(super) fn gemm(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let (a, b) = (self.needed(node, 0)?, self.needed(node, 1)?);
        let (alpha, beta) = (node.number("alpha", 1.0), node.number("beta", 1.0));
        let turned = |held: Held, turn: &str| match (node.int(turn, 0), held.shape.len()) {
            (_, rank) if rank != 2 => Err(Fault::Shape("takes matrices".into())),
            (0, _) => Ok(held),
            _ => {
                let change = permutation(&held.shape, &[1, 0]);
                held.moved(&change)
                    .ok_or_else(|| Fault::Shape("cannot be transposed".into()))
            }
        };
        let Some(weights) = self.constant(node, 1).cloned() else {
            if node.input(2).is_some() || alpha != 1.0 {
                return Err(Fault::Unsupported(
                    "products of two tensors are converted as MatMul: export it so",
                ));
            }
            let (a, b) = (self.held(a)?, self.held(b)?);
            let (a, b) = (turned(a, "transA")?, turned(b, "transB")?);
            let step = self.dynamic(&a, &b, self.form(id), name)?;
            let shape = self.shape(id)?.to_vec();
            self.set(id, Held::new(step, shape));
            return Ok(());
        };
        let x = turned(self.held(a)?, "transA")?;
        let inputs = x.shape.get(1).copied().unwrap_or(0);
        // Rows of the matrix are outputs.
        let rows = if node.int("transB", 0) != 0 {
            weights
        } else {
            weights.transposed(&[1, 0])?
        };
        let values = rows
            .to_floats()
            .iter()
            .map(|weight| weight * alpha)
            .collect();
        let x = self.natural(&x, inputs, name)?;
        let (width, added) = (rows.shape[0], self.constant(node, 2).cloned());
        let row = added
            .as_ref()
            .filter(|added| added.rank() < 2 || added.shape[0] == 1);
        let bias = match row {
            Some(row) => {
                let row = row.reshaped(vec![row.len()])?.broadcast(&[width])?;
                Some(
                    row.to_floats()
                        .iter()
                        .map(|bias| bias * beta)
                        .collect::<Vec<_>>(),
                )
            }
            None if node.input(2).is_some() => {
                return Err(Fault::Unsupported("adds a constant row only"));
            }
            None => None,
        };
        let step = self.linear(x, values, bias.as_deref(), self.form(id), name)?;
        let shape = self.shape(id)?.to_vec();
        self.set(id, Held::new(step, shape));
        Ok(())
    }

    pub(super) fn matmul(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let (a, b) = (self.needed(node, 0)?, self.needed(node, 1)?);
        let shapes = batches(self.shape(a)?, self.shape(b)?)?;
        let [m, k, n] = shapes.sizes;
        let form = self.form(id);
        let bias = self.constant(node, 2).map(Tensor::to_floats);
        if let Some(weights) = self.constant(node, 1).filter(|w| w.len() == k * n).cloned() {
            let x = self.held(a)?;
            let x = self.natural(&x, k, name)?;
            let rows = weights
                .reshaped(vec![k, n])?
                .transposed(&[1, 0])?
                .to_floats();
            let step = self.linear(x, rows, bias.as_deref(), form, name)?;
            self.set(id, Held::new(step, shapes.result));
            return Ok(());
        }
        let batch: usize = shapes.batch.iter().product();
        if batch > MAX_BATCH {
            return Err(Fault::Unsupported("multiplies more than 4096 matrices"));
        }
        let full = |held: Held, shape: &[usize]| {
            held.moved(&Move::Reshape(shape.to_vec()))
                .ok_or_else(|| Fault::Shape("cannot be cut into matrices".into()))
        };
        let mut parts = vec![];
        for at in 0..batch {
            let left = self.matrix_of(a, &shapes.left, &shapes.batch, at, &full)?;
            let right = self.matrix_of(b, &shapes.right, &shapes.batch, at, &full)?;
            let step = match (left, right) {
                (Part::Held(a), Part::Held(b)) => self.dynamic(&a, &b, form, name)?,
                (Part::Held(a), Part::Constant(w)) => {
                    let x = self.natural(&a, k, name)?;
                    self.linear(x, w.transposed(&[1, 0])?.to_floats(), None, form, name)?
                }
                (Part::Constant(w), Part::Held(b)) => {
                    // `(W·x)ᵀ = xᵀ·Wᵀ`: rows of the result are columns of the right.
                    let x = self.arranged(&b, &[1, 0], k, name)?;
                    let step = self.linear(x, w.to_floats(), None, form, name)?;
                    let turned = Held::ordered(step, vec![m, n], &[1, 0]);
                    self.natural(&turned, n, name)?
                }
                (Part::Constant(_), Part::Constant(_)) => {
                    return Err(Fault::Shape("multiplies constants".into()));
                }
            };
            parts.push(step);
        }
        let step = self.joined(parts, batch * m, n, form, name);
        self.set(id, Held::new(step, shapes.result));
        Ok(())
    }

    /// Parts of one form, one after the other.
    pub(super) fn joined(
        &mut self,
        parts: Vec<Step>,
        rows: usize,
        width: usize,
        form: (u8, i32),
        name: &str,
    ) -> Step {
        match parts[..] {
            [one] => one,
            _ => {
                let to = plain(rows, width, form.0, form.1);
                self.builder
                    .step(&format!("{name}/join"), Operation::Join(parts), to)
            }
        }
    }

    /// One matrix of a batch.
    fn matrix_of(
        &mut self,
        id: Id,
        shape: &[usize],
        batch: &[usize],
        at: usize,
        full: &impl Fn(Held, &[usize]) -> Result<Held, Fault>,
    ) -> Result<Part, Fault> {
        let (outer, matrix) = shape.split_at(shape.len() - 2);
        let all: Vec<i64> = broadcast_strides(outer, batch);
        let index = walk(batch, &all, 0).get(at).copied().unwrap_or(0);
        let elements: usize = matrix.iter().product();
        if let Some(constant) = self.original.graph.constants.get(&id) {
            let values = constant.to_floats();
            let part = values.get(index * elements..(index + 1) * elements);
            let part = part.ok_or_else(|| Fault::Shape("is shorter than its shape".into()))?;
            return Ok(Part::Constant(Tensor::float(
                matrix.to_vec(),
                part.to_vec(),
            )?));
        }
        let held = self.held(id)?;
        let held = full(held, shape)?;
        let own = crate::onnx::tensor::strides(outer);
        let fixed = (0..outer.len())
            .map(|axis| (axis, index / own[axis] % outer[axis]))
            .collect();
        let axes: Vec<Axis> = (0..2)
            .map(|axis| whole(outer.len() + axis, matrix[axis]))
            .collect();
        let part = held.moved(&Move::Axes { axes, fixed });
        part.map(Part::Held)
            .ok_or_else(|| Fault::Shape("cannot be cut into matrices".into()))
    }

    /// The product of two tensors' matrices.
    fn dynamic(&mut self, a: &Held, b: &Held, form: (u8, i32), name: &str) -> Result<Step, Fault> {
        let (k, n) = (b.shape[0], b.shape[1]);
        let left = self.natural(a, k, name)?;
        let right = self.arranged(b, &[1, 0], k, name)?;
        let to = plain(a.shape[0], n, form.0, form.1);
        Ok(self
            .builder
            .step(name, Operation::Product { left, right }, to))
    }
}

/// A matrix that is constant or not.
enum Part {
    Held(Held),
    Constant(Tensor),
}
