//! What of a program is decided once: which memory each step's value uses, what is kept for later positions, and what
//! is computed only where an output is asked for.

use super::cache::BLOCK_POSITIONS;
use og_kernels::attention;
use og_program::{
    operation::{Operation, Step},
    program::{Program, StepDefinition},
    trace,
    value::Form,
};

/// A step's part of a plan.
#[derive(Clone, Debug)]
pub(crate) struct PlannedStep {
    /// The buffer that its value is written to.
    pub(crate) buffer: usize,
    /// Whether nothing at other positions depends on it: it is computed only where an output is asked for.
    pub(crate) tail: bool,
    /// Its index in [`Plan::delayed`].
    pub(crate) delayed: Option<usize>,
    /// Indices in [`Plan::attended`] of keys and values of which it is the last to be computed.
    pub(crate) appended: Vec<usize>,
    /// The index in [`Plan::attended`] of what it attends to.
    pub(crate) attended: Option<usize>,
    /// Steps that are not tail, which it is the first tail step to read: the rows that are asked for are copied.
    pub(crate) gather: Vec<Step>,
    /// The buffer that those rows of its own are copied to.
    pub(crate) gathered: Option<usize>,
}

/// Keys and values that are kept at every position. A block of positions holds, from `offset` on, what
/// [`attention`] says for each head, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attended {
    pub(crate) keys: Step,
    pub(crate) values: Step,
    /// A step that attends to them.
    pub(crate) reader: usize,
    pub(crate) heads: usize,
    pub(crate) offset: usize,
    /// 16-bit numbers of one head.
    pub(crate) head_length: usize,
}

/// A value that is kept at every position for delays. A block of positions holds, from `offset` on, the mantissas
/// of each position (or indices, as two halves); then, from `exponents_offset` on, its exponents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delayed {
    pub(crate) step: Step,
    pub(crate) offset: usize,
    /// 16-bit numbers at one position.
    pub(crate) width: usize,
    /// Exponents at one position that are not part of the type.
    pub(crate) exponents: usize,
    pub(crate) exponents_offset: usize,
}

/// How a program is executed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<PlannedStep>,
    /// Elements that each buffer holds for one position.
    pub(crate) buffers: Vec<usize>,
    pub(crate) attended: Vec<Attended>,
    pub(crate) delayed: Vec<Delayed>,
    /// 16-bit numbers of a block of positions.
    pub(crate) block_length: usize,
    /// A step reads, at the position before, what is computed after it: positions must be computed one by one.
    pub(crate) recurrent: bool,
}

impl Plan {
    /// The plan of a checked program.
    pub(crate) fn new(program: &Program, trace: &trace::Plan) -> Self {
        let mut length = 0;
        let attended = attended(program, &mut length);
        let delayed = delayed(program, &mut length);
        let last_of = |attended: &Attended| attended.keys.max(attended.values);
        let mut steps: Vec<PlannedStep> = (0..program.steps.len() as Step)
            .map(|step| PlannedStep {
                buffer: 0,
                tail: trace.is_tail(step),
                delayed: delayed.iter().position(|delayed| delayed.step == step),
                appended: (0..attended.len())
                    .filter(|index| last_of(&attended[*index]) == step)
                    .collect(),
                attended: attended_by(&program.steps[step as usize].operation, &attended),
                gather: vec![],
                gathered: None,
            })
            .collect();
        let buffers = Buffers::assign(program, &attended, &mut steps);
        let recurrent = program.steps.iter().enumerate().any(
            |(step, definition)| matches!(definition.operation, Operation::Delay(of) if of as usize >= step),
        );
        Self {
            steps,
            buffers,
            attended,
            delayed,
            block_length: length,
            recurrent,
        }
    }
}

/// The operands that a step reads at its own position.
pub(crate) fn operands_here(operation: &Operation) -> Vec<Step> {
    match operation {
        Operation::Delay(_) => vec![],
        Operation::Attend { queries, .. } => vec![*queries],
        other => other.operands(),
    }
}

fn attended_by(operation: &Operation, all: &[Attended]) -> Option<usize> {
    let Operation::Attend { keys, values, .. } = operation else {
        return None;
    };
    all.iter()
        .position(|attended| (attended.keys, attended.values) == (*keys, *values))
}

/// Room for `count` 16-bit numbers at each position of a block; begins at a multiple of 64 bytes.
fn place(length: &mut usize, count: usize) -> usize {
    let offset = *length;
    *length = length.saturating_add(count.saturating_mul(BLOCK_POSITIONS).next_multiple_of(32));
    offset
}

fn attended(program: &Program, length: &mut usize) -> Vec<Attended> {
    let mut all: Vec<Attended> = vec![];
    for (reader, definition) in program.steps.iter().enumerate() {
        let Some(plan) = attention_plan(program, definition) else {
            continue;
        };
        let Operation::Attend {
            keys,
            values,
            attention,
            ..
        } = &definition.operation
        else {
            continue;
        };
        if attended_by(&definition.operation, &all).is_none() {
            let (heads, head_length) = (attention.kv_heads as usize, plan.block_len());
            let offset = *length;
            *length = length.saturating_add((heads * head_length).next_multiple_of(32));
            all.push(Attended {
                keys: *keys,
                values: *values,
                reader,
                heads,
                offset,
                head_length,
            });
        }
    }
    all
}

/// What the kernels need to know of an attention step; `None` for other steps.
pub(crate) fn attention_plan<'a>(
    program: &'a Program,
    definition: &'a StepDefinition,
) -> Option<attention::Plan<'a>> {
    let Operation::Attend {
        queries,
        keys,
        values,
        attention,
    } = &definition.operation
    else {
        return None;
    };
    let types = [queries, keys, values].map(|step| &program.steps[*step as usize].output);
    let weights = &program.vectors[attention.weights as usize];
    let cap = attention
        .cap
        .as_ref()
        .map(|cap| &program.tables[cap.table as usize]);
    Some(attention::Plan::new(attention, types, weights, cap))
}

fn delayed(program: &Program, length: &mut usize) -> Vec<Delayed> {
    let delays = program
        .steps
        .iter()
        .filter_map(|definition| match definition.operation {
            Operation::Delay(of) => Some(of),
            _ => None,
        });
    let mut named: Vec<Step> = delays.collect();
    named.sort_unstable();
    named.dedup();
    let delayed = named.into_iter().map(|step| {
        let of = &program.steps[step as usize].output;
        let (width, exponents) = match of.form {
            Form::Index => (of.elements() * 2, 0),
            Form::Scaled { .. } => (of.elements(), of.rows as usize * of.parts()),
            Form::Fixed { .. } => (of.elements(), 0),
        };
        Delayed {
            step,
            offset: place(length, width),
            width,
            exponents,
            exponents_offset: place(length, exponents),
        }
    });
    delayed.collect()
}

/// Buffers while they are given to steps.
#[derive(Default)]
struct Buffers {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl Buffers {
    /// Gives every step a buffer that no value still to be read lies in. Sizes of buffers, in elements.
    fn assign(program: &Program, attended: &[Attended], steps: &mut [PlannedStep]) -> Vec<usize> {
        let count = program.steps.len();
        let elements = |step: usize| program.steps[step].output.elements();
        // Which step reads a value last: its own rows, and the rows gathered from it.
        let mut last = (0..count).collect::<Vec<_>>();
        let mut last_gathered = vec![None; count];
        for (step, definition) in program.steps.iter().enumerate() {
            for operand in operands_here(&definition.operation) {
                let operand = operand as usize;
                last[operand] = last[operand].max(step);
                if steps[step].tail && !steps[operand].tail {
                    if last_gathered[operand].is_none() {
                        steps[step].gather.push(operand as Step);
                    }
                    last_gathered[operand] = Some(step);
                }
            }
        }
        for attended in attended {
            let end = attended.keys.max(attended.values) as usize;
            for step in [attended.keys as usize, attended.values as usize] {
                last[step] = last[step].max(end);
            }
        }
        for output in &program.outputs {
            let step = output.step as usize;
            last[step] = count;
        }
        let mut ends: Vec<Vec<usize>> = vec![vec![]; count + 1];
        let mut buffers = Self::default();
        for step in 0..count {
            for operand in steps[step].gather.clone() {
                let operand = operand as usize;
                let buffer = buffers.take(elements(operand));
                steps[operand].gathered = Some(buffer);
                if let Some(end) = last_gathered[operand] {
                    ends[end].push(buffer);
                }
            }
            steps[step].buffer = buffers.take(elements(step));
            ends[last[step]].push(steps[step].buffer);
            buffers.free.append(&mut ends[step]);
        }
        buffers.sizes
    }

    /// The free buffer whose size is nearest, or a new one.
    fn take(&mut self, elements: usize) -> usize {
        let nearest = (0..self.free.len())
            .min_by_key(|index| self.sizes[self.free[*index]].abs_diff(elements));
        // A much larger or smaller one is left to whom it fits.
        let fits = |size: usize| size <= 4 * elements && elements <= 2 * size;
        match nearest.filter(|index| fits(self.sizes[self.free[*index]])) {
            Some(index) => {
                let buffer = self.free.swap_remove(index);
                self.sizes[buffer] = self.sizes[buffer].max(elements);
                buffer
            }
            None => {
                self.sizes.push(elements);
                self.sizes.len() - 1
            }
        }
    }
}
