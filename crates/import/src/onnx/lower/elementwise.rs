//! Functions of single elements, as tables; sums and products of tensors.

use super::{Held, Lowering, exponent_for, exponent_of, plain, scaled};
use crate::onnx::{
    Fault, evaluate,
    graph::{Id, Node},
    tensor::Tensor,
};
use og_program::{
    operation::{Operation, Step},
    value::Form,
};
use std::collections::{BTreeSet, HashMap};

/// Indices of which a number is a function, at most.
const MAX_DOMAIN: usize = 1 << 16;
/// Nodes of all chains that become tables, at most.
const MAX_CHAINED: usize = 1 << 14;

/// What a chain of functions amounts to.
enum Shape {
    Same,
    Rectified,
    /// `factor · x + offset`.
    Affine(f32, f32),
    Other,
}

impl Lowering<'_> {
    /// A tensor that is a function of another's elements.
    pub(super) fn function(&mut self, id: Id) -> Result<Held, Fault> {
        let root = self.uses.root(id);
        if root == id {
            return Err(Fault::Shape("reads a tensor that was not lowered".into()));
        }
        let name = self.original.graph.names[id].clone();
        let held = self.held(root)?;
        let chain = self.chain(root, id)?;
        let held = if self.builder.of(held.step).form == Form::Index {
            self.of_indices(root, id, &chain, &held, &name)?
        } else {
            match shape_of(self.original.graph, &chain) {
                Shape::Same => held,
                Shape::Rectified => {
                    let held = self.whole(held, &name)?;
                    let of = self.builder.of(held.step).clone();
                    let step = self.builder.step(&name, Operation::Rectify(held.step), of);
                    Held { step, ..held }
                }
                Shape::Affine(factor, offset) => self.affine(id, held, factor, offset, &name)?,
                Shape::Other => self.looked_up(root, id, &chain, held, &name)?,
            }
        };
        // A constant of more axes may have given the result leading axes of one element.
        let missing = self.shape(id)?.to_vec();
        held.broadcast(&missing)
    }

    /// Nodes from a root to a function of it, in order.
    fn chain(&mut self, root: Id, id: Id) -> Result<Vec<usize>, Fault> {
        let mut wanted = vec![id];
        let mut chain = BTreeSet::new();
        while let Some(id) = wanted.pop() {
            let Some(index) = self.uses.producer(id) else {
                continue;
            };
            if id != root && chain.insert(index) {
                let inputs = self.original.graph.nodes[index].inputs.iter().flatten();
                wanted.extend(inputs.filter(|input| **input != root));
            }
        }
        self.chained = self.chained.saturating_add(chain.len());
        if self.chained > MAX_CHAINED {
            return Err(Fault::Unsupported(
                "the model has too many functions of single elements",
            ));
        }
        Ok(chain.into_iter().collect())
    }

    /// The values of a chain at points of its root.
    fn along(&self, root: Id, id: Id, chain: &[usize], points: Tensor) -> Result<Vec<f32>, Fault> {
        let graph = self.original.graph;
        let mut values: HashMap<Id, Tensor> = HashMap::from([(root, points)]);
        for index in chain {
            let node = &graph.nodes[*index];
            let scalars = node.inputs.iter().map(|input| {
                let constant = graph.constants.get(&(*input)?)?;
                constant.reshaped(vec![]).ok()
            });
            let scalars: Vec<Option<Tensor>> = scalars.collect();
            let inputs = node
                .inputs
                .iter()
                .zip(&scalars)
                .map(|(input, scalar)| scalar.as_ref().or_else(|| values.get(&(*input)?)));
            let inputs: Vec<Option<&Tensor>> = inputs.collect();
            let outputs = evaluate::evaluate(node, &inputs, graph.opset)?;
            if let (Some(output), Some(tensor)) = (
                node.outputs.first().copied().flatten(),
                outputs.into_iter().next(),
            ) {
                values.insert(output, tensor);
            }
        }
        let last = values.get(&id).map(Tensor::to_floats);
        last.ok_or_else(|| Fault::Shape("its function cannot be computed".into()))
    }

    /// Numbers that are a function of indices: rows of a matrix of one column.
    fn of_indices(
        &mut self,
        root: Id,
        id: Id,
        chain: &[usize],
        held: &Held,
        name: &str,
    ) -> Result<Held, Fault> {
        let domain = self.domain(root);
        let points = Tensor::int(vec![domain], (0..domain as i64).collect())?;
        let values = self.along(root, id, chain, points)?;
        let clamp = |x: &f32| {
            if x.is_nan() {
                0.0
            } else {
                x.clamp(-super::CLAMPED, super::CLAMPED)
            }
        };
        let values: Vec<f32> = values.iter().map(clamp).collect();
        let matrix = self.builder.matrix(name, domain, 1, values)?;
        let indices = self.natural(held, 1, name)?;
        let rows = held.shape.iter().product();
        let bits = self.bits(id);
        let of = plain(rows, 1, bits, self.exponent(id, bits));
        let embed = |matrix, _| Operation::Embed {
            input: indices,
            matrix,
        };
        let step = self.builder.with_matrices(name, &matrix, None, of, embed);
        Ok(Held::new(step, held.shape.clone()))
    }

    /// How many values an index can have: more are clamped.
    fn domain(&self, root: Id) -> usize {
        let inputs = self.original.graph.inputs.iter().zip(self.original.domains);
        let given = inputs
            .filter(|(input, _)| input.id == root)
            .map(|(_, domain)| *domain)
            .next();
        given.unwrap_or(MAX_DOMAIN).clamp(1, MAX_DOMAIN)
    }

    /// A tensor that holds every element of its step's value once, so that an operation on the value is one on it.
    pub(super) fn whole(&mut self, held: Held, name: &str) -> Result<Held, Fault> {
        if held.is_whole(self.builder.of(held.step).elements()) {
            return Ok(held);
        }
        let width = held.shape.last().copied().unwrap_or(1);
        let step = self.natural(&held, width, name)?;
        Ok(Held::new(step, held.shape))
    }

    fn looked_up(
        &mut self,
        root: Id,
        id: Id,
        chain: &[usize],
        held: Held,
        name: &str,
    ) -> Result<Held, Fault> {
        let held = self.whole(held, name)?;
        let bits = self.bits(id);
        let exponent = self.exponent(id, bits);
        let points = self.points(held.step);
        let values = self.along(root, id, chain, Tensor::float(vec![points.len()], points)?)?;
        let step = self.lookup(held.step, &values, bits, exponent, name)?;
        Ok(Held { step, ..held })
    }

    /// The points at which a table of a step's elements has its entries.
    pub(super) fn points(&self, step: Step) -> Vec<f32> {
        super::Builder::points(self.builder.of(step), self.settings.table_bits)
    }

    /// A function of each element of a step, by a table of its values at those points.
    pub(super) fn lookup(
        &mut self,
        step: Step,
        values: &[f32],
        bits: u8,
        exponent: i32,
        name: &str,
    ) -> Result<Step, Fault> {
        let from = self.builder.of(step).clone();
        let to = plain(from.rows as usize, from.width as usize, bits, exponent);
        let table = self
            .builder
            .table(&from, self.settings.table_bits, &to, values)?;
        let operation = Operation::Lookup { input: step, table };
        Ok(self.builder.step(name, operation, to))
    }

    fn affine(
        &mut self,
        id: Id,
        held: Held,
        factor: f32,
        offset: f32,
        name: &str,
    ) -> Result<Held, Fault> {
        let mut held = self.whole(held, name)?;
        let (bits, of) = (self.bits(id), self.builder.of(held.step).clone());
        let exponent = self.exponent(id, bits);
        let (rows, width) = (of.rows as usize, of.width as usize);
        if factor != 1.0 {
            let factor = self.repeated(factor, rows, width, name)?;
            // Between product and sum nothing is known of the range: the row finds its exponent.
            let to = if offset == 0.0 {
                plain(rows, width, bits, exponent)
            } else {
                scaled(rows, width, 16)
            };
            held.step = self.builder.step(
                name,
                Operation::Multiply {
                    left: held.step,
                    right: factor,
                },
                to,
            );
        }
        if offset != 0.0 {
            let offset = self.repeated(offset, rows, width, name)?;
            let to = plain(rows, width, bits, exponent);
            held.step = self.builder.step(
                name,
                Operation::Add {
                    left: held.step,
                    right: offset,
                },
                to,
            );
        }
        Ok(held)
    }

    /// A number in every place of a matrix.
    pub(super) fn repeated(
        &mut self,
        value: f32,
        rows: usize,
        width: usize,
        name: &str,
    ) -> Result<Step, Fault> {
        let one = self.made_constant(name, vec![1], &[value]);
        let all = one.broadcast(&[rows, width])?;
        self.natural(&all, width, name)
    }

    /// A sum, product or choice of tensors that are not functions of one.
    pub(super) fn elementwise(&mut self, node: &Node) -> Result<(), Fault> {
        let id = node.output()?;
        let name = node.name.as_str();
        let held = match node.operator.as_str() {
            "Add" | "Sub" | "Mul" | "Div" | "And" => self.binary(node)?,
            "Sum" | "Mean" => self.sum(node)?,
            "Max" | "Min" => self.greatest(node)?,
            "Where" => self.choice(node)?,
            "PRelu" => {
                let (x, slope) = (
                    self.needed(node, 0)?,
                    self.needed_constant(node, 1, "its slope must be constant")?,
                );
                let x = self.held(x)?;
                let x = self.whole(x, name)?;
                let of = self.builder.of(x.step).clone();
                let step = self.builder.step(name, Operation::Rectify(x.step), of);
                let above = Held { step, ..x.clone() };
                let slopes = slope.to_floats();
                let rest: Vec<f32> = slopes.iter().map(|slope| 1.0 - slope).collect();
                let slopes = self.made_constant(name, slope.shape.clone(), &slopes);
                let rest = self.made_constant(name, slope.shape, &rest);
                let (above, below) = (
                    self.product(&above, &rest, id, name)?,
                    self.product(&x, &slopes, id, name)?,
                );
                self.total(&above, &below, id, name)?
            }
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
        let range = |held: &Held, lowering: &Self| {
            let of = lowering.builder.of(held.step);
            of.largest() as f64 * 2f64.powi(exponent_of(of))
        };
        let exponent = exponent_for(range(&a, self) + range(&b, self), 16);
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

/// What a chain amounts to, judged by its operators.
fn shape_of(graph: &crate::onnx::graph::Graph, chain: &[usize]) -> Shape {
    let node = |index: &usize| &graph.nodes[*index];
    let same = |node: &Node| match node.operator.as_str() {
        "Cast" => matches!(node.int("to", 1), 1 | 10 | 11 | 16),
        _ => false,
    };
    let rest: Vec<&Node> = chain.iter().map(node).filter(|node| !same(node)).collect();
    match rest[..] {
        [] => return Shape::Same,
        [one] if one.operator == "Relu" => return Shape::Rectified,
        _ => {}
    }
    let (mut factor, mut offset) = (1.0_f32, 0.0_f32);
    for node in rest {
        let scalar = |index: usize| graph.constants.get(&node.input(index)?)?.scalar();
        let (first, second) = (scalar(0), scalar(1));
        let (by, plus) = match (node.operator.as_str(), first, second) {
            ("Neg", ..) => (-1.0, 0.0),
            ("Add", Some(c), None) | ("Add", None, Some(c)) => (1.0, c),
            ("Sub", None, Some(c)) => (1.0, -c),
            ("Sub", Some(c), None) => (-1.0, c),
            ("Mul", Some(c), None) | ("Mul", None, Some(c)) => (c, 0.0),
            ("Div", None, Some(c)) if c != 0.0 => (1.0 / c, 0.0),
            _ => return Shape::Other,
        };
        // `x + f(x)` has no constant; a chain that reads its root twice is longer than it looks.
        let dynamic = node
            .inputs
            .iter()
            .flatten()
            .filter(|id| !graph.constants.contains_key(id))
            .count();
        if dynamic != 1 {
            return Shape::Other;
        }
        (factor, offset) = (factor * by, offset * by + plus);
    }
    if factor.is_finite() && offset.is_finite() {
        Shape::Affine(factor, offset)
    } else {
        Shape::Other
    }
}
