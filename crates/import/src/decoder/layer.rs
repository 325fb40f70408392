//! A decoder's operations: embedding, layers, logits.

use super::{
    Activation, Builder, FeedForward, LayerConfig, LayerRanges, Norm, Part, Role, Rotary, Source,
    build::{exponent_for, number_of, scale_of, scaled, table_of, vector_of},
    checked_bias, checked_weight, gain,
};
use crate::{
    convert::{ConvertError, Widths},
    quantise::keeps_small,
};
use og_program::{
    operation::{Attention, Cap, Operation, Rotation, Scale, Step, Vector, VectorIndex},
    value::Form,
};
use std::f64::consts::TAU;

/// Entries of a table of weights of scores: `e^(-i · STEP)`, the last one zero.
const WEIGHTS: usize = 4096;
/// What one entry is in the exponent: the table ends where a weight is below half a unit of 2^-15.
const STEP: f64 = 11.1 / WEIGHTS as f64;
/// Entries of a turn of a sine, as a power of two.
const SINE_BITS: u8 = 14;
/// Points of tables of activations and caps, as a power of two.
const TABLE_BITS: u8 = 16;

/// How much of a channel's size goes into its weights; measured with `examples/widths.rs`.
const BALANCE: f32 = 0.35;

/// Writes a decoder's steps. Fixed exponents have `headroom` times the calibrated range.
pub(crate) struct LayerSteps<'b, 's> {
    pub(crate) builder: &'b mut Builder,
    pub(crate) source: &'s dyn Source,
    pub(crate) widths: Widths,
    pub(crate) headroom: f64,
}

/// A norm's output, and what matrices that read it multiply their columns by.
struct Normed {
    step: Step,
    columns: Option<Vec<f32>>,
}

/// Exponents of a layer's heads.
pub(crate) struct Exponents {
    queries: Vec<i32>,
    keys: Vec<i32>,
    values: Vec<i32>,
}

impl LayerSteps<'_, '_> {
    /// The residual stream before the first layer.
    pub(crate) fn embedding(&mut self) -> Result<Step, ConvertError> {
        let config = self.source.config();
        let token = self.builder.step("token", Operation::Token, 1, Form::Index);
        let table = checked_weight(self.source, Role::TokenEmbedding)?;
        let matrix = self.builder.matrix(&table, config.embedding_scale as f32)?;
        let residual = scaled(self.widths.residual, 1);
        let embed = Operation::Embed {
            input: token,
            matrix,
        };
        let embedded = self
            .builder
            .step("embedding", embed, config.width, residual.clone());
        if !config.learned_positions {
            return Ok(embedded);
        }
        let position = self
            .builder
            .step("position", Operation::Position, 1, Form::Index);
        let table = checked_weight(self.source, Role::PositionEmbedding)?;
        let matrix = self.builder.matrix(&table, 1.0)?;
        let embed = Operation::Embed {
            input: position,
            matrix,
        };
        let right = self
            .builder
            .step("position embedding", embed, config.width, residual.clone());
        let add = Operation::Add {
            left: embedded,
            right,
        };
        Ok(self
            .builder
            .step("embedding with position", add, config.width, residual))
    }

    /// A layer after `residual`; gives the residual stream after it.
    pub(crate) fn layer(
        &mut self,
        layer: u32,
        residual: Step,
        ranges: &LayerRanges,
    ) -> Result<Step, ConvertError> {
        let attention = self.attention(layer, residual, ranges)?;
        let name = format!("layer.{layer}");
        let residual = self.add(&format!("{name}.attention.residual"), residual, attention);
        let feed_forward = self.feed_forward(layer, residual, &ranges.feed_forward_channels)?;
        Ok(self.add(&format!("{name}.residual"), residual, feed_forward))
    }

    /// The final norm and the logits, of which `greatest` is the largest magnitude seen, from channels of
    /// sizes `channels`. `embedding` is the
    /// matrix of the embedding.
    pub(crate) fn logits(
        &mut self,
        residual: Step,
        (greatest, channels): (f32, &[f32]),
        embedding: u32,
    ) -> Result<Step, ConvertError> {
        let config = self.source.config();
        let tensor = if config.tied {
            None
        } else {
            Some(checked_weight(self.source, Role::Output)?)
        };
        let balanced = tensor
            .as_ref()
            .filter(|tensor| !keeps_small(tensor, &self.builder.how));
        let columns = balanced.map(|_| balance(channels));
        // A tied matrix holds the scaled embedding: the norm before it takes the scale back.
        let scale = if config.tied {
            config.embedding_scale
        } else {
            1.0
        };
        let factor = |channel: usize| {
            let columns = columns.as_ref().and_then(|columns| columns.get(channel));
            1.0 / columns.map_or(scale, |column| f64::from(*column))
        };
        let x = self.norm(
            "final norm",
            residual,
            Role::FinalNorm,
            &factor,
            self.widths.norm,
        )?;
        let matrix = match (&tensor, &columns) {
            (None, _) => embedding,
            (Some(tensor), None) => self.builder.matrix(tensor, 1.0)?,
            (Some(tensor), Some(columns)) => self.builder.balanced_matrix(tensor, columns)?,
        };
        let bias = self.bias(Role::Output)?;
        let exponent = exponent_for(f64::from(greatest) * self.headroom, 16);
        let form = Form::Fixed {
            bits: 16,
            exponents: vec![exponent],
        };
        let linear = Operation::Linear {
            input: x,
            matrix,
            bias,
        };
        let name = if config.final_cap.is_some() {
            "logits before the cap"
        } else {
            "logits"
        };
        let logits = self.builder.step(name, linear, config.vocabulary, form);
        let Some(cap) = config.final_cap else {
            return Ok(logits);
        };
        let table = table_of(TABLE_BITS, exponent, |x| cap * (x / cap).tanh());
        let form = Form::Fixed {
            bits: 16,
            exponents: vec![table.entries.exponent],
        };
        let table = self.builder.table(table);
        let lookup = Operation::Lookup {
            input: logits,
            table,
        };
        Ok(self.builder.step("logits", lookup, config.vocabulary, form))
    }

    fn add(&mut self, name: &str, left: Step, right: Step) -> Step {
        let form = scaled(self.widths.residual, 1);
        self.builder.step(
            name,
            Operation::Add { left, right },
            self.source.config().width,
            form,
        )
    }

    fn bias(&mut self, role: Role) -> Result<Option<VectorIndex>, ConvertError> {
        let bias = checked_bias(self.source, role)?;
        Ok(bias.map(|bias| {
            self.builder
                .vector(vector_of(bias.iter().map(|x| f64::from(*x))))
        }))
    }

    /// A norm of the residual stream, its gain times `factor`, with mantissas of `bits` bits.
    fn norm(
        &mut self,
        name: &str,
        input: Step,
        role: Role,
        factor: &dyn Fn(usize) -> f64,
        bits: u8,
    ) -> Result<Step, ConvertError> {
        let config = self.source.config();
        let gain = gain(self.source, role)?;
        let length = gain.len() as f64;
        let (input, epsilon) = match config.norm {
            Norm::RootMeanSquare { epsilon, .. } => (input, epsilon),
            Norm::Layer { epsilon } => {
                let centre = Operation::Centre(input);
                let form = scaled(16, 1);
                let centred =
                    self.builder
                        .step(&format!("{name}.centred"), centre, config.width, form);
                // Centring multiplies by the length.
                (centred, epsilon * length * length)
            }
        };
        let bias = checked_bias(self.source, role)?;
        let gain = by_channel(&gain, &|channel| factor(channel) * length.sqrt());
        let norm = Operation::RootMeanSquare {
            input,
            gain: self.builder.vector(gain),
            epsilon: number_of(epsilon * length),
            parts: 1,
        };
        let Some(bias) = bias else {
            return Ok(self.builder.step(name, norm, config.width, scaled(bits, 1)));
        };
        let left = self
            .builder
            .step(&format!("{name}.gained"), norm, config.width, scaled(16, 1));
        let bias = by_channel(&bias, factor);
        let form = Form::Fixed {
            bits: 16,
            exponents: vec![bias.exponent],
        };
        let bias = Operation::Constant(self.builder.vector(bias));
        let right = self
            .builder
            .step(&format!("{name}.bias"), bias, config.width, form);
        Ok(self.builder.step(
            name,
            Operation::Add { left, right },
            config.width,
            scaled(bits, 1),
        ))
    }

    /// A norm whose larger channels are divided by what `read_by`'s columns are multiplied by, unless those keep the
    /// small elements that they come in.
    fn balanced_norm(
        &mut self,
        name: &str,
        residual: Step,
        (layer, norm, read_by): (u32, Part, &[Part]),
        sizes: &[f32],
    ) -> Result<Normed, ConvertError> {
        let mut columns = Some(balance(sizes));
        for part in read_by {
            let tensor = checked_weight(self.source, Role::Layer(layer, *part))?;
            if keeps_small(&tensor, &self.builder.how) {
                columns = None;
            }
        }
        let factor = |channel: usize| {
            let columns = columns.as_ref().and_then(|columns| columns.get(channel));
            columns.map_or(1.0, |column| 1.0 / f64::from(*column))
        };
        let (name, role) = (format!("{name}.norm"), Role::Layer(layer, norm));
        let step = self.norm(&name, residual, role, &factor, self.widths.norm)?;
        Ok(Normed { step, columns })
    }

    fn linear(
        &mut self,
        name: &str,
        input: &Normed,
        role: Role,
        form: Form,
    ) -> Result<Step, ConvertError> {
        let tensor = checked_weight(self.source, role)?;
        let matrix = match &input.columns {
            None => self.builder.matrix(&tensor, 1.0)?,
            Some(columns) => self.builder.balanced_matrix(&tensor, columns)?,
        };
        let input = input.step;
        let bias = self.bias(role)?;
        let width = tensor.rows() as u32;
        Ok(self.builder.step(
            name,
            Operation::Linear {
                input,
                matrix,
                bias,
            },
            width,
            form,
        ))
    }

    /// What a block adds to the residual stream, normalised if the model does that.
    fn given(
        &mut self,
        name: &str,
        input: Step,
        matrix: Part,
        norm: Part,
        layer: u32,
    ) -> Result<Step, ConvertError> {
        let post = self.source.config().post_norms;
        let linear = if post {
            format!("{name}.output")
        } else {
            name.to_owned()
        };
        let input = Normed {
            step: input,
            columns: None,
        };
        let given = self.linear(&linear, &input, Role::Layer(layer, matrix), scaled(16, 1))?;
        if !post {
            return Ok(given);
        }
        self.norm(name, given, Role::Layer(layer, norm), &|_| 1.0, 16)
    }

    fn attention(
        &mut self,
        layer: u32,
        residual: Step,
        ranges: &LayerRanges,
    ) -> Result<Step, ConvertError> {
        let config = self.source.config();
        let name = format!("layer.{layer}.attention");
        let read_by = [Part::Query, Part::Key, Part::Value];
        let place = (layer, Part::AttentionNorm, &read_by[..]);
        let x = self.balanced_norm(&name, residual, place, &ranges.attention_channels)?;
        let exponents = self.exponents(ranges);
        let definition = &config.layers[layer as usize];
        let place = (&*name, layer, definition);
        let queries = self.head_rows(
            place,
            &x,
            [Part::Query, Part::QueryNorm],
            &exponents.queries,
        )?;
        let keys = self.head_rows(place, &x, [Part::Key, Part::KeyNorm], &exponents.keys)?;
        let form = self.cached(&exponents.values);
        let values = self.linear(
            &format!("{name}.values"),
            &x,
            Role::Layer(layer, Part::Value),
            form,
        )?;
        let attention = self.attention_of(definition, &exponents, &name)?;
        let width = config.heads * config.head_width;
        let attend = Operation::Attend {
            queries,
            keys,
            values,
            attention,
        };
        let mixed = self.builder.step(
            &format!("{name}.mixed"),
            attend,
            width,
            scaled(self.widths.attention, 1),
        );
        self.given(
            &name,
            mixed,
            Part::AttentionOutput,
            Part::PostAttentionNorm,
            layer,
        )
    }

    fn exponents(&self, ranges: &LayerRanges) -> Exponents {
        let of = |ranges: &[f32]| {
            let fit =
                |range: &f32| exponent_for(f64::from(*range) * self.headroom, self.widths.cache);
            ranges.iter().map(fit).collect()
        };
        Exponents {
            queries: of(&ranges.queries),
            keys: of(&ranges.keys),
            values: of(&ranges.values),
        }
    }

    fn cached(&self, exponents: &[i32]) -> Form {
        Form::Fixed {
            bits: self.widths.cache,
            exponents: exponents.to_vec(),
        }
    }

    /// Queries or keys: linear, normalised and turned as the model does it, fixed at the end.
    fn head_rows(
        &mut self,
        (name, layer, definition): (&str, u32, &LayerConfig),
        input: &Normed,
        [part, norm]: [Part; 2],
        exponents: &[i32],
    ) -> Result<Step, ConvertError> {
        let config = self.source.config();
        let name = format!(
            "{name}.{}",
            if part == Part::Query {
                "queries"
            } else {
                "keys"
            }
        );
        let heads = exponents.len() as u32;
        let width = heads * config.head_width;
        let last = self.cached(exponents);
        let form = |after: bool| {
            if after {
                scaled(16, heads)
            } else {
                last.clone()
            }
        };
        let turned = definition.rotary.is_some();
        let role = Role::Layer(layer, part);
        let linear = if config.query_key_norm || turned {
            format!("{name}.linear")
        } else {
            name.clone()
        };
        let mut step = self.linear(&linear, input, role, form(config.query_key_norm || turned))?;
        if config.query_key_norm {
            let (Norm::RootMeanSquare { epsilon, .. } | Norm::Layer { epsilon }) = config.norm;
            let gain = gain(self.source, Role::Layer(layer, norm))?;
            let length = gain.len() as f64;
            let gain = vector_of(gain.iter().map(|x| f64::from(*x) * length.sqrt()));
            let norm = Operation::RootMeanSquare {
                input: step,
                gain: self.builder.vector(gain),
                epsilon: number_of(epsilon * length),
                parts: heads,
            };
            let named = if turned {
                format!("{name}.norm")
            } else {
                name.clone()
            };
            step = self.builder.step(&named, norm, width, form(turned));
        }
        if let Some(rotary) = &definition.rotary {
            let rotation = self.rotation(rotary);
            let rotate = Operation::Rotate {
                input: step,
                heads,
                rotation,
            };
            step = self.builder.step(&name, rotate, width, last);
        }
        Ok(step)
    }

    fn rotation(&mut self, rotary: &Rotary) -> Rotation {
        let entries = 1 << SINE_BITS;
        let sine = (0..entries).map(|entry| {
            let value = (TAU * f64::from(entry) / f64::from(entries)).sin() * rotary.factor;
            (value * 16_384.0).round().clamp(-32_767.0, 32_767.0) as i16
        });
        let sine = Vector {
            mantissas: sine.collect(),
            exponent: -14,
        };
        // Turns of a position in units of 2^-64.
        let steps = rotary
            .frequencies
            .iter()
            .map(|radians| ((radians / TAU).fract() * 2_f64.powi(64)) as u64);
        Rotation {
            steps: steps.collect(),
            sine: self.builder.vector(sine),
            halves: rotary.halves,
        }
    }

    fn attention_of(
        &mut self,
        definition: &LayerConfig,
        exponents: &Exponents,
        name: &str,
    ) -> Result<Attention, ConvertError> {
        let config = self.source.config();
        let weights = (0..WEIGHTS).map(|i| {
            let last = i == WEIGHTS - 1;
            if last {
                0
            } else {
                ((-(i as f64) * STEP).exp() * 32_767.0).round() as i16
            }
        });
        let weights = Vector {
            mantissas: weights.collect(),
            exponent: -15,
        };
        let weights = self.builder.vector(weights);
        // What a unit of an integer score is, for each head of queries.
        let units = exponents
            .queries
            .iter()
            .enumerate()
            .map(|(head, exponent)| {
                let kv_head = head * config.kv_heads as usize / config.heads as usize;
                config.attention_scale * 2_f64.powi(exponent + exponents.keys[kv_head])
            });
        let scales = |unit: f64| -> Result<Vec<Scale>, ConvertError> {
            let beyond = || ConvertError::Scores {
                name: name.to_owned(),
            };
            units
                .clone()
                .map(|score| scale_of(score / unit).ok_or_else(beyond))
                .collect()
        };
        let (scales, cap) = match config.attention_cap {
            None => (scales(STEP)?, None),
            Some(cap) => {
                // Beyond four caps a capped score is within a thousandth of its limit.
                let unit = 4.0 * cap / 32_768.0;
                let mut table = table_of(TABLE_BITS, 0, |point| cap * (point * unit / cap).tanh());
                table.exponent = 0;
                let entry = 2_f64.powi(table.entries.exponent);
                let capped = Cap {
                    scales: scales(unit)?,
                    table: self.builder.table(table),
                };
                let beyond = || ConvertError::Scores {
                    name: name.to_owned(),
                };
                let scale = scale_of(entry / STEP).ok_or_else(beyond)?;
                (vec![scale; config.heads as usize], Some(capped))
            }
        };
        Ok(Attention {
            heads: config.heads,
            kv_heads: config.kv_heads,
            window: definition.window,
            scales,
            weights,
            cap,
        })
    }

    fn feed_forward(
        &mut self,
        layer: u32,
        residual: Step,
        channels: &[f32],
    ) -> Result<Step, ConvertError> {
        let config = self.source.config();
        let name = format!("layer.{layer}.feed_forward");
        let read_by: &[Part] = match config.feed_forward {
            FeedForward::Gated(_) => &[Part::Gate, Part::Up],
            FeedForward::Plain(_) => &[Part::Up],
        };
        let place = (layer, Part::FeedForwardNorm, read_by);
        let x = self.balanced_norm(&name, residual, place, channels)?;
        let up = self.linear(
            &format!("{name}.up"),
            &x,
            Role::Layer(layer, Part::Up),
            scaled(16, 1),
        )?;
        let (input, other, function) = match config.feed_forward {
            FeedForward::Gated(function) => {
                let role = Role::Layer(layer, Part::Gate);
                (
                    self.linear(&format!("{name}.gate"), &x, role, scaled(16, 1))?,
                    Some(up),
                    function,
                )
            }
            FeedForward::Plain(function) => (up, None, function),
        };
        // Sigmoid is 0 or 1 to 16 bits beyond ±16, Φ beyond ±8.
        let exponent = if function == Activation::Silu {
            -11
        } else {
            -12
        };
        let table = self
            .builder
            .table(table_of(TABLE_BITS, exponent, |x| function.factor(x)));
        let gate = Operation::Gate {
            input,
            other,
            table,
        };
        let form = scaled(self.widths.gate, 1);
        let gated = self.builder.step(
            &format!("{name}.gated"),
            gate,
            config.feed_forward_width,
            form,
        );
        self.given(&name, gated, Part::Down, Part::PostFeedForwardNorm, layer)
    }
}

/// Numbers with a factor for each channel, as a constant.
fn by_channel(x: &[f32], factor: &dyn Fn(usize) -> f64) -> Vector {
    let products = x.iter().enumerate();
    vector_of(products.map(|(channel, x)| f64::from(*x) * factor(channel)))
}

/// What channels are divided by before matrices read them, and matrices' columns multiplied by: channels that are larger
/// than most get finer weights, as 8 bits round those and activations have bits to spare.
fn balance(sizes: &[f32]) -> Vec<f32> {
    let mut sorted = sizes.to_vec();
    sorted.sort_by(f32::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let factor = |size: &f32| {
        if middle > 0.0 {
            (size / middle).powf(BALANCE).clamp(1.0, 4.0)
        } else {
            1.0
        }
    };
    sizes.iter().map(factor).collect()
}
