//! Attention: queries and keys with their norms and rotations, exponents of heads, scales of scores.

use super::{LayerSteps, TABLE_BITS, norm::Normed};
use crate::{
    convert::ConvertError,
    decoder::{
        LayerConfig, LayerRanges, Norm, Part, Role, Rotary,
        build::{exponent_for, number_of, scale_of, scaled, table_of, vector_of},
        gain,
    },
};
use og_program::{
    operation::{Attention, Cap, Operation, Rotation, Scale, Step, Vector},
    value::Form,
};
use std::f64::consts::TAU;

/// Entries of a table of weights of scores: `e^(-i · STEP)`, the last one zero.
const WEIGHTS: usize = 4096;
/// What one entry is in the exponent: the table ends where a weight is below half a unit of 2^-15.
const STEP: f64 = 11.1 / WEIGHTS as f64;
/// Entries of a turn of a sine, as a power of two.
const SINE_BITS: u8 = 14;

/// Exponents of a layer's heads.
struct Exponents {
    queries: Vec<i32>,
    keys: Vec<i32>,
    values: Vec<i32>,
}

impl LayerSteps<'_, '_> {
    pub(super) fn attention(
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
                &format!("{name}.norm")
            } else {
                &name
            };
            step = self.builder.step(named, norm, width, form(turned));
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
}
