//! What the nodes offer, and which model a client means.

use og_types::{ModelId, ModelInfo};
use std::sync::Arc;

/// The models that a node offers.
pub(super) type ModelList = Arc<Vec<Arc<ModelInfo>>>;

/// The models of all nodes that answered, and the nodes that offer each.
pub(crate) struct Offers {
    /// By node, in configured order; `None` for a node that did not answer.
    pub(super) lists: Vec<Option<ModelList>>,
}

impl Offers {
    /// Number of nodes that answered.
    pub(crate) fn answering(&self) -> usize {
        self.lists.iter().flatten().count()
    }

    /// Number of nodes that were asked.
    pub(crate) fn all(&self) -> usize {
        self.lists.len()
    }

    /// Each model once, in the nodes' order, with the number of nodes that offer it.
    pub(crate) fn models(&self) -> Vec<(Arc<ModelInfo>, usize)> {
        let mut models: Vec<(Arc<ModelInfo>, usize)> = Vec::new();
        for model in self.lists.iter().flatten().flat_map(|list| list.iter()) {
            match models.iter_mut().find(|(known, _)| known.id == model.id) {
                Some((_, nodes)) => *nodes += 1,
                None => models.push((model.clone(), 1)),
            }
        }
        models
    }

    /// The model that a client means by `text`: an id, or a name. Where nodes disagree about a
    /// name, the first configured node that knows it decides; an id leaves nothing to decide.
    ///
    /// OpenGradient's clients write names in two more ways: with a provider before a slash, and, by a mistake in the
    /// documentation that they follow, as `TEE_LLM.` and the name of a constant.
    pub(crate) fn find(&self, text: &str) -> Option<Arc<ModelInfo>> {
        let id: Option<ModelId> = text.parse().ok();
        let known = |matches: &dyn Fn(&ModelInfo) -> bool| {
            let models = self.lists.iter().flatten().flat_map(|list| list.iter());
            models.into_iter().find(|model| matches(model)).cloned()
        };
        known(&|model| id == Some(model.id) || model.name == text)
            .or_else(|| {
                let (_, bare) = text.split_once('/')?;
                known(&|model| model.name == bare)
            })
            .or_else(|| {
                let constant = letters(text.strip_prefix("TEE_LLM.")?);
                known(&|model| letters(&model.name) == constant)
            })
    }

    /// The nodes that offer a model, by their places.
    pub(super) fn nodes_with(&self, id: &ModelId) -> Vec<usize> {
        let offers = |list: &ModelList| list.iter().any(|model| model.id == *id);
        (0..self.lists.len())
            .filter(|index| matches!(&self.lists[*index], Some(list) if offers(list)))
            .collect()
    }
}

/// A name without case and punctuation.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}
