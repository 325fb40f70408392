//! Models as the gateway lists them.

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
    /// Content hash of the model's file; names it everywhere.
    #[schema(value_type = String)]
    pub id: ModelId,
    /// Name by which the nodes know it.
    pub name: String,
    /// How it computes its answers: `exact`, `float` or `relayed`.
    #[schema(value_type = String)]
    pub computed: Computed,
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
            id: info.id,
            name: info.name.clone(),
            computed: info.computed,
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
