//! What every operation means, in floats: results may differ by the rounding that the specification allows, and no more.

use super::*;
use crate::{
    numbers::mantissa_max,
    operation::{Attention, Branch, Pooling, Reduction, Rotation, Scale, Table, Vector},
    value::Form,
};

type Rows = Vec<Vec<f64>>;

fn two_to(exponent: i32) -> f64 {
    2_f64.powi(exponent)
}

fn rows(of: &Type, value: &Value) -> Rows {
    let operand = Operand { of, value };
    let row = |row: usize| -> Vec<f64> {
        if of.form == Form::Index {
            return operand.indices(row).iter().map(|x| f64::from(*x)).collect();
        }
        let columns = operand.row(row).iter().enumerate();
        columns
            .map(|(column, m)| f64::from(*m) * two_to(operand.exponent(row, column)))
            .collect()
    };
    (0..of.rows as usize).map(row).collect()
}

fn constants(vector: &Vector) -> Vec<f64> {
    let mantissas = vector.mantissas.iter();
    mantissas
        .map(|m| f64::from(*m) * two_to(vector.exponent))
        .collect()
}

/// A matrix as floats.
fn matrix(weights: Weights<'_>) -> Rows {
    let shape = weights.matrix;
    let row = |output| {
        let scale = two_to(weights.shift(output) as i32 + shape.exponent);
        (0..shape.inputs as usize)
            .map(|input| weights.value(output, input) as f64 * scale)
            .collect()
    };
    (0..shape.outputs as usize).map(row).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn function(table: &Table, x: f64) -> f64 {
    let half = two_to(i32::from(table.bits) - 1);
    let point = (x / two_to(table.exponent) + 0.5).floor();
    let point = point.clamp(1.0 - half, half - 1.0) + half;
    constants(&table.entries)[point as usize]
}

fn rounded(x: f64, scale: Scale) -> f64 {
    (x * f64::from(scale.multiplier) / two_to(scale.places as i32) + 0.5).floor()
}

fn weight(below: f64, scale: Scale, weights: &[f64]) -> f64 {
    weights[(rounded(below, scale) as usize).min(weights.len() - 1)]
}

struct Reference<'a> {
    example: &'a Example,
    interpreter: &'a Interpreter<'a>,
    position: usize,
}

impl Reference<'_> {
    fn at(&self, step: Step, position: usize) -> Rows {
        let of = &self.example.program.steps[step as usize].output;
        rows(of, self.interpreter.computed(step, position))
    }

    fn rows(&self, step: Step) -> Rows {
        self.at(step, self.position)
    }

    fn row(&self, step: Step) -> Vec<f64> {
        self.rows(step).remove(0)
    }

    fn of(&self, step: Step) -> &Type {
        &self.example.program.steps[step as usize].output
    }

    fn matrix(&self, index: u32) -> Rows {
        matrix(self.example.weights()[index as usize])
    }

    fn vector(&self, index: u32) -> Vec<f64> {
        constants(&self.example.program.vectors[index as usize])
    }

    fn table(&self, index: u32) -> &Table {
        &self.example.program.tables[index as usize]
    }

    /// The elements of a step's output, row by row.
    fn expected(&self, step: Step) -> Vec<f64> {
        let position = self.position;
        let definition = &self.example.program.steps[step as usize];
        let pairs = |left: Step, right: Step, with: fn(f64, f64) -> f64| -> Vec<f64> {
            let (a, b) = (self.rows(left).concat(), self.rows(right).concat());
            a.into_iter().zip(b).map(|(a, b)| with(a, b)).collect()
        };
        let inputs = inputs(&self.example.program, position + 1, 7).remove(position);
        match &definition.operation {
            Operation::Token => vec![f64::from(inputs.token)],
            Operation::Position => vec![position as f64],
            Operation::Input(input) => {
                rows(&definition.output, &inputs.inputs[*input as usize]).concat()
            }
            Operation::Constant(vector) => self.vector(*vector),
            Operation::Embed { input, matrix } => {
                let matrix = self.matrix(*matrix);
                matrix[(self.row(*input)[0] as usize).min(matrix.len() - 1)].clone()
            }
            Operation::Linear {
                input,
                matrix,
                bias,
            } => self.linear(*input, *matrix, *bias),
            Operation::Expert {
                input,
                choice,
                column,
                matrices,
            } => {
                let chosen = self.row(*choice)[*column as usize] as usize;
                self.linear(*input, matrices[chosen], None)
            }
            Operation::Add { left, right } => pairs(*left, *right, |a, b| a + b),
            Operation::Multiply { left, right } => pairs(*left, *right, |a, b| a * b),
            Operation::RootMeanSquare {
                input,
                gain,
                epsilon,
                parts,
            } => {
                let (x, gain) = (self.row(*input), self.vector(*gain));
                let epsilon = epsilon.mantissa as f64 * two_to(epsilon.exponent);
                let parts = x.chunks(x.len() / *parts as usize);
                let normal = parts.flat_map(|part| {
                    let root = (dot(part, part) + epsilon).sqrt().max(1e-300);
                    part.iter().zip(&gain).map(move |(x, gain)| x * gain / root)
                });
                normal.collect()
            }
            Operation::Centre(input) => {
                let x = self.row(*input);
                let (length, sum) = (x.len() as f64, x.iter().sum::<f64>());
                x.iter().map(|x| length * x - sum).collect()
            }
            Operation::Rotate {
                input,
                heads,
                rotation,
            } => {
                let x = self.row(*input);
                let heads = x.chunks(x.len() / *heads as usize);
                heads
                    .flat_map(|head| rotate(head, rotation, position))
                    .collect()
            }
            Operation::Gate {
                input,
                other,
                table,
            } => {
                let x = self.row(*input);
                let other = other.map_or(vec![1.0; x.len()], |other| self.row(other));
                let table = self.table(*table);
                let both = x.iter().zip(other);
                both.map(|(x, other)| x * function(table, *x) * other)
                    .collect()
            }
            Operation::Lookup { input, table } => {
                let table = self.table(*table);
                let x = self.row(*input).into_iter();
                x.map(|x| function(table, x)).collect()
            }
            Operation::Cast(input) => self.row(*input),
            Operation::Rectify(input) => self.row(*input).iter().map(|x| x.max(0.0)).collect(),
            Operation::Attend {
                queries,
                keys,
                values,
                attention,
            } => self.attend([*queries, *keys, *values], attention),
            Operation::Delay(input) => match position {
                0 => vec![0.0; definition.output.width as usize],
                _ => self.at(*input, position - 1).concat(),
            },
            Operation::Softmax {
                input,
                exponent,
                scale,
                weights,
            } => {
                let units = two_to(*exponent);
                let x = self.row(*input).into_iter();
                let x: Vec<f64> = x.map(|x| (x / units + 0.5).floor()).collect();
                let greatest = x.iter().copied().fold(f64::MIN, f64::max);
                let weights = self.vector(*weights);
                let shares = x.iter().map(|x| weight(greatest - x, *scale, &weights));
                let shares: Vec<f64> = shares.collect();
                let sum: f64 = shares.iter().sum();
                shares.iter().map(|share| share / sum).collect()
            }
            Operation::Reduce { input, reduction } => {
                let x = self.row(*input);
                vec![match reduction {
                    Reduction::Greatest => x.iter().copied().fold(f64::MIN, f64::max),
                    Reduction::Sum => x.iter().sum(),
                    Reduction::Mean => x.iter().sum::<f64>() / x.len() as f64,
                }]
            }
            _ => self.expected_of_rows(&definition.operation),
        }
    }

    /// Operations over several rows, and choices.
    fn expected_of_rows(&self, operation: &Operation) -> Vec<f64> {
        match operation {
            Operation::Convolve {
                input,
                matrix,
                bias,
                window,
                groups,
            } => {
                let (x, matrix) = (self.rows(*input), self.matrix(*matrix));
                let bias = bias.map_or(vec![0.0; matrix.len()], |bias| self.vector(bias));
                let (groups, channels) = (*groups as usize, x[0].len() / *groups as usize);
                let outputs = matrix.len() / groups;
                let pixels = places(window).into_iter().flat_map(|seen| {
                    let of_output = |output: usize| {
                        let first = output / outputs * channels;
                        let patch = seen.iter().flat_map(|pixel| match pixel {
                            Some(pixel) => x[*pixel][first..first + channels].to_vec(),
                            None => vec![0.0; channels],
                        });
                        dot(&matrix[output], &patch.collect::<Vec<_>>()) + bias[output]
                    };
                    (0..matrix.len()).map(of_output).collect::<Vec<_>>()
                });
                pixels.collect()
            }
            Operation::Pool {
                input,
                pooling,
                window,
            } => {
                let x = self.rows(*input);
                let size = f64::from(window.size[0] * window.size[1]);
                let pixels = places(window).into_iter().flat_map(|seen| {
                    let of_channel = |channel: usize| {
                        let seen: Vec<f64> =
                            seen.iter().flatten().map(|at| x[*at][channel]).collect();
                        match pooling {
                            Pooling::Greatest => seen.iter().copied().fold(f64::MIN, f64::max),
                            Pooling::Mean => seen.iter().sum::<f64>() / seen.len() as f64,
                            Pooling::MeanOfAll => seen.iter().sum::<f64>() / size,
                        }
                    };
                    (0..x[0].len()).map(of_channel).collect::<Vec<_>>()
                });
                pixels.collect()
            }
            Operation::Product { left, right } => {
                let (left, right) = (self.rows(*left), self.rows(*right));
                let pairs = left.iter().flat_map(|a| right.iter().map(|b| dot(a, b)));
                pairs.collect()
            }
            // One of the example's views turns a picture, the other repeats an element.
            Operation::View {
                input,
                offset,
                axes,
            } => {
                let x = self.rows(*input);
                match axes[..] {
                    [(width, 0)] => vec![x[0][*offset as usize]; width as usize],
                    _ => (0..4)
                        .flat_map(|channel| x.iter().map(move |pixel| pixel[3 - channel]))
                        .collect(),
                }
            }
            Operation::Join(inputs) => inputs
                .iter()
                .flat_map(|input| self.rows(*input).concat())
                .collect(),
            Operation::Largest(input) => vec![order(&self.row(*input))[0]],
            Operation::Choose { input, count } => {
                let mut order = order(&self.row(*input));
                order.truncate(*count as usize);
                order
            }
            Operation::Take { input, indices } => {
                let x = self.row(*input);
                let indices = self.row(*indices).into_iter();
                indices.map(|index| x[index as usize]).collect()
            }
            Operation::Trees {
                input,
                nodes,
                roots,
                exponent,
            } => {
                let (features, mut sums) = (self.row(*input), vec![0.0; 2]);
                for root in roots {
                    add_leaves(nodes, *root as usize, &features, &mut sums);
                }
                sums.iter().map(|sum| sum * two_to(*exponent)).collect()
            }
            other => panic!("{other:?} has no meaning here"),
        }
    }

    fn linear(&self, input: Step, matrix: u32, bias: Option<u32>) -> Vec<f64> {
        let x = self.row(input);
        let matrix = self.matrix(matrix);
        let bias = bias.map_or(vec![0.0; matrix.len()], |bias| self.vector(bias));
        let rows = matrix.iter().zip(bias);
        rows.map(|(row, bias)| dot(row, &x) + bias).collect()
    }

    fn attend(&self, [queries, keys, values]: [Step; 3], attention: &Attention) -> Vec<f64> {
        let program = &self.example.program;
        let (heads, window) = (attention.heads as usize, attention.window.unwrap() as usize);
        let last = match program.causal {
            true => self.position,
            false => (self.position + window - 1).min(self.interpreter.inputs.len() - 1),
        };
        let seen = (self.position + 1).saturating_sub(window)..=last;
        let query = self.row(queries);
        let width = query.len() / heads;
        let weights = self.vector(attention.weights);
        let cap = attention.cap.as_ref().unwrap();
        (0..heads)
            .flat_map(|head| {
                let units = self.units(queries, head) * self.units(keys, 0);
                let scores = seen.clone().map(|at| {
                    let score = dot(&query[head * width..][..width], &self.at(keys, at)[0]);
                    let point = rounded(score / units, cap.scales[head]);
                    let table = self.table(cap.table);
                    let capped = function(table, point * two_to(table.exponent));
                    capped / two_to(table.entries.exponent)
                });
                let scores: Vec<f64> = scores.collect();
                let greatest = scores.iter().copied().fold(f64::MIN, f64::max);
                let scale = attention.scales[head];
                let shares = scores.iter().map(|s| weight(greatest - s, scale, &weights));
                let shares: Vec<f64> = shares.collect();
                let sum: f64 = shares.iter().sum();
                let means = (0..4).map(|column| {
                    let of_values = seen.clone().map(|at| self.at(values, at)[0][column]);
                    dot(&shares, &of_values.collect::<Vec<_>>()) / sum
                });
                means.collect::<Vec<_>>()
            })
            .collect()
    }

    fn units(&self, step: Step, part: usize) -> f64 {
        match &self.of(step).form {
            Form::Fixed { exponents, .. } => two_to(exponents[part]),
            _ => panic!("attention takes fixed rows"),
        }
    }
}

fn rotate(head: &[f64], rotation: &Rotation, position: usize) -> Vec<f64> {
    let mut turned = head.to_vec();
    let pairs = rotation.steps.len();
    for (pair, step) in rotation.steps.iter().enumerate() {
        // The table has 256 angles.
        let turns = step.wrapping_mul(position as u64) as f64 / two_to(64);
        let angle = (turns * 256.0 + 0.5).floor() / 256.0 * std::f64::consts::TAU;
        let (a, b) = match rotation.halves {
            true => (pair, pair + pairs),
            false => (2 * pair, 2 * pair + 1),
        };
        turned[a] = head[a] * angle.cos() - head[b] * angle.sin();
        turned[b] = head[a] * angle.sin() + head[b] * angle.cos();
    }
    turned
}

/// For each place of the example's window, what it sees.
fn places(window: &crate::operation::Window) -> Vec<Vec<Option<usize>>> {
    assert_eq!((window.stride, window.dilation), ([2, 1], [1, 1]));
    let mut places = vec![];
    for y in [-1_i32, 1, 3] {
        for x in [0_i32, 1, 2] {
            let seen = (y..y + 3).flat_map(|y| (x..x + 2).map(move |x| (y, x)));
            let inside = |(y, x)| {
                ((0..4).contains(&y) && (0..3).contains(&x)).then_some((y * 3 + x) as usize)
            };
            places.push(seen.map(inside).collect());
        }
    }
    // Padded by one row above and below, a window of three fits twice with a stride of two.
    places.truncate(window.output().map_or(0, |[h, w]| (h * w) as usize));
    places
}

/// Indices by falling element, the lower first.
fn order(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|a, b| x[*b].total_cmp(&x[*a]).then(a.cmp(b)));
    order.into_iter().map(|index| index as f64).collect()
}

fn add_leaves(nodes: &[Branch], at: usize, features: &[f64], sums: &mut [f64]) {
    match nodes[at] {
        Branch::Decision {
            feature,
            threshold,
            below,
            otherwise,
        } => {
            let less = features[feature as usize] < f64::from(threshold);
            let next = if less { below } else { otherwise };
            add_leaves(nodes, next as usize, features, sums);
        }
        Branch::Leaf {
            output,
            value,
            more,
        } => {
            sums[output as usize] += f64::from(value);
            if more {
                add_leaves(nodes, at + 1, features, sums);
            }
        }
    }
}

/// By how much an element may differ, in units of its last place: half from rounding, and what the operation itself loses, which
/// is relative to the element or absolute.
fn tolerance(operation: &Operation, expected: f64, unit: f64) -> f64 {
    let lost = match operation {
        // A root of 16 bits.
        Operation::RootMeanSquare { .. } => expected.abs() * two_to(-14) / unit,
        // Sines of 14 places, of operands below 2^14 units of 2^-2 places finer than the result's.
        Operation::Rotate { .. } => 2.0,
        // Rounded down at 12 places more than values have, which is 2^-15 in both examples, or at 16.
        Operation::Attend { .. } => 0.01 + two_to(-15) / unit,
        Operation::Pool { .. } | Operation::Reduce { .. } => 0.01,
        Operation::Softmax { .. } => 0.001,
        // The sum is rounded 16 places below the greater operand.
        Operation::Add { .. } | Operation::Linear { .. } | Operation::Convolve { .. } => 0.02,
        _ => 0.001,
    };
    0.5 + lost
}

fn means_what_it_should(example: &Example, positions: usize) {
    let interpreter = &example.run(positions);
    for position in 0..positions {
        let reference = Reference {
            example,
            interpreter,
            position,
        };
        for (step, definition) in example.program.steps.iter().enumerate() {
            let of = &definition.output;
            let expected = reference.expected(step as Step);
            let value = interpreter.computed(step as Step, position);
            let found = rows(of, value).concat();
            assert_eq!(expected.len(), found.len(), "step {step}");
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                if of.form == Form::Index {
                    assert_eq!(*expected, found, "step {step}, {:?}", definition.operation);
                    continue;
                }
                let (row, column) = (place / of.width as usize, place % of.width as usize);
                let operand = Operand { of, value };
                let unit = two_to(operand.exponent(row, column));
                let limit = f64::from(mantissa_max(of.bits())) * unit;
                let expected = expected.clamp(-limit, limit);
                let allowed = tolerance(&definition.operation, expected, unit) * unit;
                assert!(
                    (expected - found).abs() <= allowed,
                    "step {step} {:?} at {position}: {found} for {expected}, unit {unit}",
                    definition.operation
                );
            }
        }
    }
}

#[test]
fn every_operation_means_what_it_should() {
    means_what_it_should(&everything(), 6);
    means_what_it_should(&encoder(), 6);
}
