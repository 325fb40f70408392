//! Attention over the blocks of sequences: key heads are shared between the members of a team.

use super::{Scope, rows::each_sums};
use crate::exact::{
    cache::{BLOCK_POSITIONS, BlockId, Cache},
    plan::{Attended, attention_plan},
    values::{Buffer, Operand},
};
use og_kernels::{
    Columns,
    attention::{self, AttentionScratch, Query, attend},
    finish::finish_values,
    team::Team,
};
use og_program::{
    operation::Operation,
    program::StepDefinition,
    value::{Form, Type},
};
use std::ops::Range;

/// Products from which on attention is worth sharing between the members of a team.
const SHARED_PRODUCTS: usize = 1 << 16;
/// Queries of one sequence that go together, at most.
const QUERIES_AT_ONCE: usize = 48;

const _: () = assert!(BLOCK_POSITIONS == attention::POSITIONS);

/// What attention uses again and again: sums, and memory for each member of a team.
#[derive(Debug, Default)]
pub(crate) struct AttendMemory {
    pub(crate) scratch: Vec<AttentionScratch>,
    sums: Vec<i64>,
}

/// Some queries of a sequence and some heads of all queries.
struct Part<'a> {
    queries: Range<usize>,
    blocks: &'a [BlockId],
    heads: Range<usize>,
    out: Option<Columns<'a>>,
}

/// Appends keys and values of all rows of a batch to their blocks.
pub(super) fn append(
    scope: Scope<'_>,
    attended: &Attended,
    plan: &attention::Plan<'_>,
    [keys, values]: [Operand<'_>; 2],
    cache: &mut Cache,
) {
    for (index, row) in scope.rows.iter().enumerate() {
        let block = cache.data_mut(row.sequence, row.position);
        let (keys, values) = (keys.row(index).mantissas, values.row(index).mantissas);
        let keys = keys.chunks_exact(keys.len() / attended.heads);
        let values = values.chunks_exact(values.len() / attended.heads);
        let heads = block[attended.offset..].chunks_exact_mut(attended.head_length);
        for (head, (key, value)) in heads.zip(keys.zip(values)) {
            plan.append(head, row.position % BLOCK_POSITIONS, key, value);
        }
    }
}

/// One attention step at `positions` positions.
pub(super) fn run(
    scope: Scope<'_>,
    (step, definition): (usize, &StepDefinition),
    queries: &Operand<'_>,
    (team, memory): (&mut Team, &mut AttendMemory),
    cache: &Cache,
    positions: usize,
    out: &mut Buffer,
) -> u64 {
    let (ready, of) = (scope.ready, &definition.output);
    let program = ready.program();
    let attended = ready.plan.steps[step]
        .attended
        .map(|index| &ready.plan.attended[index]);
    let Operation::Attend {
        attention, values, ..
    } = &definition.operation
    else {
        return 0;
    };
    let (Some(plan), Some(attended)) = (attention_plan(program, definition), attended) else {
        return 0;
    };
    let row_of = |index: usize| &scope.rows[scope.row_of(step, index)];
    let asked: Vec<Query<'_>> = (0..positions)
        .map(|index| {
            let row = row_of(index);
            let count = cache.length(row.sequence).unwrap_or(0);
            Query {
                mantissas: queries.row(index).mantissas,
                visible: plan.visible(row.position, program.causal, count),
            }
        })
        .collect();
    let width = of.width as usize;
    let AttendMemory { scratch, sums } = memory;
    if sums.len() < positions * width {
        sums.resize(positions * width, 0);
    }
    let seen: usize = asked.iter().map(|query| query.visible.len()).sum();
    let shared = team.threads() > 1 && seen.saturating_mul(width) >= SHARED_PRODUCTS;
    let heads = attention.heads as usize;
    let group = if shared {
        heads / attended.heads
    } else {
        heads
    };
    let mut parts = vec![];
    let mut rest = &mut sums[..positions * width];
    let mut first = 0;
    while first < positions {
        let sequence = row_of(first).sequence;
        let most = (first + QUERIES_AT_ONCE).min(positions);
        let end = (first..most)
            .find(|index| row_of(*index).sequence != sequence)
            .unwrap_or(most);
        let (own, after) = rest.split_at_mut((end - first) * width);
        rest = after;
        let mut columns = Columns::new(own, width);
        for head in (0..heads).step_by(group) {
            let (out, others) = columns.split_at(width / heads * group);
            columns = others;
            parts.push(Part {
                queries: first..end,
                blocks: cache.blocks_of(sequence),
                heads: head..head + group,
                out: Some(out),
            });
        }
        first = end;
    }
    let work = |_: usize, part: &mut Part<'_>, scratch: &mut AttentionScratch| {
        let Some(out) = part.out.take() else { return };
        let blocks = part.blocks;
        let block = |head: usize, index: usize| {
            let data = cache.data(blocks[index]);
            &data[attended.offset + head * attended.head_length..][..attended.head_length]
        };
        let queries = &asked[part.queries.clone()];
        attend(
            ready.kernels,
            &plan,
            part.heads.clone(),
            queries,
            block,
            scratch,
            out,
        );
    };
    if shared {
        team.each_with(&mut parts, scratch, work);
    } else {
        parts
            .iter_mut()
            .for_each(|part| work(0, part, &mut scratch[0]));
    }
    drop(parts);
    let exponents = plan.exponents(fixed_exponents(&program.steps[*values as usize].output));
    each_sums(team, sums, of, 0..positions, out, &|_, sums, out| {
        finish_values(ready.kernels, sums, &exponents, &of.form, out)
    })
}

fn fixed_exponents(of: &Type) -> &[i32] {
    match &of.form {
        Form::Fixed { exponents, .. } => exponents,
        _ => &[],
    }
}
