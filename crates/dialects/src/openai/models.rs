//! `GET /v1/models` and `GET /v1/models/{model}`: what can be asked.

use crate::{ApiError, Fault, document::extend, error::cut};
use serde_json::{Map, Value, json};

/// A model that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What requests call it.
    pub id: String,
    /// Since when there is one of that name, in seconds since 1970; 0 if nobody knows.
    pub created: u64,
    /// Whose it is.
    pub owner: String,
    /// More that the gateway says of it.
    pub extra: Map<String, Value>,
}

impl Model {
    /// One model.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.owner,
        });
        extend(&mut document, self.extra.clone());
        document
    }
}

/// All models.
pub fn list(models: &[Model]) -> Value {
    let models: Vec<_> = models.iter().map(Model::document).collect();
    json!({"object": "list", "data": models})
}

/// Nobody knows the model.
pub fn unknown(model: &str) -> ApiError {
    // Names are short, and what is not need not be repeated.
    let name = cut(model, 128);
    ApiError {
        fault: Fault::NotFound,
        message: format!("The model {name:?} does not exist: GET /v1/models lists those that do."),
        param: Some("model".to_owned()),
        code: Some("model_not_found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_in_openais_shape() {
        let model = Model {
            id: "tiny".to_owned(),
            created: 5,
            owner: "og".to_owned(),
            extra: Map::from_iter([("og_hash".to_owned(), json!("0x00"))]),
        };
        let document = json!({"id": "tiny", "object": "model", "created": 5, "owned_by": "og", "og_hash": "0x00"});
        assert_eq!(
            list(&[model]),
            json!({"object": "list", "data": [document]})
        );
        let error = unknown(&"m".repeat(10_000));
        assert!(error.message.len() < 300, "long names are cut");
        assert_eq!(error.fault.status(), 404);
    }
}
