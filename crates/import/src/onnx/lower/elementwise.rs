//! Sums, products and choices of tensors that are not functions of one.

use super::{Held, Lowering, exponent_for, exponent_of, plain};
use crate::onnx::{
    Fault, evaluate,
    graph::{Id, Node},
};
use og_program::operation::{Operation, Step};

impl Lowering<'_> {
    /// A sum, product or choice of tensors that are not functions of one.
    pub(super) fn elementwise(&mut self, node: &Node) -> Result<(), Fault> {
        let id = node.output()?;
        let held = match node.operator.as_str() {
            "Add" | "Sub" | "Mul" | "Div" | "And" => self.binary(node)?,
            "Sum" | "Mean" => self.sum(node)?,
            "Max" | "Min" => self.greatest(node)?,
            "Where" => self.choice(node)?,
            "PRelu" => self.slopes(node)?,
            "Pow" => {
                return Err(Fault::Unsupported(
                    "powers are converted for one constant exponent",
                ));
            }
            "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "Or" | "Xor"
            | "Mod" => {
                return Err(Fault::Unsupported("compares with a constant number only"));
            }
            _ => return Err(evaluate::unsupported(node)),
        };
        self.set(id, held);
        Ok(())
    }

    /// `max(x, 0)·(1 - slope) + x·slope`.
    fn slopes(&mut self, node: &Node) -> Result<Held, Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let slope = self.needed_constant(node, 1, "its slope must be constant")?;
        let x = self.held(self.needed(node, 0)?)?;
        let x = self.whole(x, name)?;
        let of = self.builder.of(x.step).clone();
        let step = self.builder.step(name, Operation::Rectify(x.step), of);
        let above = Held { step, ..x.clone() };
        let slopes = slope.to_floats();
        let rest: Vec<f32> = slopes.iter().map(|slope| 1.0 - slope).collect();
        let slopes = self.made_constant(name, slope.shape.clone(), &slopes);
        let rest = self.made_constant(name, slope.shape, &rest);
        let shape = self.shape(id)?.to_vec();
        let multiply = |left, right| Operation::Multiply { left, right };
        let mut part = |x: &Held, factor: &Held| {
            let form = (16, exponent_for(self.reach(x) * self.reach(factor), 16));
            self.pair(x, factor, &shape, name, multiply, Some(form))
        };
        let (above, below) = (part(&above, &rest)?, part(&x, &slopes)?);
        self.total(&above, &below, id, name)
    }

    /// The largest magnitude that a tensor's step can hold.
    fn reach(&self, held: &Held) -> f64 {
        let of = self.builder.of(held.step);
        of.largest() as f64 * 2f64.powi(exponent_of(of))
    }

    fn binary(&mut self, node: &Node) -> Result<Held, Fault> {
        let (left, right) = (self.needed(node, 0)?, self.needed(node, 1)?);
        let (id, name) = (node.output()?, node.name.as_str());
        let constant = self
            .constant(node, 1)
            .filter(|_| node.operator == "Div" || node.operator == "Sub");
        if let Some(constant) = constant {
            let divides = node.operator == "Div";
            let values = constant
                .to_floats()
                .into_iter()
                .map(|x| if divides { 1.0 / x } else { -x });
            let (values, shape) = (values.collect::<Vec<_>>(), constant.shape.clone());
            let other = self.made_constant(name, shape, &values);
            let left = self.held(left)?;
            return if divides {
                self.product(&left, &other, id, name)
            } else {
                self.total(&left, &other, id, name)
            };
        }
        let (a, b) = (self.held(left)?, self.held(right)?);
        match node.operator.as_str() {
            "Add" => self.total(&a, &b, id, name),
            "Sub" => {
                let negated = self.negated(b, name)?;
                self.total(&a, &negated, id, name)
            }
            "Div" => {
                let least = f64::from(self.original.ranges[right].least);
                let largest = if least > 0.0 {
                    self.original.headroom / least
                } else {
                    1.0
                };
                let b = self.whole(b, name)?;
                let exponent = exponent_for(largest, 16);
                let inverse = |x: f32| if x == 0.0 { 0.0 } else { 1.0 / x };
                let values: Vec<f32> = self.points(b.step).into_iter().map(inverse).collect();
                let step = self.lookup(b.step, &values, 16, exponent, name)?;
                self.product(&a, &Held { step, ..b }, id, name)
            }
            _ => self.product(&a, &b, id, name),
        }
    }

    fn sum(&mut self, node: &Node) -> Result<Held, Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let inputs: Vec<Id> = node.inputs.iter().flatten().copied().collect();
        let shape = self.shape(id)?.to_vec();
        let mut total = self.held(self.needed(node, 0)?)?.broadcast(&shape)?;
        for input in &inputs[1..] {
            let next = self.held(*input)?;
            total = self.pair(
                &total,
                &next,
                &shape,
                name,
                |left, right| Operation::Add { left, right },
                None,
            )?;
        }
        if node.operator == "Mean" {
            let share = self.made_constant(name, vec![1], &[1.0 / inputs.len() as f32]);
            return self.product(&total, &share, id, name);
        }
        let (bits, total) = (self.bits(id), self.whole(total, name)?);
        let step = self.cast(total.step, bits, self.exponent(id, bits), name);
        Ok(Held { step, ..total })
    }

    /// `b + max(a - b, 0)`, or `a - max(a - b, 0)`.
    fn greatest(&mut self, node: &Node) -> Result<Held, Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        if node.inputs.len() != 2 {
            return Err(Fault::Unsupported("takes two tensors"));
        }
        let (a, b) = (
            self.held(self.needed(node, 0)?)?,
            self.held(self.needed(node, 1)?)?,
        );
        let shape = self.shape(id)?.to_vec();
        let negated = self.negated(b.clone(), name)?;
        let exponent = exponent_for(self.reach(&a) + self.reach(&b), 16);
        let add = |left, right| Operation::Add { left, right };
        let above = self.pair(&a, &negated, &shape, name, add, Some((16, exponent)))?;
        let above = self.whole(above, name)?;
        let of = self.builder.of(above.step).clone();
        let step = self.builder.step(name, Operation::Rectify(above.step), of);
        let above = Held { step, ..above };
        if node.operator == "Max" {
            return self.total(&above, &b, id, name);
        }
        let above = self.negated(above, name)?;
        self.total(&above, &a, id, name)
    }

    /// `c·a + (1 - c)·b` with a condition of zeros and ones.
    fn choice(&mut self, node: &Node) -> Result<Held, Fault> {
        let (id, name) = (node.output()?, node.name.as_str());
        let condition = self.held(self.needed(node, 0)?)?;
        let condition = self.whole(condition, name)?;
        let (yes, no) = (
            self.held(self.needed(node, 1)?)?,
            self.held(self.needed(node, 2)?)?,
        );
        let negated = self.negated(condition.clone(), name)?;
        let one = self.made_constant(name, vec![1], &[1.0]);
        let shape = negated.shape.clone();
        let add = |left, right| Operation::Add { left, right };
        let other = self.pair(&negated, &one, &shape, name, add, Some((16, -14)))?;
        let shape = self.shape(id)?.to_vec();
        let multiply = |left, right| Operation::Multiply { left, right };
        let mut part = |which: &Held, value: &Held| {
            let of = self.builder.of(value.step);
            let form = (of.bits(), exponent_of(of));
            self.pair(which, value, &shape, name, multiply, Some(form))
        };
        let (yes, no) = (part(&condition, &yes)?, part(&other, &no)?);
        self.total(&yes, &no, id, name)
    }

    /// Each element times -1: exact.
    pub(super) fn negated(&mut self, held: Held, name: &str) -> Result<Held, Fault> {
        let held = self.whole(held, name)?;
        let of = self.builder.of(held.step).clone();
        let vector = self.builder.vector(vec![-1], 0);
        let one = self
            .builder
            .step(name, Operation::Constant(vector), plain(1, 1, 16, 0));
        let all = Held::new(one, vec![1]).broadcast(&[of.rows as usize, of.width as usize])?;
        let right = self.natural(&all, of.width as usize, name)?;
        let step = self.builder.step(
            name,
            Operation::Multiply {
                left: held.step,
                right,
            },
            of,
        );
        Ok(Held { step, ..held })
    }

    /// The sum of two tensors, as the tensor `id`.
    pub(super) fn total(&mut self, a: &Held, b: &Held, id: Id, name: &str) -> Result<Held, Fault> {
        let (shape, bits) = (self.shape(id)?.to_vec(), self.bits(id));
        let form = Some((bits, self.exponent(id, bits)));
        self.pair(
            a,
            b,
            &shape,
            name,
            |left, right| Operation::Add { left, right },
            form,
        )
    }

    /// Their product, as the tensor `id`.
    pub(super) fn product(
        &mut self,
        a: &Held,
        b: &Held,
        id: Id,
        name: &str,
    ) -> Result<Held, Fault> {
        let (shape, bits) = (self.shape(id)?.to_vec(), self.bits(id));
        let form = Some((bits, self.exponent(id, bits)));
        self.pair(
            a,
            b,
            &shape,
            name,
            |left, right| Operation::Multiply { left, right },
            form,
        )
    }

    /// An operation on two tensors that are broadcast to `shape`. `form` is bits and exponent of the result; without
    /// it, it is wide enough for any sum of the two.
    pub(super) fn pair(
        &mut self,
        a: &Held,
        b: &Held,
        shape: &[usize],
        name: &str,
        operation: impl Fn(Step, Step) -> Operation,
        form: Option<(u8, i32)>,
    ) -> Result<Held, Fault> {
        let (a, b) = (a.broadcast(shape)?, b.broadcast(shape)?);
        // The one that is whole leads: its order is kept.
        let whole =
            |held: &Held, lowering: &Self| held.is_whole(lowering.builder.of(held.step).elements());
        let (leader, width) = if whole(&a, self) {
            (a.clone(), self.builder.of(a.step).width as usize)
        } else if whole(&b, self) {
            (b.clone(), self.builder.of(b.step).width as usize)
        } else {
            (
                Held::new(0, shape.to_vec()),
                shape.last().copied().unwrap_or(1),
            )
        };
        let order = leader.order();
        let left = self.arranged(&a, &order, width, name)?;
        let right = self.arranged(&b, &order, width, name)?;
        let of = self.builder.of(left);
        let (rows, width) = (of.rows as usize, of.width as usize);
        let wide = exponent_of(of).max(exponent_of(self.builder.of(right))) + 1;
        let (bits, exponent) = form.unwrap_or((16, wide));
        let step = self.builder.step(
            name,
            operation(left, right),
            plain(rows, width, bits, exponent),
        );
        Ok(Held { step, ..leader })
    }
}
