//! Which steps' values are committed, and at which positions they are computed at all.

use crate::{
    operation::{Operation, Step},
    program::Program,
};

/// The committed steps of a program, in two groups. The **tail** is what nothing at another position depends on: it is computed
/// and committed only at positions whose output is used. The **body** is committed at every position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    body: Vec<Step>,
    tail: Vec<Step>,
    in_tail: Vec<bool>,
}

impl Plan {
    /// The plan of a checked program.
    pub fn of(program: &Program) -> Self {
        let in_tail = tail(program);
        let committed = program.steps.iter().enumerate();
        let committed = committed.filter(|(_, step)| is_committed(&step.operation));
        let (tail, body) = committed
            .map(|(step, _)| step as Step)
            .partition(|step| in_tail.get(*step as usize).copied().unwrap_or(false));
        Self {
            body,
            tail,
            in_tail,
        }
    }

    /// Steps that are committed at every position, ascending.
    pub fn body(&self) -> &[Step] {
        &self.body
    }

    /// Steps that are committed only where the position's output is used, ascending.
    pub fn tail(&self) -> &[Step] {
        &self.tail
    }

    /// Whether a step, committed or not, is needed only where the position's output is used.
    pub fn is_tail(&self, step: Step) -> bool {
        self.in_tail.get(step as usize).copied().unwrap_or(false)
    }

    /// Whether a committed step is of the tail, and its place in its group; `None` if it is not committed.
    pub fn place(&self, step: Step) -> Option<(bool, usize)> {
        let tail = self.is_tail(step);
        let group = if tail { &self.tail } else { &self.body };
        Some((tail, group.binary_search(&step).ok()?))
    }
}

/// Whether a step's values are leaves. Those that move, choose or turn single elements of other steps are not: whoever
/// needs one computes it from leaves, at the cost of a few rows.
fn is_committed(operation: &Operation) -> bool {
    !matches!(
        operation,
        Operation::Position
            | Operation::Constant(_)
            | Operation::RootMeanSquare { .. }
            | Operation::Centre(_)
            | Operation::Rotate { .. }
            | Operation::Gate { .. }
            | Operation::Lookup { .. }
            | Operation::Multiply { .. }
            | Operation::Cast(_)
            | Operation::Rectify(_)
            | Operation::Delay(_)
            | Operation::View { .. }
            | Operation::Join(_)
            | Operation::Take { .. }
    )
}

/// For each step, whether no position but its own depends on it: through keys or values of attention, or through a delay.
fn tail(program: &Program) -> Vec<bool> {
    let mut tail = vec![true; program.steps.len()];
    let mut needed: Vec<Step> = vec![];
    for step in &program.steps {
        match &step.operation {
            Operation::Attend { keys, values, .. } => needed.extend([*keys, *values]),
            Operation::Delay(input) => needed.push(*input),
            _ => {}
        }
    }
    while let Some(step) = needed.pop() {
        let Some(marked) = tail.get_mut(step as usize) else {
            continue;
        };
        if std::mem::replace(marked, false)
            && let Some(definition) = program.steps.get(step as usize)
        {
            needed.extend(definition.operation.operands());
        }
    }
    tail
}
