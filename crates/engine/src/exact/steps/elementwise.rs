//! Operations that take elements one by one, so that rows of one exponent are taken together.

use super::{
    Wave,
    rows::{RowsWork, each_element},
};
use crate::exact::values::Buffer;
use og_kernels::elements;
use og_program::{
    operation::{Operation, Step},
    program::StepDefinition,
};

impl Wave<'_> {
    /// Computes such a step, and gives how many elements were clamped; `None` for other steps.
    pub(super) fn elements(
        &mut self,
        step: usize,
        definition: &StepDefinition,
        positions: usize,
        out: &mut Buffer,
    ) -> Option<u64> {
        let (scope, of) = (self.scope, &definition.output);
        let (kernels, program) = (scope.ready.kernels, scope.ready.program());
        let (buffers, wides) = (&self.state.buffers, &mut self.state.wides);
        let operand = |operand: Step| scope.operand(step, operand, buffers);
        let table = |index: u32| &program.tables[index as usize];
        let mut operands = definition.operation.operands().into_iter();
        let plain = of.is_plain()
            && operands.all(|operand| program.steps[operand as usize].output.is_plain());
        let form = &of.form;
        let team = &mut *self.team;
        let mut each =
            |work: &RowsWork<'_>| each_element(team, wides, of, positions, out, plain, work);
        Some(match &definition.operation {
            Operation::Add { left, right } => {
                let (left, right) = (operand(*left), operand(*right));
                each(&|rows, wide, out| {
                    let (left, right) = (left.together(rows.clone()), right.together(rows));
                    elements::add(kernels, left, right, form, wide, out)
                })
            }
            Operation::Multiply { left, right } => {
                let (left, right) = (operand(*left), operand(*right));
                each(&|rows, wide, out| {
                    let (left, right) = (left.together(rows.clone()), right.together(rows));
                    elements::multiply(kernels, left, right, form, wide, out)
                })
            }
            Operation::Gate {
                input,
                other,
                table: function,
            } => {
                let (input, other) = (operand(*input), other.map(operand));
                let function = table(*function);
                each(&|rows, wide, out| {
                    let other = other.map(|other| other.together(rows.clone()));
                    let input = input.together(rows);
                    elements::gate(kernels, input, other, function, form, wide, out)
                })
            }
            Operation::Lookup {
                input,
                table: function,
            } => {
                let (input, function) = (operand(*input), table(*function));
                each(&|rows, wide, out| {
                    let input = input.together(rows);
                    elements::lookup(kernels, input, function, form, wide, out)
                })
            }
            Operation::Cast(input) => {
                let input = operand(*input);
                each(&|rows, wide, out| {
                    elements::cast(kernels, input.together(rows), form, wide, out)
                })
            }
            Operation::Rectify(input) => {
                let input = operand(*input);
                each(&|rows, _, out| {
                    let input = input.together(rows);
                    elements::rectify(input.mantissas, out.mantissas);
                    out.exponents.copy_from_slice(input.exponents);
                    0
                })
            }
            _ => return None,
        })
    }
}
