//! From the prepared graph to the steps of a program. Nodes are taken in order; functions of single elements are
//! not lowered where they stand but where their result is needed, a whole chain of them as one table.

mod builder;
mod elementwise;
mod functions;
mod gather;
mod held;
mod linear;
mod places;
mod recurrent;
mod rows;
mod spatial;
mod uses;

pub(crate) use builder::{Builder, ENDLESS, exponent_for, index, mantissa, plain, scaled};
use builder::{CLAMPED, exponent_of};
pub(crate) use held::Held;

use super::{
    Fault, OnnxError,
    calibrate::Range,
    evaluate::{self, Values},
    graph::{Graph, GraphInput, Id, Node},
    tensor::Tensor,
};
use crate::quantise::Quantisation;
use og_program::{
    check::MAX_STEPS,
    operation::{Operation, Step},
    program::{InputDefinition, InputForm, OutputDefinition},
    value::Form,
};
use std::collections::HashMap;
use uses::Uses;

/// Weights below e^-this are nothing beside a weight of one in 16 bits.
const NOTHING: f64 = 12.0;

/// What is known of the original when lowering begins.
pub(crate) struct Original<'a> {
    /// The prepared graph.
    pub(crate) graph: &'a Graph,
    /// Values of one run: shapes.
    pub(crate) values: &'a Values,
    /// Ranges of tensors over all samples.
    pub(crate) ranges: &'a [Range],
    /// How much greater than those ranges values may be.
    pub(crate) headroom: f64,
    /// For each input of indices, how many there are.
    pub(crate) domains: &'a [usize],
    /// Ranges inside recurrent nodes, by their first output.
    pub(crate) recurrent: &'a HashMap<Id, evaluate::recurrent::Trace>,
}

/// How programs are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How matrices are made.
    pub(crate) quantisation: Quantisation,
    /// Whether matrices are two, for weights of about 16 bits.
    pub(crate) precise: bool,
    /// Bits of what matrices are multiplied by.
    pub(crate) operand_bits: u8,
    /// Entries of a table, as a power of two.
    pub(crate) table_bits: u8,
}

/// A program, and where the original's tensors are in it.
pub(crate) struct Lowered {
    /// The program and its matrices.
    pub(crate) builder: Builder,
    /// Tensors that have a step.
    pub(crate) held: Vec<Shown>,
    /// Inputs of the graph that the program takes, in its order.
    pub(crate) inputs: Vec<usize>,
}

/// A tensor of the original in a program.
pub(crate) struct Shown {
    /// The tensor.
    pub(crate) id: Id,
    /// The node that gives it.
    pub(crate) name: String,
    /// Its operator.
    pub(crate) operator: String,
    /// Where its elements are.
    pub(crate) held: Held,
    /// Whether only softmaxes read it: what is masked is clamped.
    pub(crate) scores: bool,
}

/// A view that was made: step, first element, axes, rows, width.
type ViewKey = (Step, i64, Vec<(u32, i32)>, usize, usize);

struct Lowering<'a> {
    original: &'a Original<'a>,
    settings: Settings,
    uses: Uses,
    builder: Builder,
    held: Vec<Option<Held>>,
    views: HashMap<ViewKey, Step>,
    casts: HashMap<(Step, u8, i32), Step>,
    /// Nodes of chains that became tables.
    chained: usize,
}

/// Lowers a graph.
pub(crate) fn lower(original: &Original<'_>, settings: Settings) -> Result<Lowered, OnnxError> {
    let mut lowering = Lowering {
        original,
        settings,
        uses: Uses::of(original.graph, original.values),
        builder: Builder::new(settings.quantisation, settings.precise),
        held: vec![None; original.graph.names.len()],
        views: HashMap::new(),
        casts: HashMap::new(),
        chained: 0,
    };
    let inputs = lowering.inputs();
    for node in &original.graph.nodes {
        lowering
            .node(node)
            .map_err(|fault| fault.at(&node.operator, &node.name))?;
        if lowering.builder.program.steps.len() > MAX_STEPS {
            return Err(OnnxError::TooManySteps);
        }
    }
    for output in &original.graph.outputs {
        let name = &original.graph.names[*output];
        lowering
            .output(*output)
            .map_err(|fault| fault.at("output", name))?;
    }
    let mut held = vec![];
    for node in &original.graph.nodes {
        for id in node.outputs.iter().flatten() {
            if let Some(place) = &lowering.held[*id] {
                held.push(Shown {
                    id: *id,
                    name: node.name.clone(),
                    operator: node.operator.clone(),
                    held: place.clone(),
                    scores: lowering.uses.is_scores(*id),
                });
            }
        }
    }
    Ok(Lowered {
        builder: lowering.builder,
        held,
        inputs,
    })
}

impl Lowering<'_> {
    fn node(&mut self, node: &Node) -> Result<(), Fault> {
        if self.places(node)? || self.uses.is_function(node) {
            return Ok(());
        }
        match node.operator.as_str() {
            "MatMul" => self.matmul(node),
            "Gemm" => self.gemm(node),
            "Conv" => self.conv(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Softmax" | "LogSoftmax" => self.softmax(node),
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
                self.layer_normalization(node)
            }
            "ArgMax" | "ArgMin" => self.argmax(node),
            "LSTM" | "GRU" | "RNN" => self.recurrent(node),
            "Gather" => self.gather(node),
            "GatherND" => self.gather_nd(node),
            "Concat" => self.concat(node),
            "Pad" => self.pad(node),
            name if name.starts_with("Reduce") => self.reduce(node),
            name if evaluate::elementwise::is_elementwise(name) => self.elementwise(node),
            _ => Err(evaluate::unsupported(node)),
        }
    }

    fn inputs(&mut self) -> Vec<usize> {
        let graph = self.original.graph;
        let mut taken = vec![];
        for (place, input) in graph.inputs.iter().enumerate() {
            if self.uses.is_used(input.id) {
                let definition = self.input(input, taken.len() as u32);
                self.builder.program.inputs.push(definition);
                taken.push(place);
            }
        }
        taken
    }

    fn input(&mut self, input: &GraphInput, place: u32) -> InputDefinition {
        let name = self.original.graph.names[input.id].clone();
        let width = input.shape.last().copied().unwrap_or(1);
        let rows = input.shape.iter().product::<usize>() / width;
        let (of, form) = if input.float {
            let bits = self.bits(input.id);
            (
                plain(rows, width, bits, self.exponent(input.id, bits)),
                InputForm::Numbers,
            )
        } else {
            (index(rows, width), InputForm::Indices)
        };
        let step = self.builder.step(&name, Operation::Input(place), of);
        self.held[input.id] = Some(Held::new(step, input.shape.clone()));
        InputDefinition {
            name,
            shape: input.shape.iter().map(|extent| *extent as u32).collect(),
            form,
        }
    }

    fn output(&mut self, id: Id) -> Result<(), Fault> {
        let held = if self.uses.is_index(id) {
            self.indices(id)?
        } else {
            self.held(id)?
        };
        let order: Vec<usize> = (0..held.shape.len()).collect();
        let width = held.shape.last().copied().unwrap_or(1);
        let step = self.arranged(&held, &order, width, "output")?;
        let shape = held.shape.iter().map(|extent| *extent as u32).collect();
        let name = self.original.graph.names[id].clone();
        self.builder
            .program
            .outputs
            .push(OutputDefinition { name, shape, step });
        Ok(())
    }

    fn shape(&self, id: Id) -> Result<&[usize], Fault> {
        let tensor = self
            .original
            .graph
            .constants
            .get(&id)
            .or(self.original.values[id].as_ref());
        let tensor =
            tensor.ok_or_else(|| Fault::Shape("reads a tensor that is not there".into()))?;
        Ok(&tensor.shape)
    }

    fn constant(&self, node: &Node, index: usize) -> Option<&Tensor> {
        self.original.graph.constants.get(&node.input(index)?)
    }

    fn needed(&self, node: &Node, index: usize) -> Result<Id, Fault> {
        node.input(index)
            .ok_or_else(|| Fault::Shape(format!("lacks input {index}")))
    }

    fn needed_constant(
        &self,
        node: &Node,
        index: usize,
        hint: &'static str,
    ) -> Result<Tensor, Fault> {
        self.constant(node, index)
            .cloned()
            .ok_or(Fault::Unsupported(hint))
    }

    /// Bits of a tensor's mantissas: fewer if only matrices read it.
    fn bits(&self, id: Id) -> u8 {
        if self.uses.is_operand(id) {
            self.settings.operand_bits
        } else {
            16
        }
    }

    /// The exponent of a tensor, from its range.
    fn exponent(&self, id: Id, bits: u8) -> i32 {
        let range = self.original.ranges[id];
        let largest = f64::from(range.largest) * self.original.headroom;
        let bounded = match self.uses.bound(id) {
            Some(bound) => largest.min(bound),
            None => largest,
        };
        let masked = range.endless || range.largest > range.unmasked;
        let size = if self.uses.is_scores(id) && masked {
            f64::from(range.unmasked) * self.original.headroom + NOTHING
        } else if range.endless {
            bounded.max(f64::from(CLAMPED))
        } else {
            bounded
        };
        exponent_for(size, bits)
    }

    /// Where a tensor is; it is computed now if it is a constant or a function of another.
    fn held(&mut self, id: Id) -> Result<Held, Fault> {
        if let Some(held) = &self.held[id] {
            return Ok(held.clone());
        }
        let held = match self.original.graph.constants.get(&id) {
            Some(tensor) => self.constant_step(id, tensor),
            None => self.function(id)?,
        };
        self.held[id] = Some(held.clone());
        Ok(held)
    }

    fn constant_step(&mut self, id: Id, tensor: &Tensor) -> Held {
        let width = tensor.shape.last().copied().unwrap_or(1).max(1);
        let name = self.original.graph.names[id].clone();
        let values = tensor.to_floats();
        let step = self
            .builder
            .constant(&name, values.len() / width, width, &values);
        Held::new(step, tensor.shape.clone())
    }

    /// A tensor of constant numbers that is not in the graph.
    fn made_constant(&mut self, name: &str, shape: Vec<usize>, values: &[f32]) -> Held {
        let width = shape.last().copied().unwrap_or(1).max(1);
        let step = self
            .builder
            .constant(name, values.len() / width, width, values);
        Held::new(step, shape)
    }

    /// A step whose value holds a tensor's elements in this order of axes, `width` in a row.
    fn arranged(
        &mut self,
        held: &Held,
        order: &[usize],
        width: usize,
        name: &str,
    ) -> Result<Step, Fault> {
        let elements: usize = held.shape.iter().product();
        if elements == 0 || width == 0 || !elements.is_multiple_of(width) {
            return Err(Fault::Shape("is empty".into()));
        }
        let rows = elements / width;
        let axes = held.axes(order);
        let of = self.builder.of(held.step);
        let straight =
            held.offset == 0 && elements == of.elements() && matches!(axes[..], [(_, 1)]);
        if straight && (of.rows as usize, of.width as usize) == (rows, width) {
            return Ok(held.step);
        }
        let key = (held.step, held.offset, axes.clone(), rows, width);
        if let Some(step) = self.views.get(&key) {
            return Ok(*step);
        }
        let mut of = of.clone();
        (of.rows, of.width) = (rows as u32, width as u32);
        let view = Operation::View {
            input: held.step,
            offset: held.offset as u32,
            axes,
        };
        let step = self.builder.step(&format!("{name}/view"), view, of);
        self.views.insert(key, step);
        Ok(step)
    }

    /// In row-major order, `width` in a row.
    fn natural(&mut self, held: &Held, width: usize, name: &str) -> Result<Step, Fault> {
        let order: Vec<usize> = (0..held.shape.len()).collect();
        self.arranged(held, &order, width, name)
    }

    /// The same numbers with other bits or another exponent.
    fn cast(&mut self, step: Step, bits: u8, exponent: i32, name: &str) -> Step {
        let of = self.builder.of(step);
        if of.bits() == bits && matches!(of.form, Form::Fixed { .. }) && exponent_of(of) == exponent
        {
            return step;
        }
        let to = plain(of.rows as usize, of.width as usize, bits, exponent);
        *self.casts.entry((step, bits, exponent)).or_insert_with(|| {
            self.builder
                .step(&format!("{name}/cast"), Operation::Cast(step), to)
        })
    }

    /// A step as the operand of a matrix: no more bits than those have.
    fn operand(&mut self, step: Step, name: &str) -> Step {
        let of = self.builder.of(step);
        let bits = self.settings.operand_bits;
        if of.bits() <= bits {
            return step;
        }
        let exponent = exponent_of(of) + i32::from(of.bits() - bits);
        self.cast(step, bits, exponent, name)
    }

    fn set(&mut self, id: Id, held: Held) {
        self.held[id] = Some(held);
    }
}
