//! Computing the vector of a text: a run over its tokens, and one row of the rows that it gives.

use super::{
    executor::{Executor, Span},
    request::{Embedding, EmbeddingRequest, GenerateError, Sink},
};
use og_program::{
    file::Pooling,
    numbers::{align, divide},
    value::{Form, Type, Value, WideRow, finish, joint_exponent},
};

/// Bits of an embedding's mantissas.
const MANTISSA_BITS: u8 = 16;

/// A row: mantissas and their exponent.
type Row = (Vec<i16>, i32);

/// Whether rows of this type can become embeddings: one for each position, of one exponent.
pub(crate) fn has_rows(of: Option<&Type>) -> bool {
    of.is_some_and(|of| of.rows == 1 && of.parts() == 1 && of.form != Form::Index)
}

/// Computes an embedding, `chunk` positions at a time, as long as `sink` is open.
///
/// # Errors
/// [`GenerateError`] if the text is empty or too long, the program gives no rows, or there is no room in the cache.
pub(super) fn embed(
    executor: &mut Executor,
    request: &EmbeddingRequest,
    chunk: usize,
    sink: &Sink,
) -> Result<Embedding, GenerateError> {
    let program = executor.ready().program();
    let (length, most) = (request.prompt.len(), program.positions as usize);
    if length == 0 {
        return Err(GenerateError::Empty);
    }
    if length > most {
        return Err(GenerateError::PromptTooLong { length, most });
    }
    if !program.causal || !program.inputs.is_empty() || !has_rows(executor.ready().output_type(0)) {
        let reason = "the model embeds no texts: its first output is not a row for each position";
        return Err(GenerateError::Model(reason));
    }
    let (sequence, _) = executor.begin(&[], true);
    let mut rows = vec![];
    let mut run = || -> Result<_, GenerateError> {
        for (index, tokens) in request.prompt.chunks(chunk).enumerate() {
            if !sink.is_open() {
                return Err(GenerateError::Stopped);
            }
            let is_last = index * chunk + tokens.len() == length;
            let first = match request.pooling {
                Pooling::Mean => 0,
                Pooling::Last if is_last => tokens.len() - 1,
                Pooling::Last => tokens.len(),
            };
            let span = Span {
                sequence,
                tokens,
                inputs: &[],
                wanted: first..tokens.len(),
                traced: true,
            };
            executor.forward(&[span], None)?;
            let given = (0..executor.outputs()).filter_map(|row| executor.output(0, row));
            rows.extend(given.map(|row| (row.mantissas.to_vec(), row.exponents[0])));
        }
        let untraced = GenerateError::Model("the run was not committed to");
        executor.run_root(sequence).ok_or(untraced)
    };
    let root = run();
    executor.end(sequence);
    let trace_root = root?;
    let (mantissas, exponent) = mean(&rows);
    Ok(Embedding {
        mantissas,
        exponent,
        trace_root,
    })
}

/// The mean of rows, normalised to 16 bits (`docs/formats/embedding.md`).
fn mean(rows: &[Row]) -> Row {
    let exponents: Vec<i32> = rows.iter().map(|(_, exponent)| *exponent).collect();
    let to = joint_exponent(&exponents);
    let width = rows.first().map_or(0, |(row, _)| row.len());
    let mut sums = vec![0_i64; width];
    for (row, from) in rows {
        for (sum, m) in sums.iter_mut().zip(row) {
            *sum += align(i64::from(*m), *from, to);
        }
    }
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    sums.iter_mut().for_each(|sum| *sum = divide(*sum, count));
    let of = Type {
        rows: 1,
        width: u32::try_from(width).unwrap_or(u32::MAX),
        form: Form::Scaled {
            bits: MANTISSA_BITS,
            parts: 1,
        },
    };
    let (value, _) = finish(vec![WideRow::new(sums, to)], &of);
    let exponent = value.exponents().first().copied().unwrap_or(0);
    match value {
        Value::Rows { mantissas, .. } => (mantissas, exponent),
        Value::Index(_) => (vec![], exponent),
    }
}
