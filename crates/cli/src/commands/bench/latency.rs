//! How long a model of tensors takes for one request, as a node runs it, without a network around it.

use super::{
    figure::{Sample, quantile},
    model::name_of,
};
use crate::failure::failure;
use og_engine::{Backend, Pieces};
use og_types::{ElementType, ModelDescription, Tensor, TensorDescription};
use std::{path::Path, sync::Arc, time::Instant};

/// Requests of a round.
const REQUESTS: usize = 1000;
/// Requests before a round, which touch memory that later ones find.
const UNCOUNTED: usize = 20;

/// A model to measure, and a request to it.
pub(super) struct Latency {
    name: String,
    backend: Arc<dyn Backend>,
    inputs: Vec<Tensor>,
}

impl Latency {
    /// A model file, asked with numbers between 0 and 1; open extents are 1.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let (_, backend) = og_engine::load(path)?;
        let inputs = inputs(backend.describe());
        let inputs = inputs.ok_or_else(|| {
            failure(
                "only models that take floats are measured so",
                "measure a language model with `og bench decode prefill batch --model FILE`",
            )
        })?;
        Ok(Self {
            name: name_of(path)?,
            backend,
            inputs,
        })
    }

    /// What is measured, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The middle and the slowest hundredth of many requests, one after the other.
    pub(super) async fn round(&self) -> anyhow::Result<Vec<Sample>> {
        let mut micros = Vec::with_capacity(REQUESTS);
        for request in 0..UNCOUNTED + REQUESTS {
            let started = Instant::now();
            let model = self.backend.clone();
            model.run(self.inputs.clone(), 0, Pieces::UNWANTED).await?;
            if request >= UNCOUNTED {
                micros.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        micros.sort_by(f64::total_cmp);
        Ok(vec![
            ("latency_p50", quantile(&micros, 50), "us"),
            ("latency_p99", quantile(&micros, 99), "us"),
        ])
    }
}

/// A request to a model that takes floats; `None` for other models.
fn inputs(description: &ModelDescription) -> Option<Vec<Tensor>> {
    let tensor = |input: &TensorDescription| {
        let shape: Vec<u32> = input.shape.iter().map(|side| side.unwrap_or(1)).collect();
        let elements = shape.iter().product::<u32>();
        let data =
            (0..elements).flat_map(|index| ((index * 37 % 101) as f32 / 101.0).to_le_bytes());
        (input.element_type == ElementType::F32).then(|| Tensor {
            name: input.name.clone(),
            element_type: ElementType::F32,
            shape,
            data: data.collect::<Vec<u8>>().into(),
        })
    };
    description.inputs.iter().map(tensor).collect()
}
