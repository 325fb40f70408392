//! A model made ready to run: its plan, what kernels know of its weights, and which kernels run it. Executors share it.

use super::{model::Model, plan::Plan};
use og_kernels::{Kernels, LinearError, Prepared, spatial::Convolution};
use og_program::{
    matrix::Weights,
    operation::{Operation, Rotation},
    program::Program,
    trace,
    value::Type,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Blocks of outputs that are prepared at a time.
const PREPARED_BLOCKS: usize = 64;

/// A model made ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) model: Arc<Model>,
    pub(crate) kernels: Kernels,
    pub(crate) plan: Plan,
    pub(crate) trace: trace::Plan,
    /// For each matrix that rows are multiplied by.
    pub(crate) prepared: Vec<Option<Prepared>>,
    /// For each step that convolves.
    pub(crate) convolutions: Vec<Option<Convolution>>,
    /// Rotations that differ, and for each step which it uses.
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) rotation_of: Vec<usize>,
}

impl Ready {
    /// Reads all weights once, with as many threads as the machine has cores.
    ///
    /// # Errors
    /// [`LinearError`] if a matrix has not the bytes of its shape, which a loaded model's have.
    pub fn new(model: Arc<Model>, kernels: Kernels) -> Result<Self, LinearError> {
        let program = model.program();
        let trace = trace::Plan::of(program);
        let plan = Plan::new(program, &trace);
        let prepared = prepare(&model, kernels)?;
        let (rotations, rotation_of) = rotations(program);
        Ok(Self {
            plan,
            trace,
            convolutions: convolutions(&model),
            prepared,
            rotations,
            rotation_of,
            kernels,
            model,
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    pub(crate) fn program(&self) -> &Program {
        self.model.program()
    }

    /// The type of an output of the program.
    pub(crate) fn output_type(&self, output: usize) -> Option<&Type> {
        let step = self.program().outputs.get(output)?.step as usize;
        self.program().steps.get(step).map(|step| &step.output)
    }

    pub(crate) fn weights(&self, matrix: u32) -> Weights<'_> {
        Weights {
            matrix: &self.program().matrices[matrix as usize],
            bytes: self.model.matrix_bytes(matrix as usize),
        }
    }
}

/// The rotations of a program, each once, and for each step its own (0 for steps without).
fn rotations(program: &Program) -> (Vec<Rotation>, Vec<usize>) {
    let mut rotations: Vec<Rotation> = vec![];
    let of = program.steps.iter().map(|definition| {
        let Operation::Rotate { rotation, .. } = &definition.operation else {
            return 0;
        };
        let known = rotations.iter().position(|known| known == rotation);
        known.unwrap_or_else(|| {
            rotations.push(rotation.clone());
            rotations.len() - 1
        })
    });
    let of = of.collect();
    (rotations, of)
}

/// The convolutions of a program, for each step.
fn convolutions(model: &Model) -> Vec<Option<Convolution>> {
    let program = model.program();
    let steps = program.steps.iter().map(|definition| {
        let Operation::Convolve {
            input,
            matrix,
            window,
            groups,
            ..
        } = &definition.operation
        else {
            return None;
        };
        let weights = Weights {
            matrix: &program.matrices[*matrix as usize],
            bytes: model.matrix_bytes(*matrix as usize),
        };
        let of = &program.steps[*input as usize].output;
        Some(Convolution::new(
            &weights,
            window,
            of.width as usize,
            *groups as usize,
            of.largest(),
        ))
    });
    steps.collect()
}

fn prepare(model: &Model, kernels: Kernels) -> Result<Vec<Option<Prepared>>, LinearError> {
    let program = model.program();
    let mut multiplied = vec![false; program.matrices.len()];
    for definition in &program.steps {
        match &definition.operation {
            Operation::Linear { matrix, .. } => multiplied[*matrix as usize] = true,
            Operation::Expert { matrices, .. } => {
                matrices
                    .iter()
                    .for_each(|matrix| multiplied[*matrix as usize] = true);
            }
            _ => {}
        }
    }
    let tasks = (0..multiplied.len())
        .filter(|index| multiplied[*index])
        .flat_map(|index| {
            let blocks = program.matrices[index].blocks();
            let starts = (0..blocks).step_by(PREPARED_BLOCKS);
            starts.map(move |start| (index, start..(start + PREPARED_BLOCKS).min(blocks)))
        });
    let tasks = Mutex::new(tasks);
    let results = Mutex::new((vec![None; multiplied.len()], None));
    let work = || {
        loop {
            let task = tasks.lock().next();
            let Some((index, blocks)) = task else { return };
            let weights = Weights {
                matrix: &program.matrices[index],
                bytes: model.matrix_bytes(index),
            };
            let part = Prepared::of_blocks(kernels, &weights, blocks);
            let mut results = results.lock();
            let (prepared, failed) = &mut *results;
            match (part, prepared[index].take()) {
                (Ok(part), None) => prepared[index] = Some(part),
                (Ok(part), Some(other)) => prepared[index] = Some(part.and(other)),
                (Err(error), _) => *failed = Some(error),
            }
        }
    };
    // A small model is ready sooner than a thread starts.
    let threads = if model.weight_bytes() < 1 << 20 {
        1
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let (prepared, failed) = results.into_inner();
    failed.map_or(Ok(prepared), Err)
}
