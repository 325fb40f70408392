//! Tests of the conversion between tensors and JSON.

use super::*;
use proptest::prelude::*;

fn model(element_type: ElementType, shape: &[Option<u32>]) -> ModelDescription {
    ModelDescription {
        inputs: vec![TensorDescription {
            name: "x".to_owned(),
            element_type,
            shape: shape.to_vec(),
        }],
        outputs: Vec::new(),
    }
}

fn error(value: Value, element_type: ElementType, shape: &[Option<u32>]) -> String {
    tensors_from_json(&value, &model(element_type, shape))
        .unwrap_err()
        .to_string()
}

#[test]
fn both_forms_give_the_same_tensor() {
    let model = model(ElementType::F32, &[Some(2), Some(2)]);
    let nested = tensors_from_json(&json!({"x": [[1, 2.5], [-0.0, 1e-3]]}), &model).unwrap();
    let explicit = json!({"x": {"shape": [2, 2], "dtype": "f32", "data": [1, 2.5, -0.0, 1e-3]}});
    assert_eq!(nested, tensors_from_json(&explicit, &model).unwrap());
    let expected: Vec<u8> = [1.0f32, 2.5, -0.0, 1e-3]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    assert_eq!(nested[0].data, expected);
    assert_eq!(nested[0].shape, [2, 2]);
}

#[test]
fn a_scalar_and_an_empty_tensor_are_tensors() {
    let scalar = tensors_from_json(&json!({"x": 7}), &model(ElementType::U8, &[])).unwrap();
    assert_eq!((scalar[0].shape.len(), &scalar[0].data[..]), (0, &[7][..]));
    let empty = tensors_from_json(&json!({"x": []}), &model(ElementType::I64, &[None])).unwrap();
    assert_eq!((&empty[0].shape[..], empty[0].data.len()), (&[0][..], 0));
}

#[test]
fn each_fault_is_named() {
    let (f32, u8, i32) = (ElementType::F32, ElementType::U8, ElementType::I32);
    let one = &[Some(1)][..];
    let any = &[None, None][..];
    let cases = [
        (error(json!([1]), f32, one), "a JSON object"),
        (
            error(json!({"y": [1]}), f32, one),
            "no input \"y\"; it takes x",
        ),
        (error(json!({}), f32, one), "\"x\" is missing"),
        (
            error(json!({"x": [1, 2]}), f32, one),
            "shape [2]; the model takes [1]",
        ),
        (
            error(json!({"x": [[1], [1, 2]]}), f32, any),
            "not all of one shape",
        ),
        (
            error(json!({"x": [[1], 2]}), f32, any),
            "not all of one shape",
        ),
        (
            error(json!({"x": [1, [2]]}), f32, any),
            "not all of one shape",
        ),
        (
            error(json!({"x": ["1"]}), f32, one),
            "element 0 (\"1\") is not a number of type f32",
        ),
        (error(json!({"x": [null]}), f32, one), "element 0 (null)"),
        (
            error(json!({"x": [1e39]}), f32, one),
            "element 0 (1e+39) is not a number of type f32",
        ),
        (
            error(json!({"x": [256]}), u8, one),
            "element 0 (256) is not a number of type u8",
        ),
        (error(json!({"x": [1.5]}), u8, one), "element 0 (1.5)"),
        (error(json!({"x": [-1]}), u8, one), "element 0 (-1)"),
        (
            error(json!({"x": [2_147_483_648u32]}), i32, one),
            "not a number of type i32",
        ),
        (
            error(json!({"x": {"shape": [1]}}), f32, one),
            "missing field `dtype`",
        ),
        (
            error(
                json!({"x": {"shape": [1], "dtype": "u8", "data": [1]}}),
                f32,
                one,
            ),
            "elements of type u8; the model takes f32",
        ),
        (
            error(
                json!({"x": {"shape": [1], "dtype": "f32", "data": [1, 2]}}),
                f32,
                one,
            ),
            "8 bytes of data where its shape needs 4",
        ),
        (
            error(json!({"x": [[[[[[[[[1]]]]]]]]]}), f32, one),
            "too large: at most 8 dimensions",
        ),
    ];
    for (found, expected) in cases {
        assert!(
            found.contains(expected),
            "{found:?} does not say {expected:?}"
        );
    }
}

#[test]
fn not_a_number_has_no_json() {
    let tensor = Tensor {
        name: "x".to_owned(),
        element_type: ElementType::F32,
        shape: vec![1],
        data: f32::NAN.to_le_bytes().to_vec().into(),
    };
    let error = tensors_to_json(&[tensor]).unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");
}

proptest! {
    /// What is written is read back as the same bytes, whatever the type.
    #[test]
    fn written_tensors_read_back(
        code in 0..4u8,
        words in prop::collection::vec(any::<u64>(), 0..40),
    ) {
        let element_type = [ElementType::F32, ElementType::I64, ElementType::I32, ElementType::U8]
            [code as usize];
        let data: Vec<u8> = words
            .iter()
            .flat_map(|word| word.to_le_bytes()[..element_type.width_bytes()].to_vec())
            .collect();
        let tensor = Tensor {
            name: "x".to_owned(),
            element_type,
            shape: vec![1, words.len() as u32],
            data: data.into(),
        };
        prop_assume!(tensor.first_not_finite().is_none());
        let text = tensors_to_json(std::slice::from_ref(&tensor)).unwrap().to_string();
        let value: Value = serde_json::from_str(&text).unwrap();
        let read = tensors_from_json(&value, &model(element_type, &[Some(1), None])).unwrap();
        prop_assert_eq!(read, vec![tensor]);
    }

    /// Any JSON text of numbers and brackets is a tensor or an error, never a panic.
    #[test]
    fn any_json_is_judged(text in "[\\[\\]0-9,.e-]{0,40}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let _ = tensors_from_json(&json!({ "x": value }), &model(ElementType::F32, &[None, None]));
        }
    }
}
