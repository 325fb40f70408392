//! Samples of a model's inputs, and the ranges of its tensors over them.

use super::{
    OnnxError,
    evaluate::Values,
    graph::{Graph, GraphInput},
    tensor::{Data, Tensor},
};

mod read;
#[cfg(test)]
pub(crate) use read::arrays;
pub(crate) use read::read;

/// Larger magnitudes stand for infinity.
pub(crate) const ENDLESS: f32 = super::lower::ENDLESS;
/// Scores below minus this are of masked places.
pub(crate) const MASKED: f32 = 5000.0;

/// Magnitudes of a tensor's elements over all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Range {
    /// The greatest that does not stand for infinity.
    pub(crate) largest: f32,
    /// The greatest of a score that is not masked.
    pub(crate) unmasked: f32,
    /// The least that is not zero; 0 if there is none.
    pub(crate) least: f32,
    /// Whether there are elements that stand for infinity.
    pub(crate) endless: bool,
}

impl Range {
    /// Takes in more values.
    pub(crate) fn extend(&mut self, values: &[f32]) {
        for value in values.iter().filter(|value| !value.is_nan()) {
            let size = value.abs();
            if size >= ENDLESS {
                self.endless = true;
                continue;
            }
            self.largest = self.largest.max(size);
            if size < MASKED {
                self.unmasked = self.unmasked.max(size);
            }
            if size > 0.0 && (self.least == 0.0 || size < self.least) {
                self.least = size;
            }
        }
    }
}

/// Takes in all float tensors of a run.
pub(crate) fn extend(ranges: &mut [Range], values: &Values) {
    for (range, tensor) in ranges.iter_mut().zip(values) {
        match tensor.as_ref().map(|tensor| &tensor.data) {
            Some(Data::Float(values)) => range.extend(values),
            Some(Data::Int(values)) => {
                let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                range.extend(&values);
            }
            None => {}
        }
    }
}

/// Reproducible samples where no data are given: floats near a normal distribution, indices spread over their
/// domain, a first sample of ones for what only masks.
pub(crate) fn generated(graph: &Graph, domains: &[usize], count: usize) -> Vec<Vec<Tensor>> {
    let one = |sample: usize, place: usize, input: &GraphInput| {
        let elements: usize = input.shape.iter().product();
        let noise = |index: usize| mixed(((sample * 31 + place) as u64) << 32 | index as u64);
        let data = if input.float {
            Data::Float((0..elements).map(|index| normal(noise(index))).collect())
        } else {
            let domain = domains.get(place).copied().unwrap_or(2).max(1) as u64;
            let value = |index: usize| {
                if domain == 2 {
                    1
                } else {
                    (noise(index) % domain) as i64
                }
            };
            Data::Int((0..elements).map(value).collect())
        };
        Tensor {
            shape: input.shape.clone(),
            data,
        }
    };
    let sample = |sample: usize| {
        graph
            .inputs
            .iter()
            .enumerate()
            .map(|(place, input)| one(sample, place, input))
            .collect()
    };
    (0..count).map(sample).collect()
}

/// A number that looks random (SplitMix64).
pub(crate) fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The sum of four uniform numbers, scaled to a deviation of 1.
fn normal(noise: u64) -> f32 {
    let uniform = |part: u64| ((noise >> (part * 16)) & 0xffff) as f32 / 65_536.0 - 0.5;
    (0..4).map(uniform).sum::<f32>() * 1.732_050_8
}

/// Checks that samples have the shapes of the graph's inputs.
pub(crate) fn check(graph: &Graph, samples: &[Vec<Tensor>]) -> Result<(), OnnxError> {
    for sample in samples {
        let fits = sample.len() == graph.inputs.len()
            && sample.iter().zip(&graph.inputs).all(|(tensor, input)| {
                tensor.shape == input.shape && tensor.is_float() == input.float
            });
        if !fits {
            return Err(OnnxError::Calibration(
                "a sample has other shapes than the model's inputs".into(),
            ));
        }
        let finite = sample.iter().all(|tensor| match &tensor.data {
            Data::Float(values) => values.iter().all(|value| value.is_finite()),
            Data::Int(_) => true,
        });
        if !finite {
            return Err(OnnxError::Calibration(
                "a sample holds NaN or infinity".into(),
            ));
        }
    }
    Ok(())
}
