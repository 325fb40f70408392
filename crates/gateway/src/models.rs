//! Models as the gateway lists them.

use crate::ask::Task;
use og_types::{Computed, ModelId, ModelInfo, TensorDescription};
use serde::Serialize;
use utoipa::ToSchema;

/// All models that are offered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelsBody {
    /// Always `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<OfferedModel>,
}

/// A model that at least one node offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedModel {
    /// Name by which the nodes know it: what requests say.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Always 0: nodes do not say since when they have it.
    pub created: u64,
    /// Always `og`: whose it is, nobody checks.
    pub owned_by: &'static str,
    /// Content hash of the model's file, which names it everywhere; requests may say it instead of the name.
    #[schema(value_type = String)]
    pub hash: ModelId,
    /// How it computes its answers: `exact`, `float` or `relayed`.
    #[schema(value_type = String)]
    pub computed: Computed,
    /// What it is for: `language` (`/v1/chat/completions` and its like), `embeddings` (`/v1/embeddings`) or `tensors`
    /// (`/v1/infer`, which takes all of them).
    pub task: &'static str,
    /// What it takes.
    pub inputs: Vec<OfferedTensor>,
    /// What it gives.
    pub outputs: Vec<OfferedTensor>,
    /// Number of nodes that offer it.
    pub nodes: usize,
}

/// An input or output of a model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedTensor {
    /// Its name.
    pub name: String,
    /// Type of its elements: `f32`, `i64`, `i32` or `u8`.
    pub dtype: String,
    /// Extent of each dimension; `null` where each request chooses it.
    pub shape: Vec<Option<u32>>,
}

impl OfferedModel {
    /// A model that `nodes` nodes offer.
    pub(crate) fn new(info: &ModelInfo, nodes: usize) -> Self {
        let tensors = |list: &[TensorDescription]| list.iter().map(OfferedTensor::new).collect();
        Self {
            id: info.name.clone(),
            object: "model",
            created: 0,
            owned_by: "og",
            hash: info.id,
            computed: info.computed,
            task: Task::of(info).name(),
            inputs: tensors(&info.description.inputs),
            outputs: tensors(&info.description.outputs),
            nodes,
        }
    }
}

impl OfferedTensor {
    fn new(tensor: &TensorDescription) -> Self {
        Self {
            name: tensor.name.clone(),
            dtype: tensor.element_type.to_string(),
            shape: tensor.shape.clone(),
        }
    }
}
