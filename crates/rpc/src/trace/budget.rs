//! How much a trace may record: a transaction can take millions of steps, each with a stack and memory.

use crate::error::CODE_LIMIT_EXCEEDED;
use crate::error::with_code;
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use jsonrpsee::core::RpcResult;
use revm::{
    Inspector,
    context::{ContextError, ContextTr},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter},
};

/// Bytes that the traces of one answer may record.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that a call takes besides its input.
const CALL_BYTES: usize = 512;
/// Bytes that a step takes besides its stack and memory.
const STEP_BYTES: usize = 256;
const WORD_BYTES: usize = 32;
/// The tracer by name that records steps.
const STEPPING_TRACER: &str = "erc7562";

/// Counts what is recorded, and ends the transaction when it is too much.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    is_exceeded: bool,
    records_steps: bool,
    records_memory: bool,
}

impl Budget {
    pub(super) fn new(options: &GethDebugTracingOptions) -> Self {
        Self {
            left: MAX_BYTES,
            is_exceeded: false,
            records_steps: records_steps(options),
            records_memory: options.config.is_memory_enabled(),
        }
    }

    /// Says so if the last transaction was ended.
    ///
    /// # Errors
    /// The answer would be too large.
    pub(super) fn check(&self) -> RpcResult<()> {
        if self.is_exceeded {
            return Err(with_code(
                CODE_LIMIT_EXCEEDED,
                format!(
                    "the trace takes more than {} MiB: use callTracer, set limit, or leave out stack and memory",
                    MAX_BYTES >> 20
                ),
            ));
        }
        Ok(())
    }

    /// Spends `bytes`; whether they were left.
    fn spend<CTX: ContextTr>(&mut self, bytes: usize, context: &mut CTX) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.is_exceeded = true,
        }
        if self.is_exceeded {
            *context.error() = Err(ContextError::Custom("the trace is too large".to_owned()));
        }
        !self.is_exceeded
    }
}

/// Whether every step is recorded: struct logs, and the tracer of ERC-7562, perhaps among others.
fn records_steps(options: &GethDebugTracingOptions) -> bool {
    let tracer = options.tracer.as_ref().map_or("", |tracer| tracer.as_str());
    let configuration = options.tracer_config.0.to_string();
    tracer.is_empty()
        || [tracer, &configuration]
            .iter()
            .any(|text| text.contains(STEPPING_TRACER))
}

impl<CTX: ContextTr> Inspector<CTX> for Budget {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        if !self.records_steps {
            return;
        }
        let memory = if self.records_memory {
            interpreter.memory.len()
        } else {
            0
        };
        let stack = interpreter.stack.len() * WORD_BYTES;
        if !self.spend(STEP_BYTES + stack + memory, context) {
            interpreter.halt_fatal();
        }
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.spend(CALL_BYTES + inputs.input.len(), context);
        None
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.spend(CALL_BYTES + inputs.init_code().len(), context);
        None
    }
}
