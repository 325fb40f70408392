//! Norms, and how the sizes of their channels are shared with the matrices that read them.

use super::LayerSteps;
use crate::{
    convert::ConvertError,
    decoder::{
        Norm, Part, Role,
        build::{number_of, scaled, vector_of},
        checked_bias, checked_weight, gain,
    },
    quantise::keeps_small,
};
use og_program::{
    operation::{Operation, Step, Vector},
    value::Form,
};

/// How much of a channel's size goes into its weights; measured with `examples/widths.rs`.
const BALANCE: f32 = 0.35;

/// A norm's output, and what matrices that read it multiply their columns by.
pub(super) struct Normed {
    pub(super) step: Step,
    pub(super) columns: Option<Vec<f32>>,
}

impl LayerSteps<'_, '_> {
    /// A norm of the residual stream, its gain times `factor`, with mantissas of `bits` bits.
    pub(super) fn norm(
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
    pub(super) fn balanced_norm(
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
}

/// Numbers with a factor for each channel, as a constant.
fn by_channel(x: &[f32], factor: &dyn Fn(usize) -> f64) -> Vector {
    let products = x.iter().enumerate();
    vector_of(products.map(|(channel, x)| f64::from(*x) * factor(channel)))
}

/// What channels are divided by before matrices read them, and matrices' columns multiplied by: channels that are larger
/// than most get finer weights, as 8 bits round those and activations have bits to spare.
pub(super) fn balance(sizes: &[f32]) -> Vec<f32> {
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
