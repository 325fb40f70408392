//! Operations that mix rows: windows over pictures, products of two values, elements in another order.

use super::{Operand, Row, elements};
use crate::{
    matrix::Weights,
    numbers::divide,
    operation::{Pooling, Vector, Window},
    value::{Form, Type, Value, moved},
};

impl Window {
    /// Height and width of the output: how often the window fits. `None` if it does not fit once.
    pub fn output(&self) -> Option<[u32; 2]> {
        let along = |axis: usize| {
            let padded = self.input[axis]
                .checked_add(self.before[axis])?
                .checked_add(self.after[axis])?;
            let reach = self.size[axis]
                .checked_sub(1)?
                .checked_mul(self.dilation[axis])?
                .checked_add(1)?;
            padded
                .checked_sub(reach)?
                .checked_div(self.stride[axis])?
                .checked_add(1)
        };
        Some([along(0)?, along(1)?])
    }

    /// The input rows under the window of an output row, in the order of the window; `None` outside the picture.
    pub fn under(&self, row: usize) -> impl Iterator<Item = Option<usize>> + '_ {
        let width = self.output().map_or(1, |[_, width]| width as usize);
        let corner = [row / width, row % width];
        let place = move |axis: usize, index: u32| {
            let at =
                corner[axis] * self.stride[axis] as usize + (index * self.dilation[axis]) as usize;
            at.checked_sub(self.before[axis] as usize)
                .filter(|at| *at < self.input[axis] as usize)
        };
        (0..self.size[0]).flat_map(move |y| {
            (0..self.size[1])
                .map(move |x| Some(place(0, y)? * self.input[1] as usize + place(1, x)?))
        })
    }
}

pub(super) fn convolve<'a>(
    input: Operand<'a>,
    weights: Weights<'a>,
    bias: Option<&'a Vector>,
    window: &Window,
    groups: usize,
    row: usize,
) -> Row<'a> {
    let channels = input.of.width as usize / groups;
    let outputs = weights.matrix.outputs as usize;
    let exponent = input.exponent(0, 0);
    let patches: Vec<Vec<i16>> = (0..groups)
        .map(|group| {
            let seen = window.under(row).flat_map(|seen| match seen {
                Some(pixel) => input.row(pixel)[group * channels..][..channels].to_vec(),
                None => vec![0; channels],
            });
            seen.collect()
        })
        .collect();
    let exponents = elements::linear(weights, &[], exponent, bias).exponents;
    let element = move |column: usize| {
        let patch = &patches[column / (outputs / groups)];
        (elements::linear(weights, patch, exponent, bias).element)(column)
    };
    Row {
        exponents,
        width: outputs,
        element: Box::new(element),
    }
}

pub(super) fn pool<'a>(
    input: Operand<'a>,
    pooling: Pooling,
    window: &'a Window,
    row: usize,
) -> Row<'a> {
    let exponent = input.exponent(0, 0);
    let width = input.of.width as usize;
    let size = i64::from(window.size[0]) * i64::from(window.size[1]);
    let seen: Vec<usize> = window.under(row).flatten().collect();
    let column_of = move |column: usize| {
        let column: Vec<i64> = seen
            .iter()
            .map(|pixel| i64::from(input.row(*pixel)[column]))
            .collect();
        column
    };
    match pooling {
        Pooling::Greatest => Row::new(width, exponent, move |column| {
            column_of(column).into_iter().max().unwrap_or(0)
        }),
        Pooling::Mean | Pooling::MeanOfAll => {
            Row::new(width, moved(exponent, -16), move |column| {
                let column = column_of(column);
                let count = if pooling == Pooling::Mean {
                    column.len() as i64
                } else {
                    size
                };
                divide(column.iter().sum::<i64>() << 16, count)
            })
        }
    }
}

pub(super) fn product<'a>(left: Operand<'a>, right: Operand<'a>, row: usize) -> Row<'a> {
    let exponent = moved(left.exponent(row, 0), right.exponent(0, 0));
    let x = left.row(row);
    Row::new(right.of.rows as usize, exponent, move |column| {
        x.iter()
            .zip(right.row(column))
            .map(|(a, b)| i64::from(*a) * i64::from(*b))
            .sum()
    })
}

pub(super) fn view(input: &Value, of: &Type, offset: u32, axes: &[(u32, i32)]) -> Value {
    let mut sources = vec![i64::from(offset)];
    for (extent, stride) in axes {
        sources = sources
            .iter()
            .flat_map(|at| {
                (0..*extent).map(move |index| at + i64::from(index) * i64::from(*stride))
            })
            .collect();
    }
    match input {
        Value::Index(indices) => {
            Value::Index(sources.iter().map(|at| indices[*at as usize]).collect())
        }
        Value::Rows { mantissas, .. } => Value::Rows {
            mantissas: sources.iter().map(|at| mantissas[*at as usize]).collect(),
            exponents: fixed_exponents(of),
        },
    }
}

pub(super) fn join<'a>(inputs: impl Iterator<Item = &'a Value>, of: &Type) -> Value {
    let (mut indices, mut mantissas) = (vec![], vec![]);
    for input in inputs {
        indices.extend_from_slice(input.indices());
        mantissas.extend_from_slice(input.mantissas());
    }
    match of.form {
        Form::Index => Value::Index(indices),
        _ => Value::Rows {
            mantissas,
            exponents: fixed_exponents(of),
        },
    }
}

/// The exponents of a fixed type, for each row.
fn fixed_exponents(of: &Type) -> Vec<i32> {
    match &of.form {
        Form::Fixed { exponents, .. } => exponents.repeat(of.rows as usize),
        _ => vec![],
    }
}
