//! Convolutions and pools over pictures whose pixels are rows, and the scales of their channels.

use super::{Held, Lowering, plain};
use crate::onnx::{
    Fault,
    evaluate::matrix::{batch_scale, conv_shape},
    graph::Node,
    tensor::Tensor,
    windows,
};
use og_program::operation::{Operation, Pooling, Reduction, Step, Window};

impl Lowering<'_> {
    /// A picture with its pixels as rows and its channels as columns.
    fn pixels(&mut self, held: &Held, name: &str) -> Result<Step, Fault> {
        let rank = held.shape.len();
        if rank < 3 || held.shape[0] != 1 {
            return Err(Fault::Unsupported(
                "takes one picture at a time: export with batch 1",
            ));
        }
        let order: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
        self.arranged(held, &order, held.shape[1], name)
    }

    /// Where a picture is whose pixels are rows.
    fn picture(step: Step, shape: Vec<usize>) -> Held {
        let order: Vec<usize> = std::iter::once(0)
            .chain(2..shape.len())
            .chain([1])
            .collect();
        Held::ordered(step, shape, &order)
    }

    pub(super) fn conv(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let x = self.held(self.needed(node, 0)?)?;
        let weights = self.needed_constant(node, 1, "its kernels must be constant")?;
        let shape = conv_shape(node, &x.shape, &weights.shape)?;
        let placed = windows::window(node, &x.shape, &weights.shape[2..])?;
        let bias = match node.input(2) {
            Some(_) => Some(
                self.needed_constant(node, 2, "its bias must be constant")?
                    .to_floats(),
            ),
            None => None,
        };
        // Inputs of a kernel in the order row, column, channel.
        let rank = weights.rank();
        let order: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
        let kernels = weights.transposed(&order)?.to_floats();
        let inputs = kernels.len() / shape.outputs;
        let matrix = self.builder.matrix(name, shape.outputs, inputs, kernels)?;
        let bias = match bias {
            Some(bias) if bias.len() == shape.outputs => Some(self.builder.vector_of(&bias)),
            Some(_) => {
                return Err(Fault::Shape(
                    "its bias is not as long as its outputs".into(),
                ));
            }
            None => None,
        };
        let pixels = self.pixels(&x, name)?;
        let input = self.operand(pixels, name);
        let bits = self.bits(id);
        let rows = placed.output.iter().product();
        let to = plain(rows, shape.outputs, bits, self.exponent(id, bits));
        let groups = shape.groups as u32;
        let window = placed.window;
        let convolve = |matrix, bias| Operation::Convolve {
            input,
            matrix,
            bias,
            window: window.clone(),
            groups,
        };
        let step = self
            .builder
            .with_matrices(name, &matrix, bias, to, convolve);
        let mut of = vec![1, shape.outputs];
        of.extend(placed.output);
        self.set(id, Self::picture(step, of));
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        if node.outputs.iter().skip(1).flatten().next().is_some() {
            return Err(Fault::Unsupported(
                "the places of greatest elements are not converted",
            ));
        }
        let x = self.held(self.needed(node, 0)?)?;
        let placed = windows::window(node, &x.shape, &[])?;
        let pooling = match (node.operator.as_str(), node.int("count_include_pad", 0)) {
            ("MaxPool", _) => Pooling::Greatest,
            (_, 0) => Pooling::Mean,
            _ if placed.raised != [0, 0] => {
                return Err(Fault::Unsupported(
                    "count_include_pad with ceil_mode is not converted",
                ));
            }
            _ => Pooling::MeanOfAll,
        };
        let input = self.pixels(&x, name)?;
        let mut of = self.builder.of(input).clone();
        of.rows = placed.output.iter().product::<usize>() as u32;
        if pooling != Pooling::Greatest {
            let bits = self.bits(id);
            of = plain(
                of.rows as usize,
                of.width as usize,
                bits,
                self.exponent(id, bits),
            );
        }
        let operation = Operation::Pool {
            input,
            pooling,
            window: placed.window,
        };
        let step = self.builder.step(name, operation, of);
        let mut shape = x.shape[..2].to_vec();
        shape.extend(placed.output);
        self.set(id, Self::picture(step, shape));
        Ok(())
    }

    pub(super) fn global_pool(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let x = self.held(self.needed(node, 0)?)?;
        let input = self.pixels(&x, name)?;
        let (channels, bits) = (x.shape[1], self.bits(id));
        let area: usize = x.shape[2..].iter().product();
        let greatest = node.operator == "GlobalMaxPool";
        let to = plain(1, channels, bits, self.exponent(id, bits));
        // A window may have 2^16 rows or columns: a picture is taken as it is, a series as one column.
        let extents = if x.shape.len() == 4 {
            [x.shape[2], x.shape[3]]
        } else {
            [area, 1]
        };
        let extents = extents.map(|extent| extent as u32);
        let window = Window {
            input: extents,
            size: extents,
            stride: [1; 2],
            before: [0; 2],
            after: [0; 2],
            dilation: [1; 2],
        };
        let pooling = if greatest {
            Pooling::Greatest
        } else {
            Pooling::MeanOfAll
        };
        let step = self.builder.step(
            name,
            Operation::Pool {
                input,
                pooling,
                window,
            },
            to,
        );
        let shape = self.shape(id)?.to_vec();
        self.set(id, Self::picture(step, shape));
        Ok(())
    }

    pub(super) fn batch_normalization(&mut self, node: &Node) -> Result<(), Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let x = self.held(self.needed(node, 0)?)?;
        let hint = "its statistics must be constant: export the model in evaluation mode";
        let constants: Vec<Tensor> = (1..5)
            .map(|index| self.needed_constant(node, index, hint))
            .collect::<Result<_, _>>()?;
        let [gain, bias, mean, variance] = &constants[..] else {
            return Ok(());
        };
        let (factors, offsets) = batch_scale(node, [gain, bias, mean, variance])?;
        let mut shape = vec![1; x.shape.len()];
        if let Some(channels) = shape.get_mut(1) {
            *channels = factors.len();
        }
        let factors = self.made_constant(name, shape.clone(), &factors);
        let offsets = self.made_constant(name, shape, &offsets);
        // The product's range is that of the result, and as much again for the offset.
        let (bits, range) = (self.bits(id), self.original.ranges[id]);
        let offset = self.builder.of(offsets.step);
        let largest = offset.largest() as f64 * 2f64.powi(super::exponent_of(offset));
        let largest = largest + f64::from(range.largest) * self.original.headroom;
        let form = Some((16, super::exponent_for(largest, 16)));
        let multiply = |left, right| Operation::Multiply { left, right };
        let product = self.pair(&x, &factors, &x.shape.clone(), name, multiply, form)?;
        let form = Some((bits, self.exponent(id, bits)));
        let add = |left, right| Operation::Add { left, right };
        let held = self.pair(&product, &offsets, &x.shape.clone(), name, add, form)?;
        self.set(id, held);
        Ok(())
    }

    /// One number for each row of a step.
    pub(super) fn reduced(
        &mut self,
        input: Step,
        reduction: Reduction,
        form: (u8, i32),
        name: &str,
    ) -> Step {
        let rows = self.builder.of(input).rows as usize;
        let to = plain(rows, 1, form.0, form.1);
        self.builder
            .step(name, Operation::Reduce { input, reduction }, to)
    }
}
