//! Recurrent layers, unrolled: each step of the sequence becomes steps of the program.

use super::{Held, Lowering, exponent_for, plain};
use crate::onnx::{
    Fault,
    evaluate::{
        functions,
        recurrent::{Cell, Recurrent, Trace},
    },
    graph::Node,
    moves::{Axis, Move},
};
use og_program::operation::{MatrixIndex, Operation, Step, VectorIndex};

/// Exponents inside a cell, for 16 bits.
struct Exponents {
    input: i32,
    state_part: i32,
    sum: i32,
    cell: i32,
    state: i32,
}

/// One direction of a layer in a program.
struct Direction<'a> {
    spec: &'a Recurrent,
    activations: &'a [Node],
    /// The recurrent matrix and its bias.
    matrix: Vec<MatrixIndex>,
    bias: Option<VectorIndex>,
    /// For a GRU that resets before its matrix: the rows of the new state alone.
    reset: Option<(Vec<MatrixIndex>, Option<VectorIndex>)>,
    exponents: &'a Exponents,
    name: &'a str,
}

impl Lowering<'_> {
    pub(super) fn recurrent(&mut self, node: &Node) -> Result<(), Fault> {
        let name = node.name.as_str();
        let x = self.held(self.needed(node, 0)?)?;
        let hint = "its weights must be constant";
        let (w, r) = (
            self.needed_constant(node, 1, hint)?,
            self.needed_constant(node, 2, hint)?,
        );
        let bias = match node.input(3) {
            Some(_) => Some(self.needed_constant(node, 3, hint)?),
            None => None,
        };
        let spec = Recurrent::read(node, &x.shape, &w.shape)?;
        let first = node.outputs.iter().flatten().next().copied();
        let trace = first.and_then(|id| self.original.recurrent.get(&id));
        let trace = trace.ok_or_else(|| Fault::Shape("was not calibrated".into()))?;
        let exponents = self.exponents(trace);
        let input = self.natural(&x, spec.features, name)?;
        let (mut all, mut last, mut last_cell) = (vec![], vec![], vec![]);
        for direction in 0..spec.backwards.len() {
            let cell = spec.cell(direction, &w, &r, bias.as_ref())?;
            let starts = [
                self.start(node, 5, direction, &spec, exponents.state)?,
                self.start(node, 6, direction, &spec, exponents.cell)?,
            ];
            let bias = Some(cell.input_bias.as_slice());
            let inputs =
                self.linear(input, cell.input.clone(), bias, (16, exponents.input), name)?;
            let made = self.cell(node, &spec, direction, &cell, &exponents)?;
            let (states, memory) = self.direction(&made, inputs, spec.times(direction), starts)?;
            last.extend(spec.times(direction).last().map(|time| states[*time]));
            last_cell.extend(memory);
            all.push(states);
        }
        let by_time =
            (0..spec.sequence).flat_map(|time| all.iter().map(move |states| states[time]));
        let [y, y_h, y_c] = spec.shapes();
        let parts = [by_time.collect::<Vec<_>>(), last, last_cell];
        for ((parts, shape), (place, exponent)) in parts.into_iter().zip([y, y_h, y_c]).zip([
            (0, exponents.state),
            (1, exponents.state),
            (2, exponents.cell),
        ]) {
            if let Some(id) = node.outputs.get(place).copied().flatten() {
                let step = self.joined(
                    parts.clone(),
                    parts.len(),
                    spec.hidden,
                    (16, exponent),
                    name,
                );
                self.set(id, Held::new(step, shape));
            }
        }
        Ok(())
    }

    fn exponents(&self, trace: &Trace) -> Exponents {
        let of = |largest: f32| exponent_for(f64::from(largest) * self.original.headroom, 16);
        Exponents {
            input: of(trace.input_part),
            state_part: of(trace.state_part),
            sum: of(trace.sum),
            cell: of(trace.cell),
            state: exponent_for(
                (f64::from(trace.state) * self.original.headroom).max(1.0),
                16,
            ),
        }
    }

    /// The first state of a direction; `None` if it is zero.
    fn start(
        &mut self,
        node: &Node,
        input: usize,
        direction: usize,
        spec: &Recurrent,
        exponent: i32,
    ) -> Result<Option<Step>, Fault> {
        let Some(id) = node.input(input) else {
            return Ok(None);
        };
        if self
            .constant(node, input)
            .is_some_and(|start| start.to_floats().iter().all(|x| *x == 0.0))
        {
            return Ok(None);
        }
        let held = self.held(id)?;
        let along = if spec.batch_first { 1 } else { 0 };
        let axes = vec![Axis {
            source: Some(2),
            start: 0,
            step: 1,
            extent: spec.hidden,
        }];
        let fixed = vec![(along, direction), (1 - along, 0)];
        let part = held.moved(&Move::Axes { axes, fixed });
        let part = part.ok_or_else(|| Fault::Shape("its first state has another shape".into()))?;
        let step = self.natural(&part, spec.hidden, &node.name)?;
        Ok(Some(self.cast(step, 16, exponent, &node.name)))
    }

    /// What one direction's steps share.
    fn cell<'a>(
        &mut self,
        node: &'a Node,
        spec: &'a Recurrent,
        direction: usize,
        cell: &Cell,
        exponents: &'a Exponents,
    ) -> Result<Direction<'a>, Fault> {
        let name = node.name.as_str();
        let h = spec.hidden;
        let bias = |lowering: &mut Self, bias: &[f32]| {
            let any = bias.iter().any(|x| *x != 0.0);
            any.then(|| lowering.builder.vector_of(bias))
        };
        let reset_first = spec.gates == 3 && node.int("linear_before_reset", 0) == 0;
        let kept = if reset_first { 2 * h } else { spec.gates * h };
        let reset = if reset_first {
            let rows = cell.state[2 * h * h..].to_vec();
            let matrix = self.builder.matrix(name, h, h, rows)?;
            Some((matrix, bias(self, &cell.state_bias[2 * h..])))
        } else {
            None
        };
        let rows = cell.state[..kept * h].to_vec();
        let matrix = self.builder.matrix(name, kept, h, rows)?;
        let bias = bias(self, &cell.state_bias[..kept]);
        let activations = &spec.activations[direction];
        Ok(Direction {
            spec,
            activations,
            matrix,
            bias,
            reset,
            exponents,
            name,
        })
    }

    /// States by time, and the last cell state.
    fn direction(
        &mut self,
        made: &Direction<'_>,
        inputs: Step,
        times: Vec<usize>,
        starts: [Option<Step>; 2],
    ) -> Result<(Vec<Step>, Option<Step>), Fault> {
        let (spec, e, name) = (made.spec, made.exponents, made.name);
        let (h, rows) = (spec.hidden, spec.gates * spec.hidden);
        let first = |lowering: &mut Self, start: Option<Step>, exponent: i32| {
            start.unwrap_or_else(|| {
                let vector = lowering.builder.vector(vec![0; h], exponent);
                let of = plain(1, h, 16, exponent);
                lowering.builder.step(name, Operation::Constant(vector), of)
            })
        };
        let mut state = first(self, starts[0], e.state);
        let mut memory = (spec.gates == 4).then(|| first(self, starts[1], e.cell));
        let mut states = vec![state; spec.sequence];
        let all = Held::new(inputs, vec![spec.sequence, rows]);
        for time in times {
            let now = self.part(&all, time, 0..rows, name)?;
            (state, memory) = match memory {
                Some(memory) => {
                    let (state, memory) = self.lstm(made, now, state, memory)?;
                    (state, Some(memory))
                }
                None if spec.gates == 3 => (self.gru(made, now, state)?, None),
                None => {
                    let sum = self.gates(made, now, state)?;
                    (self.activated(made, 0, sum, e.state)?, None)
                }
            };
            states[time] = state;
        }
        Ok((states, memory))
    }

    /// Columns of one row.
    fn part(
        &mut self,
        of: &Held,
        row: usize,
        columns: std::ops::Range<usize>,
        name: &str,
    ) -> Result<Step, Fault> {
        let axes = vec![Axis {
            source: Some(1),
            start: columns.start,
            step: 1,
            extent: columns.len(),
        }];
        let part = of.moved(&Move::Axes {
            axes,
            fixed: vec![(0, row)],
        });
        let part = part.ok_or_else(|| Fault::Shape("cannot be cut into gates".into()))?;
        self.natural(&part, columns.len(), name)
    }

    /// Columns of gate `index` of a row of gates.
    fn gate(&mut self, made: &Direction<'_>, row: Step, index: usize) -> Result<Step, Fault> {
        let h = made.spec.hidden;
        let width = self.builder.of(row).width as usize;
        self.part(
            &Held::new(row, vec![1, width]),
            0,
            index * h..(index + 1) * h,
            made.name,
        )
    }

    fn times_matrix(
        &mut self,
        state: Step,
        matrix: &[MatrixIndex],
        bias: Option<VectorIndex>,
        made: &Direction<'_>,
    ) -> Step {
        let first = matrix
            .first()
            .and_then(|first| self.builder.program.matrices.get(*first as usize));
        let outputs = first.map_or(1, |first| first.outputs as usize);
        let input = self.operand(state, made.name);
        let to = plain(1, outputs, 16, made.exponents.state_part);
        let linear = |matrix, bias| Operation::Linear {
            input,
            matrix,
            bias,
        };
        self.builder
            .with_matrices(made.name, matrix, bias, to, linear)
    }

    /// All gates before their activation.
    fn gates(&mut self, made: &Direction<'_>, now: Step, state: Step) -> Result<Step, Fault> {
        let right = self.times_matrix(state, &made.matrix, made.bias, made);
        Ok(self.plus(now, right, made.exponents.sum, made.name))
    }

    fn plus(&mut self, left: Step, right: Step, exponent: i32, name: &str) -> Step {
        let width = self.builder.of(left).width as usize;
        self.builder.step(
            name,
            Operation::Add { left, right },
            plain(1, width, 16, exponent),
        )
    }

    fn by(&mut self, left: Step, right: Step, exponent: i32, name: &str) -> Step {
        let width = self.builder.of(left).width as usize;
        self.builder.step(
            name,
            Operation::Multiply { left, right },
            plain(1, width, 16, exponent),
        )
    }

    fn activated(
        &mut self,
        made: &Direction<'_>,
        which: usize,
        step: Step,
        exponent: i32,
    ) -> Result<Step, Fault> {
        let function = functions::function(&made.activations[which])?;
        let values: Vec<f32> = self.points(step).into_iter().map(function).collect();
        self.lookup(step, &values, 16, exponent, made.name)
    }

    fn lstm(
        &mut self,
        made: &Direction<'_>,
        now: Step,
        state: Step,
        memory: Step,
    ) -> Result<(Step, Step), Fault> {
        let (e, name) = (made.exponents, made.name);
        let gates = self.gates(made, now, state)?;
        let mut activated = [0; 4];
        for (index, to) in activated.iter_mut().enumerate() {
            let gate = self.gate(made, gates, index)?;
            *to = self.activated(made, usize::from(index == 3), gate, -14)?;
        }
        let [input, output, forget, new] = activated;
        let kept = self.by(forget, memory, e.cell, name);
        let added = self.by(input, new, -14, name);
        let memory = self.plus(kept, added, e.cell, name);
        let shown = self.activated(made, 2, memory, -14)?;
        Ok((self.by(output, shown, e.state, name), memory))
    }

    fn gru(&mut self, made: &Direction<'_>, now: Step, state: Step) -> Result<Step, Fault> {
        let (e, name, h) = (made.exponents, made.name, made.spec.hidden);
        let recurrent = self.times_matrix(state, &made.matrix, made.bias, made);
        let mut sums = [0; 2];
        for (index, sum) in sums.iter_mut().enumerate() {
            let (a, b) = (
                self.gate(made, now, index)?,
                self.gate(made, recurrent, index)?,
            );
            let both = self.plus(a, b, e.sum, name);
            *sum = self.activated(made, 0, both, -14)?;
        }
        let [update, reset] = sums;
        let part = match &made.reset {
            Some((matrix, bias)) => {
                let kept = self.by(reset, state, e.state, name);
                self.times_matrix(kept, matrix, *bias, made)
            }
            None => {
                let part = self.gate(made, recurrent, 2)?;
                self.by(reset, part, e.state_part, name)
            }
        };
        let new = self.gate(made, now, 2)?;
        let new = self.plus(new, part, e.sum, name);
        let new = self.activated(made, 1, new, -14)?;
        // `(1 - z)·n + z·s = n + z·(s - n)`.
        let opposite = self.negated(Held::new(new, vec![1, h]), name)?;
        let change = self.plus(state, opposite.step, e.state.max(-14) + 1, name);
        let change = self.by(update, change, e.state.max(-14) + 1, name);
        Ok(self.plus(new, change, e.state, name))
    }
}
