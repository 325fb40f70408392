//! Functions of single elements: a whole chain of them becomes one table, or a product and a sum.

use super::{Held, Lowering, plain, scaled};
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
