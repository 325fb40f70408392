//! Whether a program is one: references, shapes, and the proof that no intermediate leaves its width.
//!
//! Nothing here looks at weights' bytes: a matrix declares its largest row sum and shift, and
//! [`crate::file`] checks those while loading.

mod facts;
mod operands;
mod widths;

use facts::Facts;

use crate::{
    operation::{Operation, Rotation, Scale, Step, Table, Vector},
    program::{InputForm, Program, StepDefinition, VERSION},
    value::{Form, Type},
};

/// Steps of a program, at most.
pub const MAX_STEPS: usize = 1 << 16;
/// Elements of one value, at most.
pub const MAX_ELEMENTS: usize = 1 << 24;
/// Elements of all values at one position, at most.
pub const MAX_POSITION_ELEMENTS: usize = 1 << 28;
/// Positions, at most.
pub const MAX_POSITIONS: u32 = 1 << 17;
/// Vectors, tables and matrices, at most, each.
pub const MAX_CONSTANTS: usize = 1 << 16;
/// Largest magnitude of an exponent in a program.
pub const MAX_EXPONENT: i32 = 1024;

/// Why a program is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Another version of the specification.
    #[error(
        "the program follows version {0} of the specification; this software knows version {VERSION}"
    )]
    Version(u32),
    /// Something of the program as a whole.
    #[error("{0}")]
    Whole(String),
    /// A step.
    #[error("step {step} ({name:?}): {fault}")]
    Step {
        /// Which.
        step: usize,
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It reads a step that is not computed before it.
    #[error("reads step {0}, which is not computed before it")]
    Order(Step),
    /// It names a constant that is not there.
    #[error("names {what} {index}, of which there are {count}")]
    Missing {
        /// A vector, table, matrix or input.
        what: &'static str,
        /// Its index.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// A type, shape or attribute that the operation does not take.
    #[error("{0}")]
    Shape(&'static str),
    /// Its type breaks a bound.
    #[error("its output {0}")]
    Output(&'static str),
    /// An intermediate could leave its width.
    #[error("an intermediate could reach 2^{bits}, and must stay below 2^62")]
    Width {
        /// Bits that it could need.
        bits: u32,
    },
}

impl Program {
    /// Checks everything about a program but its weights.
    ///
    /// # Errors
    /// [`ProgramError`] names the first step that is wrong.
    pub fn check(&self) -> Result<(), ProgramError> {
        if self.version != VERSION {
            return Err(ProgramError::Version(self.version));
        }
        self.check_whole()
            .map_err(|reason| ProgramError::Whole(reason.to_owned()))?;
        let facts = Facts::of(self);
        for (step, definition) in self.steps.iter().enumerate() {
            self.check_step(step, definition, &facts)
                .map_err(|fault| ProgramError::Step {
                    step,
                    name: definition.name.clone(),
                    fault,
                })?;
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<(), &'static str> {
        let counts = [
            self.vectors.len(),
            self.tables.len(),
            self.matrices.len(),
            self.inputs.len(),
            self.outputs.len(),
        ];
        require(self.steps.len() <= MAX_STEPS, "more than 65,536 steps")?;
        require(
            counts.iter().all(|count| *count <= MAX_CONSTANTS),
            "more than 65,536 constants",
        )?;
        require(
            (1..=MAX_POSITIONS).contains(&self.positions),
            "positions must be 1 to 131,072",
        )?;
        require(
            self.vectors.iter().all(vector_is_sound),
            "a vector's exponent is beyond ±1024",
        )?;
        require(
            self.tables.iter().all(table_is_sound),
            "a table has not 2^bits entries of 4 to 16 bits",
        )?;
        for matrix in &self.matrices {
            let sound = matrix.inputs > 0
                && matrix.outputs > 0
                && matrix.layout().is_some()
                && is_exponent(matrix.exponent)
                && matrix.largest_shift < 62;
            require(
                sound,
                "a matrix is empty, too large, or has an exponent beyond ±1024",
            )?;
        }
        let elements = self.steps.iter().map(|step| step.output.elements());
        let elements = elements.fold(0_usize, usize::saturating_add);
        require(
            elements <= MAX_POSITION_ELEMENTS,
            "more than 2^28 elements at one position",
        )?;
        require(!self.outputs.is_empty(), "no output")?;
        for output in &self.outputs {
            let step = self
                .steps
                .get(output.step as usize)
                .ok_or("an output names a step that is not there")?;
            require(
                product(&output.shape) == Some(step.output.elements()),
                "an output's shape does not fit its step",
            )?;
        }
        Ok(())
    }

    fn check_step(
        &self,
        index: usize,
        definition: &StepDefinition,
        facts: &Facts,
    ) -> Result<(), Fault> {
        let delayed = matches!(definition.operation, Operation::Delay(_));
        for operand in definition.operation.operands() {
            let end = if delayed { self.steps.len() } else { index };
            if operand as usize >= end {
                return Err(Fault::Order(operand));
            }
        }
        check_type(&definition.output).map_err(Fault::Output)?;
        self.check_operands(definition, facts)?;
        let bits = self.width_bits(definition, facts);
        if bits > 62 {
            Err(Fault::Width { bits })
        } else {
            Ok(())
        }
    }

    fn output(&self, step: Step) -> &Type {
        &self.steps[step as usize].output
    }

    fn vector(&self, index: u32) -> Result<&Vector, Fault> {
        let count = self.vectors.len();
        self.vectors.get(index as usize).ok_or(Fault::Missing {
            what: "vector",
            index,
            count,
        })
    }

    fn table(&self, index: u32) -> Result<&Table, Fault> {
        let count = self.tables.len();
        self.tables.get(index as usize).ok_or(Fault::Missing {
            what: "table",
            index,
            count,
        })
    }

    fn matrix(&self, index: u32) -> Result<&crate::matrix::Matrix, Fault> {
        let count = self.matrices.len();
        self.matrices.get(index as usize).ok_or(Fault::Missing {
            what: "matrix",
            index,
            count,
        })
    }
}

fn require(holds: bool, reason: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(reason) }
}

fn shaped(holds: bool, reason: &'static str) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Shape(reason))
    }
}

/// Whether an exponent may stand in a program.
fn is_exponent(exponent: i32) -> bool {
    (-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent)
}

fn product(extents: &[u32]) -> Option<usize> {
    extents.iter().try_fold(1_usize, |product, extent| {
        product.checked_mul(*extent as usize)
    })
}

fn vector_is_sound(vector: &Vector) -> bool {
    !vector.mantissas.is_empty() && is_exponent(vector.exponent)
}

fn table_is_sound(table: &Table) -> bool {
    (4..=16).contains(&table.bits)
        && table.entries.mantissas.len() == 1 << table.bits
        && is_exponent(table.exponent)
        && is_exponent(table.entries.exponent)
}

fn scale_is_sound(scale: &Scale) -> bool {
    (1..=1 << 16).contains(&scale.multiplier) && scale.places <= 62
}

fn rotation_fits(rotation: &Rotation, head_width: usize, sine: &Vector) -> bool {
    let entries = sine.mantissas.len();
    rotation.steps.len().saturating_mul(2) <= head_width
        && entries.is_power_of_two()
        && (256..=1 << 16).contains(&entries)
}

fn check_type(of: &Type) -> Result<(), &'static str> {
    require(of.rows > 0 && of.width > 0, "is empty")?;
    require(of.elements() <= MAX_ELEMENTS, "has more than 2^24 elements")?;
    let parts = of.parts();
    require(
        parts > 0 && (of.width as usize).is_multiple_of(parts),
        "cannot be cut into equal parts",
    )?;
    if of.form != Form::Index {
        require(
            (8..=16).contains(&of.bits()),
            "has mantissas of other than 8 to 16 bits",
        )?;
    }
    match &of.form {
        Form::Fixed { exponents, .. } => require(
            exponents.iter().all(|e| is_exponent(*e)),
            "has an exponent beyond ±1024",
        ),
        _ => Ok(()),
    }
}

/// Whether an input definition fits the step that reads it.
fn input_fits(form: &InputForm, of: &Type) -> bool {
    match form {
        InputForm::Numbers => matches!(of.form, Form::Fixed { .. }),
        InputForm::Indices => of.form == Form::Index,
        InputForm::Ranks(columns) => of.form == Form::Index && columns.len() == of.width as usize,
    }
}

#[cfg(test)]
mod tests;
