//! Operators over whole rows: softmax, normalizations, sums, greatest elements.

use super::{Held, Lowering, exponent_for, index, plain, scaled};
use crate::onnx::{
    Fault,
    evaluate::rows::{Rows, argmax_rows, layer_rows, reduce_rows, softmax_rows},
    graph::Node,
};
use og_program::operation::{Number, Operation, Reduction, Scale, Step, VectorIndex};

/// Units of a difference of scores, as a power of two: e^-x is looked up at multiples of 2^-10.
const UNIT: i32 = -10;
/// Entries of that table: weights beyond e^-16 are nothing.
const ENTRIES: usize = 1 << 14;

impl Lowering<'_> {
    /// A step with these rows.
    fn rows_of(&mut self, held: &Held, rows: &Rows, name: &str) -> Result<Step, Fault> {
        let width = rows.width(&held.shape)?;
        self.arranged(held, &rows.order(), width, name)
    }

    /// The weights of differences to the greatest score, and how many units one of the step's mantissas is.
    fn weights(&mut self, exponent: i32) -> (VectorIndex, Scale) {
        let entries = (0..ENTRIES).map(|entry| {
            let weight = (-(entry as f64) * 2f64.powi(UNIT)).exp() * f64::from(i16::MAX);
            if entry + 1 == ENTRIES {
                0
            } else {
                weight.round() as i16
            }
        });
        let weights = self.builder.vector(entries.collect(), -15);
        let places = exponent - UNIT;
        let scale = if places >= 0 {
            Scale {
                multiplier: 1 << places.min(16),
                places: 0,
            }
        } else {
            Scale {
                multiplier: 1,
                places: (-places).min(62) as u32,
            }
        };
        (weights, scale)
    }

    pub(super) fn softmax(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let input = self.needed(node, 0)?;
        let x = self.held(input)?;
        let rows = softmax_rows(node, x.shape.len(), self.original.graph.opset)?;
        let input = self.rows_of(&x, &rows, name)?;
        let of = self.builder.of(input).clone();
        let (count, width) = (of.rows as usize, of.width as usize);
        let exponent = super::exponent_of(&of);
        let bits = self.bits(id);
        let step = if node.operator == "Softmax" {
            let (weights, scale) = self.weights(exponent);
            let to = plain(count, width, bits, self.exponent(id, bits));
            self.builder.step(
                name,
                Operation::Softmax {
                    input,
                    exponent,
                    scale,
                    weights,
                },
                to,
            )
        } else {
            self.log_softmax(input, (bits, self.exponent(id, bits)), name)?
        };
        self.set(id, Held::ordered(step, x.shape, &rows.order()));
        Ok(())
    }

    /// `(x - max) - ln Σ e^(x - max)`.
    fn log_softmax(&mut self, input: Step, form: (u8, i32), name: &str) -> Result<Step, Fault> {
        let of = self.builder.of(input).clone();
        let (count, width) = (of.rows as usize, of.width as usize);
        let exponent = super::exponent_of(&of);
        let across = |held: Held| held.broadcast(&[count, width]);
        let greatest = self.reduced(input, Reduction::Greatest, (of.bits(), exponent), name);
        let greatest = self.negated(Held::new(greatest, vec![count, 1]), name)?;
        let greatest = self.natural(&across(greatest)?, width, name)?;
        let below = plain(count, width, 16, exponent + 17 - i32::from(of.bits()));
        let below = self.builder.step(
            name,
            Operation::Add {
                left: input,
                right: greatest,
            },
            below,
        );
        let exponential = |x: f32| if x > 0.0 { 1.0 } else { x.exp() };
        let values: Vec<f32> = self.points(below).into_iter().map(exponential).collect();
        let shares = self.lookup(below, &values, 16, -14, name)?;
        let sum = self.reduced(
            shares,
            Reduction::Sum,
            (16, exponent_for(width as f64, 16)),
            name,
        );
        let largest = exponent_for((width as f64).ln().max(1.0), 16);
        let logarithm = |x: f32| if x < 1.0 { 0.0 } else { -x.ln() };
        let values: Vec<f32> = self.points(sum).into_iter().map(logarithm).collect();
        let logarithm = self.lookup(sum, &values, 16, largest, name)?;
        let logarithm =
            self.natural(&across(Held::new(logarithm, vec![count, 1]))?, width, name)?;
        let to = plain(count, width, form.0, form.1);
        Ok(self.builder.step(
            name,
            Operation::Add {
                left: below,
                right: logarithm,
            },
            to,
        ))
    }

    pub(super) fn layer_normalization(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        if node.outputs.iter().skip(1).flatten().next().is_some() {
            return Err(Fault::Unsupported(
                "mean and deviation as outputs are not converted",
            ));
        }
        let x = self.held(self.needed(node, 0)?)?;
        let rows = layer_rows(node, x.shape.len())?;
        let width = rows.width(&x.shape)?;
        let shape: Vec<usize> = rows.inner.iter().map(|axis| x.shape[*axis]).collect();
        let hint = "its gain and bias must be constant";
        let gain = match node.input(1) {
            Some(_) => self
                .needed_constant(node, 1, hint)?
                .broadcast(&shape)?
                .to_floats(),
            None => vec![1.0; width],
        };
        let bias = match node.input(2) {
            Some(_) => Some(
                self.needed_constant(node, 2, hint)?
                    .broadcast(&shape)?
                    .to_floats(),
            ),
            None => None,
        };
        let mut input = self.rows_of(&x, &rows, name)?;
        let count = self.builder.of(input).rows as usize;
        let n = width as f64;
        // The operation divides by the root of a sum; centred rows are as many times too large as they are long.
        let mut epsilon = f64::from(node.number("epsilon", 1e-5)) * n;
        if node.operator == "LayerNormalization" {
            input = self
                .builder
                .step(name, Operation::Centre(input), scaled(count, width, 16));
            epsilon *= n * n;
        }
        let gain: Vec<f32> = gain
            .iter()
            .map(|gain| (f64::from(*gain) * n.sqrt()) as f32)
            .collect();
        let gain = self.builder.vector_of(&gain);
        let root = Operation::RootMeanSquare {
            input,
            gain,
            epsilon: number(epsilon),
            parts: 1,
        };
        let bits = self.bits(id);
        let to = plain(count, width, bits, self.exponent(id, bits));
        let step = match bias {
            None => self.builder.step(name, root, to),
            Some(bias) => {
                let left = self.builder.step(name, root, scaled(count, width, 16));
                let bias = self
                    .made_constant(name, vec![width], &bias)
                    .broadcast(&[count, width])?;
                let right = self.natural(&bias, width, name)?;
                self.builder.step(name, Operation::Add { left, right }, to)
            }
        };
        self.set(id, Held::ordered(step, x.shape, &rows.order()));
        Ok(())
    }

    pub(super) fn reduce(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let input = self.needed(node, 0)?;
        let mut x = self.held(input)?;
        let rows = reduce_rows(node, x.shape.len(), self.constant(node, 1))?;
        let (bits, shape) = (self.bits(id), self.shape(id)?.to_vec());
        let form = (bits, self.exponent(id, bits));
        if rows.inner.is_empty() {
            self.set(id, x);
            return Ok(());
        }
        let squares = matches!(node.operator.as_str(), "ReduceSumSquare" | "ReduceL2");
        if squares {
            x = self.whole(x, name)?;
            let largest =
                f64::from(self.original.ranges[input].largest).powi(2) * self.original.headroom;
            let of = self.builder.of(x.step);
            let to = plain(
                of.rows as usize,
                of.width as usize,
                16,
                exponent_for(largest, 16),
            );
            x.step = self.builder.step(
                name,
                Operation::Multiply {
                    left: x.step,
                    right: x.step,
                },
                to,
            );
        } else if node.operator == "ReduceMin" {
            x = self.negated(x, name)?;
        }
        let width = rows.width(&x.shape)?;
        let input = self.rows_of(&x, &rows, name)?;
        let held = match node.operator.as_str() {
            "ReduceMean" => Held::new(self.reduced(input, Reduction::Mean, form, name), shape),
            "ReduceSum" | "ReduceSumSquare" => {
                Held::new(self.reduced(input, Reduction::Sum, form, name), shape)
            }
            "ReduceMax" => Held::new(self.reduced(input, Reduction::Greatest, form, name), shape),
            "ReduceMin" => {
                let step = self.reduced(input, Reduction::Greatest, form, name);
                self.negated(Held::new(step, shape), name)?
            }
            "ReduceL2" => {
                let largest =
                    f64::from(self.original.ranges[id].largest).powi(2) * self.original.headroom;
                let largest = largest.max(1e-30) * (width as f64).max(1.0).recip().max(1.0);
                let sum =
                    self.reduced(input, Reduction::Sum, (16, exponent_for(largest, 16)), name);
                let root = |x: f32| x.max(0.0).sqrt();
                let values: Vec<f32> = self.points(sum).into_iter().map(root).collect();
                let root = self.lookup(sum, &values, form.0, form.1, name)?;
                Held::new(root, shape)
            }
            _ => return Err(crate::onnx::evaluate::unsupported(node)),
        };
        self.set(id, held);
        Ok(())
    }

    pub(super) fn argmax(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let mut x = self.held(self.needed(node, 0)?)?;
        if node.operator == "ArgMin" {
            x = self.negated(x, name)?;
        }
        let rows = argmax_rows(node, x.shape.len())?;
        let input = self.rows_of(&x, &rows, name)?;
        let count = self.builder.of(input).rows as usize;
        let step = self
            .builder
            .step(name, Operation::Largest(input), index(count, 1));
        let shape = self.shape(id)?.to_vec();
        self.set(id, Held::new(step, shape));
        Ok(())
    }
}

/// A number of 30 bits with an exponent.
fn number(value: f64) -> Number {
    if value <= 0.0 {
        return Number {
            mantissa: 0,
            exponent: 0,
        };
    }
    let exponent = (value.log2().floor() as i32 - 29).clamp(-1000, 900);
    let mantissa = (value * 2f64.powi(-exponent)).round() as i64;
    Number {
        mantissa: mantissa.min((1 << 31) - 1),
        exponent,
    }
}
