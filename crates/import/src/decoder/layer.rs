//! A decoder's operations: embedding, layers, and logits or the rows before them.

mod attention;
mod norm;

use super::{
    Activation, Builder, FeedForward, LayerRanges, Part, Role, Source,
    build::{exponent_for, scaled, table_of, vector_of},
    checked_bias, checked_weight,
};
use crate::{
    convert::{ConvertError, Widths},
    quantise::keeps_small,
};
use norm::{Normed, balance};
use og_program::{
    operation::{Operation, Step, VectorIndex},
    value::Form,
};

/// Points of tables of activations and caps, as a power of two.
const TABLE_BITS: u8 = 16;

/// Writes a decoder's steps. Fixed exponents have `headroom` times the calibrated range.
pub(crate) struct LayerSteps<'b, 's> {
    pub(crate) builder: &'b mut Builder,
    pub(crate) source: &'s dyn Source,
    pub(crate) widths: Widths,
    pub(crate) headroom: f64,
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

    /// The final norm's rows as a result: as wide as rows are, as no matrix reads them.
    pub(crate) fn hidden(&mut self, residual: Step) -> Result<Step, ConvertError> {
        self.norm("hidden", residual, Role::FinalNorm, &|_| 1.0, 16)
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
