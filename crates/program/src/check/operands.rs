//! What each operation requires of its operands and of its output's type.

use super::{Fault, facts::Facts, input_fits, product, rotation_fits, scale_is_sound, shaped};
use crate::{
    matrix::Matrix,
    operation::{Attention, Branch, Operation, Step, Window},
    program::{Program, StepDefinition},
    value::{Form, Type},
};

fn is_index(of: &Type) -> bool {
    of.form == Form::Index
}

fn is_rows(of: &Type) -> bool {
    !is_index(of)
}

fn same_shape(a: &Type, b: &Type) -> bool {
    a.rows == b.rows && a.width == b.width
}

/// Whether a row with `have` exponents can be cut into or joined to the output's parts.
fn parts_fit(have: usize, of: &Type) -> bool {
    let want = of.parts();
    want.is_multiple_of(have) || have.is_multiple_of(want)
}

impl Program {
    pub(super) fn check_operands(
        &self,
        definition: &StepDefinition,
        facts: &Facts,
    ) -> Result<(), Fault> {
        let of = &definition.output;
        let input = |step: &Step| self.output(*step);
        match &definition.operation {
            Operation::Token | Operation::Position => {
                shaped(is_index(of) && of.elements() == 1, "gives one index")?;
                let takes_tokens =
                    self.vocabulary > 0 || definition.operation == Operation::Position;
                shaped(
                    takes_tokens,
                    "reads a token, and the program has no vocabulary",
                )
            }
            Operation::Input(index) => {
                let count = self.inputs.len();
                let missing = Fault::Missing {
                    what: "input",
                    index: *index,
                    count,
                };
                let given = self.inputs.get(*index as usize).ok_or(missing)?;
                let fits =
                    product(&given.shape) == Some(of.elements()) && input_fits(&given.form, of);
                shaped(fits, "the request's input has another shape or form")
            }
            Operation::Constant(index) => {
                let vector = self.vector(*index)?;
                let fits = matches!(&of.form, Form::Fixed { exponents, .. } if exponents[..] == [vector.exponent]);
                shaped(
                    fits && [of.elements(), of.width as usize].contains(&vector.mantissas.len()),
                    "the constant has another shape or exponent",
                )?;
                shaped(
                    i64::from(facts.vector(*index).largest) <= of.largest(),
                    "the constant has mantissas of more bits than the output",
                )
            }
            Operation::Embed {
                input: indices,
                matrix,
            } => {
                let matrix = self.matrix(*matrix)?;
                shaped(
                    is_index(input(indices)) && input(indices).width == 1,
                    "takes a column of indices",
                )?;
                shaped(
                    is_rows(of) && of.rows == input(indices).rows && of.width == matrix.inputs,
                    "gives a row of the matrix for each index",
                )
            }
            Operation::Linear {
                input: x,
                matrix,
                bias,
            } => self.check_linear(input(x), self.matrix(*matrix)?, *bias, of),
            Operation::Expert {
                input: x,
                choice,
                column,
                matrices,
            } => {
                let choice = input(choice);
                shaped(
                    is_index(choice) && choice.rows == of.rows && *column < choice.width,
                    "takes a row of choices for each row",
                )?;
                shaped(!matrices.is_empty(), "has no experts")?;
                let first = self.matrix(matrices[0])?;
                for matrix in matrices {
                    let matrix = self.matrix(*matrix)?;
                    let alike = (matrix.inputs, matrix.outputs) == (first.inputs, first.outputs);
                    shaped(
                        alike && matrix.exponent == first.exponent,
                        "experts differ in shape or exponent",
                    )?;
                    self.check_linear(input(x), matrix, None, of)?;
                }
                Ok(())
            }
            Operation::Add { left, right } | Operation::Multiply { left, right } => {
                let (left, right) = (input(left), input(right));
                shaped(
                    is_rows(left) && is_rows(right) && is_rows(of),
                    "takes and gives rows",
                )?;
                let alike = same_shape(left, right)
                    && same_shape(left, of)
                    && left.parts() == right.parts();
                shaped(
                    alike && parts_fit(left.parts(), of),
                    "operands differ in shape or parts",
                )
            }
            Operation::RootMeanSquare {
                input: x,
                gain,
                epsilon,
                parts,
            } => {
                let (x, parts, gain) = (input(x), *parts as usize, self.vector(*gain)?);
                shaped(
                    is_rows(x) && is_rows(of) && same_shape(x, of),
                    "gives as many elements as it takes",
                )?;
                let divides = parts > 0
                    && (x.width as usize).is_multiple_of(parts)
                    && parts.is_multiple_of(x.parts());
                shaped(
                    divides && parts_fit(parts, of),
                    "cannot be cut into its parts",
                )?;
                shaped(
                    gain.mantissas.len() == x.width as usize / parts,
                    "the gain is not as long as a part",
                )?;
                let sound = (0..1 << 31).contains(&epsilon.mantissa)
                    && super::is_exponent(epsilon.exponent);
                shaped(sound, "epsilon must be below 2^31 and not negative")
            }
            Operation::Centre(x) => {
                let x = input(x);
                shaped(
                    is_rows(x) && x.parts() == 1 && is_rows(of) && same_shape(x, of),
                    "takes rows with one exponent and gives as many elements",
                )
            }
            Operation::Rotate {
                input: x,
                heads,
                rotation,
            } => {
                let (x, heads) = (input(x), *heads as usize);
                shaped(
                    is_rows(x) && is_rows(of) && same_shape(x, of),
                    "gives as many elements as it takes",
                )?;
                let divides = heads > 0
                    && (x.width as usize).is_multiple_of(heads)
                    && heads.is_multiple_of(x.parts());
                shaped(
                    divides && parts_fit(x.parts(), of),
                    "cannot be cut into its heads",
                )?;
                let sine = self.vector(rotation.sine)?;
                shaped(
                    rotation_fits(rotation, x.width as usize / heads, sine),
                    "more pairs than a head has, or a sine table of another size",
                )
            }
            Operation::Gate {
                input: x,
                other,
                table,
            } => {
                self.table(*table)?;
                let x = input(x);
                shaped(
                    is_rows(x) && is_rows(of) && same_shape(x, of) && parts_fit(x.parts(), of),
                    "gives as many elements as it takes",
                )?;
                let alike = other.is_none_or(|other| {
                    let other = input(&other);
                    is_rows(other) && same_shape(x, other) && x.parts() == other.parts()
                });
                shaped(alike, "operands differ in shape or parts")
            }
            Operation::Lookup { input: x, table } => {
                self.table(*table)?;
                shaped(
                    is_rows(input(x)) && is_rows(of) && same_shape(input(x), of),
                    "gives as many elements as it takes",
                )
            }
            Operation::Cast(x) => {
                let x = input(x);
                shaped(
                    is_rows(x) && is_rows(of) && same_shape(x, of) && parts_fit(x.parts(), of),
                    "gives as many elements as it takes",
                )
            }
            Operation::Rectify(x) => shaped(
                is_rows(of) && input(x) == of,
                "gives the type that it takes",
            ),
            Operation::Delay(x) => {
                shaped(
                    self.causal,
                    "a program that is not causal has no position before",
                )?;
                shaped(input(x) == of, "gives the type that it takes")
            }
            Operation::Attend {
                queries,
                keys,
                values,
                attention,
            } => self.check_attention(
                [input(queries), input(keys), input(values)],
                attention,
                of,
                facts,
            ),
            Operation::Convolve {
                input: x,
                matrix,
                bias,
                window,
                groups,
            } => {
                let (x, matrix) = (input(x), self.matrix(*matrix)?);
                shaped(
                    *groups > 0
                        && x.width.is_multiple_of(*groups)
                        && matrix.outputs.is_multiple_of(*groups),
                    "channels cannot be cut into its groups",
                )?;
                let patch = [window.size[0], window.size[1], x.width / groups];
                shaped(
                    product(&patch) == Some(matrix.inputs as usize),
                    "the window has not as many elements as the matrix has inputs",
                )?;
                shaped(
                    is_rows(of) && of.width == matrix.outputs,
                    "gives one element for each row of the matrix",
                )?;
                self.check_bias(*bias, of)?;
                check_window(window, x, of)
            }
            Operation::Pool {
                input: x, window, ..
            } => {
                shaped(
                    is_rows(of) && input(x).width == of.width,
                    "gives as many channels as it takes",
                )?;
                check_window(window, input(x), of)
            }
            Operation::Product { left, right } => {
                let (left, right) = (input(left), input(right));
                let plain = left.is_plain() && right.is_plain() && is_rows(of);
                shaped(
                    plain && left.width == right.width,
                    "takes fixed rows of one length",
                )?;
                shaped(
                    of.rows == left.rows && of.width == right.rows,
                    "gives an element for each pair of rows",
                )
            }
            Operation::View {
                input: x,
                offset,
                axes,
            } => check_view(input(x), *offset, axes, of),
            Operation::Join(inputs) => {
                let alike = inputs.iter().all(|x| input(x).form == of.form);
                shaped(
                    alike && (is_index(of) || of.is_plain()),
                    "takes and gives one fixed form with one exponent",
                )?;
                let elements = inputs
                    .iter()
                    .map(|x| input(x).elements())
                    .fold(0, usize::saturating_add);
                shaped(
                    elements == of.elements(),
                    "gives as many elements as it takes",
                )
            }
            Operation::Softmax {
                input: x,
                exponent,
                scale,
                weights,
            } => {
                let x = input(x);
                shaped(
                    is_rows(x) && x.parts() == 1 && is_rows(of) && same_shape(x, of),
                    "takes rows with one exponent and gives as many elements",
                )?;
                shaped(
                    scale_is_sound(scale) && super::is_exponent(*exponent),
                    "its scale is out of range",
                )?;
                self.check_weights(*weights, facts)
            }
            Operation::Reduce { input: x, .. } => {
                let x = input(x);
                shaped(
                    is_rows(x)
                        && x.parts() == 1
                        && is_rows(of)
                        && of.rows == x.rows
                        && of.width == 1,
                    "gives one number for each row with one exponent",
                )
            }
            Operation::Largest(x) => {
                let x = input(x);
                shaped(
                    is_rows(x)
                        && x.parts() == 1
                        && is_index(of)
                        && of.rows == x.rows
                        && of.width == 1,
                    "gives one index for each row with one exponent",
                )
            }
            Operation::Choose { input: x, count } => {
                let x = input(x);
                shaped(
                    is_rows(x) && x.parts() == 1 && is_index(of) && of.rows == x.rows,
                    "gives indices for each row with one exponent",
                )?;
                shaped(
                    of.width == *count && *count <= x.width,
                    "chooses more than there are",
                )
            }
            Operation::Take { input: x, indices } => {
                let (x, indices) = (input(x), input(indices));
                shaped(
                    is_rows(x) && x.parts() == 1 && is_index(indices) && indices.rows == x.rows,
                    "takes rows with one exponent, and a row of indices for each",
                )?;
                shaped(
                    x.form == of.form && same_shape(indices, of),
                    "gives an element for each index, as they are",
                )
            }
            Operation::Trees {
                input: x,
                nodes,
                roots,
                exponent,
            } => {
                let x = input(x);
                shaped(
                    is_index(x)
                        && is_rows(of)
                        && of.rows == x.rows
                        && super::is_exponent(*exponent),
                    "takes rows of ranks",
                )?;
                shaped(
                    roots.iter().all(|root| (*root as usize) < nodes.len()),
                    "a tree begins nowhere",
                )?;
                check_nodes(nodes, x.width, of.width)
            }
        }
    }

    fn check_linear(
        &self,
        x: &Type,
        matrix: &Matrix,
        bias: Option<u32>,
        of: &Type,
    ) -> Result<(), Fault> {
        shaped(
            is_rows(x) && x.parts() == 1 && x.width == matrix.inputs,
            "takes rows with one exponent, as long as the matrix has inputs",
        )?;
        shaped(
            is_rows(of) && of.rows == x.rows && of.width == matrix.outputs,
            "gives one element for each row of the matrix",
        )?;
        self.check_bias(bias, of)
    }

    fn check_bias(&self, bias: Option<u32>, of: &Type) -> Result<(), Fault> {
        let Some(bias) = bias else { return Ok(()) };
        shaped(
            self.vector(bias)?.mantissas.len() == of.width as usize,
            "the bias is not as long as the result",
        )
    }

    /// Weights of scores are not negative.
    fn check_weights(&self, weights: u32, facts: &Facts) -> Result<(), Fault> {
        self.vector(weights)?;
        shaped(
            !facts.vector(weights).negative,
            "its table has negative entries",
        )
    }

    fn check_attention(
        &self,
        [queries, keys, values]: [&Type; 3],
        attention: &Attention,
        of: &Type,
        facts: &Facts,
    ) -> Result<(), Fault> {
        let (heads, kv_heads) = (attention.heads as usize, attention.kv_heads as usize);
        shaped(
            heads > 0 && kv_heads > 0 && heads.is_multiple_of(kv_heads),
            "heads are not a multiple of key heads",
        )?;
        let fixed = |of: &Type, heads: usize| {
            matches!(&of.form, Form::Fixed { exponents, .. } if exponents.len() == heads)
                && of.rows == 1
        };
        shaped(
            fixed(queries, heads) && fixed(keys, kv_heads) && fixed(values, kv_heads),
            "takes one fixed row with an exponent for each head",
        )?;
        shaped(
            queries.width as usize / heads == keys.width as usize / kv_heads,
            "queries and keys differ in width",
        )?;
        let width = values.width as usize / kv_heads * heads;
        shaped(
            is_rows(of) && of.rows == 1 && of.width as usize == width && parts_fit(heads, of),
            "gives a value for each head",
        )?;
        shaped(attention.window != Some(0), "its window is empty")?;
        shaped(
            attention.scales.len() == heads && attention.scales.iter().all(scale_is_sound),
            "needs a scale for each head",
        )?;
        self.check_weights(attention.weights, facts)?;
        let Some(cap) = &attention.cap else {
            return Ok(());
        };
        self.table(cap.table)?;
        shaped(
            cap.scales.len() == heads && cap.scales.iter().all(scale_is_sound),
            "its cap needs a scale for each head",
        )
    }
}

fn check_window(window: &Window, x: &Type, of: &Type) -> Result<(), Fault> {
    shaped(x.is_plain(), "takes fixed rows with one exponent")?;
    shaped(
        product(&window.input) == Some(x.rows as usize),
        "the picture has not as many pixels as there are rows",
    )?;
    let within = window
        .size
        .iter()
        .chain(&window.stride)
        .chain(&window.dilation);
    let padded = window.before.iter().chain(&window.after);
    let bounded =
        within.clone().all(|n| (1..=1 << 16).contains(n)) && padded.clone().all(|n| *n <= 1 << 16);
    shaped(
        bounded && product(&window.size).is_some_and(|size| size <= 1 << 20),
        "its window is empty or too large",
    )?;
    let fits = window.output().and_then(|size| product(&size)) == Some(of.rows as usize);
    shaped(fits, "gives one row for each place of the window")
}

fn check_view(x: &Type, offset: u32, axes: &[(u32, i32)], of: &Type) -> Result<(), Fault> {
    let alike = x.form == of.form && (is_index(x) || x.is_plain());
    shaped(alike, "takes and gives one fixed form with one exponent")?;
    let extents: Vec<u32> = axes.iter().map(|(extent, _)| *extent).collect();
    let bounded = axes.len() <= 16 && extents.iter().all(|extent| *extent > 0);
    shaped(
        bounded && product(&extents) == Some(of.elements()),
        "its axes do not make the output's elements",
    )?;
    let (mut low, mut high) = (i128::from(offset), i128::from(offset));
    for (extent, stride) in axes {
        let reach = i128::from(extent - 1) * i128::from(*stride);
        low += reach.min(0);
        high += reach.max(0);
    }
    shaped(
        low >= 0 && high < x.elements() as i128,
        "reads beyond its input",
    )
}

fn check_nodes(nodes: &[Branch], features: u32, outputs: u32) -> Result<(), Fault> {
    let later = |from: usize, to: u32| (to as usize) > from && (to as usize) < nodes.len();
    for (index, node) in nodes.iter().enumerate() {
        let sound = match node {
            Branch::Decision {
                feature,
                below,
                otherwise,
                ..
            } => *feature < features && later(index, *below) && later(index, *otherwise),
            Branch::Leaf { output, more, .. } => {
                let next = nodes.get(index + 1);
                *output < outputs && (!more || matches!(next, Some(Branch::Leaf { .. })))
            }
        };
        shaped(sound, "a node leads back or out of its forest")?;
    }
    Ok(())
}
