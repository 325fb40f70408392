//! What each operation does with the rows of a batch.

mod attend;
mod elementwise;
mod linear;
mod moves;
mod rows;
mod spatial;

pub(super) use {attend::AttendMemory, linear::LinearMemory, spatial::SpatialMemory};

use super::{
    cache::{BLOCK_POSITIONS, Cache, SequenceId},
    executor::{ForwardError, State},
    keep,
    plan::attention_plan,
    ready::Ready,
    values::{Buffer, Operand},
};
use linear::{Expert, Linear};
use og_kernels::{
    elements::{self, Angles, Gain, SoftmaxTable},
    team::Team,
};
use og_program::{
    operation::{Operation, Step},
    program::StepDefinition,
    value::Value,
};
use rows::{RowWork, each_row};

/// A position of a batch.
#[derive(Clone, Debug)]
pub(super) struct BatchRow<'a> {
    pub(super) sequence: SequenceId,
    pub(super) position: usize,
    pub(super) token: u32,
    pub(super) inputs: &'a [Value],
    /// Whether its root is noted.
    pub(super) traced: bool,
}

/// The positions that are computed at once.
#[derive(Clone, Copy)]
pub(super) struct Scope<'e> {
    pub(super) ready: &'e Ready,
    pub(super) rows: &'e [BatchRow<'e>],
    /// Rows whose outputs are asked for, ascending.
    pub(super) wanted: &'e [usize],
}

impl<'e> Scope<'e> {
    /// How many positions a step is computed at.
    pub(super) fn positions_of(self, step: usize) -> usize {
        if self.ready.plan.steps[step].tail {
            self.wanted.len()
        } else {
            self.rows.len()
        }
    }

    /// The row of the batch that a step's value at `index` belongs to.
    pub(super) fn row_of(self, step: usize, index: usize) -> usize {
        if self.ready.plan.steps[step].tail {
            self.wanted[index]
        } else {
            index
        }
    }

    /// Whether `reader` reads only the wanted rows of `step`, which was computed at more.
    fn reads_gathered(self, reader: usize, step: Step) -> bool {
        let steps = &self.ready.plan.steps;
        steps[reader].tail && !steps[step as usize].tail && self.wanted.len() < self.rows.len()
    }

    /// An operand of `reader`.
    fn operand<'b>(self, reader: usize, step: Step, buffers: &'b [Buffer]) -> Operand<'b>
    where
        'e: 'b,
    {
        let planned = &self.ready.plan.steps[step as usize];
        let gathered = self
            .reads_gathered(reader, step)
            .then_some(planned.gathered);
        let buffer = gathered.flatten().unwrap_or(planned.buffer);
        Operand::new(
            &self.ready.program().steps[step as usize].output,
            &buffers[buffer],
        )
    }
}

/// The positions that are computed at once, and what they are computed with.
pub(super) struct Wave<'e> {
    pub(super) scope: Scope<'e>,
    pub(super) team: &'e mut Team,
    pub(super) cache: &'e mut Cache,
    pub(super) state: &'e mut State,
}

impl Wave<'_> {
    /// Computes a step at all positions where it is needed, and keeps what later positions read.
    pub(super) fn step(&mut self, step: usize) -> Result<(), ForwardError> {
        let Scope {
            ready,
            rows,
            wanted,
        } = self.scope;
        let planned = &ready.plan.steps[step];
        let definition = &ready.program().steps[step];
        let positions = self.scope.positions_of(step);
        if positions == 0 {
            return Ok(());
        }
        if wanted.len() < rows.len() {
            planned
                .gather
                .iter()
                .for_each(|operand| self.gather(*operand as usize));
        }
        let mut out = std::mem::take(&mut self.state.buffers[planned.buffer]);
        out.fit(&definition.output, positions);
        let clamped = self.compute(step, definition, positions, &mut out);
        self.state.buffers[planned.buffer] = out;
        self.state.clamped[step] += clamped?;
        self.keep(step);
        Ok(())
    }

    /// Keeps what later positions read of a step that is not tail.
    fn keep(&mut self, step: usize) {
        let scope = self.scope;
        let (plan, program) = (&scope.ready.plan, scope.ready.program());
        let value = |step: Step| {
            let buffer = &self.state.buffers[plan.steps[step as usize].buffer];
            Operand::new(&program.steps[step as usize].output, buffer)
        };
        if let Some(delayed) = plan.steps[step].delayed.map(|index| &plan.delayed[index]) {
            let value = value(delayed.step);
            for (index, row) in scope.rows.iter().enumerate() {
                let block = self.cache.data_mut(row.sequence, row.position);
                keep::write(delayed, value.at(index), row.position, block);
            }
        }
        for index in &plan.steps[step].appended {
            let attended = &plan.attended[*index];
            let operands = [value(attended.keys), value(attended.values)];
            let attention = attention_plan(program, &program.steps[attended.reader]);
            if let Some(attention) = attention {
                attend::append(scope, attended, &attention, operands, self.cache);
            }
        }
    }

    /// Copies the rows of a step that are wanted.
    fn gather(&mut self, step: usize) {
        let Scope { ready, wanted, .. } = self.scope;
        let planned = &ready.plan.steps[step];
        let Some(gathered) = planned.gathered else {
            return;
        };
        let of = &ready.program().steps[step].output;
        let mut to = std::mem::take(&mut self.state.buffers[gathered]);
        to.gather(&self.state.buffers[planned.buffer], of, wanted, 0);
        self.state.buffers[gathered] = to;
    }

    fn compute(
        &mut self,
        step: usize,
        definition: &StepDefinition,
        positions: usize,
        out: &mut Buffer,
    ) -> Result<u64, ForwardError> {
        if self.moves(step, definition, positions, out) {
            return Ok(0);
        }
        let done = self.elements(step, definition, positions, out);
        let done = done.or_else(|| self.windows(step, definition, positions, out));
        if let Some(clamped) = done {
            return Ok(clamped);
        }
        let (scope, of) = (self.scope, &definition.output);
        let ready = scope.ready;
        let (kernels, program) = (ready.kernels, ready.program());
        let index_of = |row: usize| scope.row_of(step, row / of.rows as usize);
        let State {
            buffers,
            wides,
            linear,
            attend,
            angles,
            ..
        } = &mut *self.state;
        let (buffers, angles) = (&*buffers, &*angles);
        let operand = |operand: Step| scope.operand(step, operand, buffers);
        let vector = |index: u32| &program.vectors[index as usize];
        let form = &of.form;
        let team = &mut *self.team;
        let mut each = |work: &RowWork<'_>| each_row(team, wides, of, positions, out, work);
        Ok(match &definition.operation {
            Operation::Embed { input, matrix } => {
                let (input, weights) = (operand(*input), ready.weights(*matrix));
                each(&|row, wide, out| {
                    elements::embed(kernels, &weights, input.indices(row)[0], form, wide, out)
                })
            }
            Operation::RootMeanSquare {
                input,
                gain,
                epsilon,
                parts,
            } => {
                let input = operand(*input);
                let gain = Gain {
                    gain: vector(*gain),
                    epsilon: *epsilon,
                };
                let parts = *parts as usize;
                each(&|row, wide, out| {
                    elements::root_mean_square(
                        kernels,
                        input.row(row),
                        gain,
                        parts,
                        form,
                        wide,
                        out,
                    )
                })
            }
            Operation::Centre(input) => {
                let input = operand(*input);
                each(&|row, wide, out| elements::centre(kernels, input.row(row), form, wide, out))
            }
            Operation::Rotate { input, heads, .. } => {
                let (input, heads) = (operand(*input), *heads as usize);
                let angles = &angles[ready.rotation_of[step]];
                each(&|row, wide, out| {
                    elements::rotate(
                        kernels,
                        input.row(row),
                        heads,
                        &angles[index_of(row)],
                        form,
                        wide,
                        out,
                    )
                })
            }
            Operation::Softmax {
                input,
                exponent,
                scale,
                weights,
            } => {
                let input = operand(*input);
                let table = SoftmaxTable {
                    exponent: *exponent,
                    scale: *scale,
                    weights: vector(*weights),
                };
                each(&|row, wide, out| {
                    elements::softmax(kernels, input.row(row), table, form, wide, out)
                })
            }
            Operation::Reduce { input, reduction } => {
                let input = operand(*input);
                each(&|row, wide, out| {
                    elements::reduce(kernels, input.row(row), *reduction, form, wide, out)
                })
            }
            Operation::Trees {
                input,
                nodes,
                roots,
                exponent,
            } => {
                let input = operand(*input);
                each(&|row, wide, out| {
                    wide.values.resize(out.mantissas.len(), 0);
                    moves::trees(nodes, roots, input.indices(row), &mut wide.values);
                    wide.exponents.clear();
                    wide.exponents.push(*exponent);
                    og_kernels::finish::finish(kernels, wide, form, out)
                })
            }
            Operation::Take { input, indices } => {
                let (input, indices) = (operand(*input), operand(*indices));
                each(&|row, _, out| {
                    moves::take(
                        input.row(row).mantissas,
                        indices.indices(row),
                        out.mantissas,
                    );
                    out.exponents.fill(input.exponent(row));
                    0
                })
            }
            Operation::Linear {
                input,
                matrix,
                bias,
            } => {
                let key = (*input, scope.reads_gathered(step, *input));
                let input = operand(*input);
                let step = Linear {
                    ready,
                    matrix: *matrix,
                    bias: bias.map(vector),
                    of,
                };
                step.run(team, linear, key, &input, positions, out)?
            }
            Operation::Expert {
                input,
                choice,
                column,
                matrices,
            } => {
                let (input, choice) = (operand(*input), operand(*choice));
                let step = Expert {
                    ready,
                    matrices,
                    of,
                };
                let choice = |row: usize| choice.indices(row)[*column as usize];
                step.run(team, linear, &input, &choice, positions, out)?
            }
            Operation::Attend { queries, .. } => {
                let queries = operand(*queries);
                attend::run(
                    scope,
                    (step, definition),
                    &queries,
                    (team, attend),
                    self.cache,
                    positions,
                    out,
                )
            }
            // Those that were done above.
            _ => 0,
        })
    }

    /// What is moved or chosen, not computed. Whether it was such a step.
    fn moves(
        &mut self,
        step: usize,
        definition: &StepDefinition,
        positions: usize,
        out: &mut Buffer,
    ) -> bool {
        let (scope, of) = (self.scope, &definition.output);
        let ready = scope.ready;
        let program = ready.program();
        let operand = |operand: Step| scope.operand(step, operand, &self.state.buffers);
        let rows = (0..positions).map(|index| &scope.rows[scope.row_of(step, index)]);
        let each = 0..positions;
        match &definition.operation {
            Operation::Token => rows
                .enumerate()
                .for_each(|(index, row)| out.indices[index] = row.token),
            Operation::Position => {
                rows.enumerate()
                    .for_each(|(index, row)| out.indices[index] = row.position as u32);
            }
            Operation::Input(input) => rows.enumerate().for_each(|(index, row)| {
                out.set(of, index, &row.inputs[*input as usize]);
            }),
            Operation::Constant(vector) => {
                let mantissas = &program.vectors[*vector as usize].mantissas;
                each.for_each(|index| {
                    let to = &mut out.mantissas[index * of.elements()..][..of.elements()];
                    for row in to.chunks_exact_mut(mantissas.len()) {
                        row.copy_from_slice(mantissas);
                    }
                    moves::fixed_exponents(of, index, out);
                });
            }
            Operation::Delay(input) => {
                let delayed = ready.plan.steps[*input as usize].delayed;
                let Some(delayed) = delayed.map(|index| &ready.plan.delayed[index]) else {
                    return true;
                };
                let zero = Value::zero(of);
                rows.enumerate()
                    .for_each(|(index, row)| match row.position.checked_sub(1) {
                        None => out.set(of, index, &zero),
                        Some(before) => {
                            let block =
                                self.cache.blocks_of(row.sequence)[before / BLOCK_POSITIONS];
                            keep::read(delayed, of, self.cache.data(block), before, index, out);
                        }
                    });
            }
            Operation::View {
                input,
                offset,
                axes,
            } => {
                let input = operand(*input);
                each.for_each(|index| moves::view(&input, of, index, *offset, axes, out));
            }
            Operation::Join(inputs) => {
                let inputs: Vec<Operand<'_>> = inputs.iter().map(|input| operand(*input)).collect();
                each.for_each(|index| moves::join(&inputs, of, index, out));
            }
            Operation::Largest(input) | Operation::Choose { input, .. } => {
                let (input, width) = (operand(*input), of.width as usize);
                let count = positions * of.rows as usize;
                for (row, out) in out.indices[..count * width]
                    .chunks_exact_mut(width)
                    .enumerate()
                {
                    moves::choose(input.row(row).mantissas, out);
                }
            }
            _ => return false,
        }
        true
    }

    /// Sines and cosines of all positions.
    pub(super) fn turn(&mut self) {
        let Scope { ready, rows, .. } = self.scope;
        let program = ready.program();
        let angles = ready.rotations.iter().map(|rotation| {
            let sine = &program.vectors[rotation.sine as usize];
            rows.iter()
                .map(|row| Angles::new(rotation, sine, row.position as u64))
                .collect()
        });
        self.state.angles.clear();
        self.state.angles.extend(angles);
    }
}
