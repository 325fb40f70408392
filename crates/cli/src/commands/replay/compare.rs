//! Two answers beside each other.

use og_types::{ElementType, Tensor};
use serde::Serialize;

/// What was compared, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Comparison {
    pub(super) what: String,
    pub(super) equal: bool,
    pub(super) detail: String,
}

/// Compares the receipt's tensors with those of this run, each of either.
pub(super) fn compare(theirs: &[Tensor], ours: &[Tensor]) -> Vec<Comparison> {
    let missing = ours
        .iter()
        .filter(|ours| !theirs.iter().any(|theirs| theirs.name == ours.name))
        .map(|ours| Comparison {
            what: ours.name.clone(),
            equal: false,
            detail: "is not in the receipt".to_owned(),
        });
    theirs
        .iter()
        .map(
            |theirs| match ours.iter().find(|ours| ours.name == theirs.name) {
                Some(ours) => compare_tensors(theirs, ours),
                None => Comparison {
                    what: theirs.name.clone(),
                    equal: false,
                    detail: "is in the receipt, and this model does not give it".to_owned(),
                },
            },
        )
        .chain(missing)
        .collect()
}

fn compare_tensors(theirs: &Tensor, ours: &Tensor) -> Comparison {
    let detail = if theirs.element_type != ours.element_type {
        format!(
            "elements of type {}, and {} here",
            theirs.element_type, ours.element_type
        )
    } else {
        let first = theirs.data.iter().zip(&ours.data).position(|(a, b)| a != b);
        match first {
            Some(byte) => {
                let element = byte / theirs.element_type.width_bytes();
                format!(
                    "differs first at element {element}: {} in the receipt, {} here",
                    shown(theirs, element),
                    shown(ours, element)
                )
            }
            None if theirs.data.len() != ours.data.len() => {
                let width = theirs.element_type.width_bytes();
                let (theirs, ours) = (theirs.data.len() / width, ours.data.len() / width);
                format!("{theirs} elements in the receipt, {ours} here, equal as far as they go")
            }
            None if theirs.shape != ours.shape => {
                format!(
                    "shape {:?} in the receipt, {:?} here",
                    theirs.shape, ours.shape
                )
            }
            None => format!("{} bytes", theirs.data.len()),
        }
    };
    Comparison {
        what: theirs.name.clone(),
        equal: theirs == ours,
        detail,
    }
}

/// An element for people.
fn shown(tensor: &Tensor, element: usize) -> String {
    let width = tensor.element_type.width_bytes();
    let bytes = tensor.data.get(element * width..(element + 1) * width);
    let shown = bytes.and_then(|bytes| {
        Some(match tensor.element_type {
            ElementType::F32 => f32::from_le_bytes(bytes.try_into().ok()?).to_string(),
            ElementType::I64 => i64::from_le_bytes(bytes.try_into().ok()?).to_string(),
            ElementType::I32 => i32::from_le_bytes(bytes.try_into().ok()?).to_string(),
            ElementType::U8 => bytes.first()?.to_string(),
        })
    });
    shown.unwrap_or_else(|| "nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, values: &[i32]) -> Tensor {
        Tensor {
            name: name.to_owned(),
            element_type: ElementType::I32,
            shape: vec![values.len() as u32],
            data: values
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect::<Vec<_>>()
                .into(),
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let theirs = [tensor("tokens", &[1, 2, 3])];
        assert!(compare(&theirs, &theirs)[0].equal);
        let other = compare(&theirs, &[tensor("tokens", &[1, 7, 3])]);
        assert!(!other[0].equal);
        assert_eq!(
            other[0].detail,
            "differs first at element 1: 2 in the receipt, 7 here"
        );
        let shorter = compare(&theirs, &[tensor("tokens", &[1, 2])]);
        assert!(
            !shorter[0].equal && shorter[0].detail.contains("3 elements"),
            "{shorter:?}"
        );
        let renamed = compare(&theirs, &[tensor("words", &[1, 2, 3])]);
        assert_eq!(renamed.len(), 2);
        assert!(renamed.iter().all(|comparison| !comparison.equal));
    }
}
