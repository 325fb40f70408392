//! Computing vectors of texts: a run over the tokens of each, and one row of the rows that it gives.

use super::{
    cache::{BLOCK_POSITIONS, SequenceId},
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
pub(crate) fn are_rows(of: &Type) -> bool {
    of.rows == 1 && of.parts() == 1 && of.form != Form::Index
}

/// Computes embeddings, `chunk` positions at a time, as long as `sink` is open.
///
/// # Errors
/// [`GenerateError`] if a text is empty or too long, the program gives no rows, or there is no room in the cache.
pub(super) fn embed<'r>(
    executor: &mut Executor,
    request: &'r EmbeddingRequest,
    chunk: usize,
    sink: &Sink,
) -> Result<Vec<Embedding>, GenerateError> {
    check(executor, request)?;
    let begin = |prompt: &'r Vec<u32>| Text {
        prompt,
        sequence: executor.begin(&[], true).0,
        computed: 0,
        rows: vec![],
    };
    let mut texts: Vec<Text<'r>> = request.prompts.iter().map(begin).collect();
    let run = run(executor, &mut texts, request.pooling, chunk, sink);
    let embeddings = run.and_then(|()| {
        texts
            .iter()
            .map(|text| {
                let untraced = GenerateError::Model("the run was not committed to");
                let trace_root = executor.run_root(text.sequence).ok_or(untraced)?;
                let (mantissas, exponent) = mean(&text.rows);
                Ok(Embedding {
                    mantissas,
                    exponent,
                    trace_root,
                })
            })
            .collect()
    });
    texts.iter().for_each(|text| executor.end(text.sequence));
    embeddings
}

/// A text on its way.
struct Text<'a> {
    prompt: &'a [u32],
    sequence: SequenceId,
    /// Tokens that are behind it.
    computed: usize,
    /// Those that count.
    rows: Vec<Row>,
}

fn check(executor: &Executor, request: &EmbeddingRequest) -> Result<(), GenerateError> {
    let program = executor.ready().program();
    let most = program.positions as usize;
    for prompt in &request.prompts {
        match prompt.len() {
            0 => return Err(GenerateError::Empty),
            length if length > most => return Err(GenerateError::PromptTooLong { length, most }),
            _ => {}
        }
    }
    let gives_rows = executor.ready().output_type(0).is_some_and(are_rows);
    if !program.causal || !program.inputs.is_empty() || !gives_rows {
        let reason = "the model embeds no texts: its first output is not a row for each position";
        return Err(GenerateError::Model(reason));
    }
    let blocks = request
        .prompts
        .iter()
        .map(|prompt| prompt.len().div_ceil(BLOCK_POSITIONS));
    let (needed, most) = (blocks.sum(), executor.blocks().0);
    match needed > most {
        true => Err(GenerateError::CacheTooSmall { needed, most }),
        false => Ok(()),
    }
}

/// Runs all texts to their ends: in each batch as many positions as it takes, of one or several.
fn run(
    executor: &mut Executor,
    texts: &mut [Text<'_>],
    pooling: Pooling,
    chunk: usize,
    sink: &Sink,
) -> Result<(), GenerateError> {
    loop {
        let (mut room, mut batch, mut spans) = (chunk, vec![], vec![]);
        for (index, text) in texts.iter().enumerate() {
            let left = text.prompt.get(text.computed..).unwrap_or_default();
            let tokens = left.get(..room).unwrap_or(left);
            if tokens.is_empty() {
                continue;
            }
            room -= tokens.len();
            let first = match pooling {
                Pooling::Mean => 0,
                Pooling::Last if tokens.len() == left.len() => tokens.len() - 1,
                Pooling::Last => tokens.len(),
            };
            batch.push((index, tokens.len(), tokens.len() - first));
            spans.push(Span {
                sequence: text.sequence,
                tokens,
                inputs: &[],
                wanted: first..tokens.len(),
                traced: true,
            });
        }
        if spans.is_empty() {
            return Ok(());
        }
        if !sink.is_open() {
            return Err(GenerateError::Stopped);
        }
        executor.forward(&spans, None)?;
        let mut rows = (0..executor.outputs()).filter_map(|row| executor.output(0, row));
        for (index, computed, wanted) in batch {
            let given = rows.by_ref().take(wanted);
            let text = &mut texts[index];
            text.rows
                .extend(given.map(|row| (row.mantissas.to_vec(), row.exponents[0])));
            text.computed += computed;
        }
    }
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
