//! Tests of the ONNX backend: what it answers, and what hostile files and inputs get.

use super::*;
use crate::convert::read;
use og_types::{ModelDescription, tensor_json};
use proptest::prelude::*;
use std::{fs, path::Path};

const DIGITS: &[u8] = include_bytes!("../../../../models/digits/digits.onnx");
const MODEL_DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/digits");

fn digits() -> OnnxFloat {
    OnnxFloat::load(DIGITS).unwrap()
}

/// A request's input from 64 values, 0 to 1.
fn image(pixels: impl Iterator<Item = f32>) -> Tensor {
    Tensor {
        name: "image".to_owned(),
        element_type: ElementType::F32,
        shape: vec![1, 1, 8, 8],
        data: pixels
            .flat_map(|pixel| pixel.to_le_bytes())
            .collect::<Vec<u8>>()
            .into(),
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    read(&tensor.data, f32::from_le_bytes)
}

/// The digit to which the model gives the highest probability.
fn answer(model: &OnnxFloat, image: Tensor) -> usize {
    let outputs = model.infer(&[image]).unwrap();
    let probabilities = floats(&outputs[0]);
    (0..10)
        .max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]))
        .unwrap()
}

#[test]
fn the_digits_model_is_what_its_card_says() {
    let described = serde_json::to_value(digits().describe()).unwrap();
    assert_eq!(
        described,
        serde_json::json!({
            "inputs": [{"name": "image", "dtype": "f32", "shape": [1, 1, 8, 8]}],
            "outputs": [{"name": "probabilities", "dtype": "f32", "shape": [1, 10]}],
        })
    );
    let card = fs::read_to_string(format!("{MODEL_DIRECTORY}/README.md")).unwrap();
    let id = og_crypto::model_id(DIGITS).to_string();
    assert!(
        card.contains(id.trim_start_matches("0x")),
        "the card's sha256 is not {id}"
    );
    assert!(card.contains(&format!("{} bytes", DIGITS.len())));
}

#[test]
fn the_digits_model_names_97_of_100_held_out_images() {
    let model = digits();
    let text = fs::read_to_string(format!("{MODEL_DIRECTORY}/held_out.csv")).unwrap();
    let (mut right, mut total) = (0, 0);
    for line in text.lines() {
        let values: Vec<u8> = line
            .split(',')
            .map(|value| value.parse().unwrap())
            .collect();
        let (label, pixels) = values.split_first().unwrap();
        assert_eq!(pixels.len(), 64);
        let image = image(pixels.iter().map(|pixel| f32::from(*pixel) / 16.0));
        right += usize::from(answer(&model, image) == usize::from(*label));
        total += 1;
    }
    assert_eq!(total, 450);
    assert!(right * 100 >= total * 97, "{right} of {total}");
    let card = fs::read_to_string(format!("{MODEL_DIRECTORY}/README.md")).unwrap();
    assert!(
        card.contains(&format!("{right} of {total}")),
        "the card does not say {right} of {total}"
    );
}

#[test]
fn the_example_images_are_held_out_images_and_are_named_rightly() {
    let model = digits();
    let examples = Path::new(MODEL_DIRECTORY).join("examples");
    let labels: std::collections::BTreeMap<String, u8> =
        serde_json::from_str(&fs::read_to_string(examples.join("labels.json")).unwrap()).unwrap();
    let held_out = fs::read_to_string(format!("{MODEL_DIRECTORY}/held_out.csv")).unwrap();
    assert_eq!(labels.len(), 20);
    for (name, label) in labels {
        let grey = image::open(examples.join(&name)).unwrap().into_luma8();
        assert_eq!(grey.dimensions(), (8, 8));
        let sixteenths: Vec<String> = grey
            .iter()
            .map(|grey| ((u16::from(*grey) * 16 + 127) / 255).to_string())
            .collect();
        let line = format!("{label},{}", sixteenths.join(","));
        assert!(held_out.lines().any(|held_out| held_out == line), "{name}");
        let image = image(grey.iter().map(|grey| f32::from(*grey) / 255.0));
        assert_eq!(answer(&model, image), usize::from(label), "{name}");
    }
}

#[test]
fn runs_repeat_bit_for_bit_on_one_machine_and_outputs_are_probabilities() {
    let model = digits();
    let input = image((0..64).map(|index| index as f32 / 64.0));
    let first = model.infer(std::slice::from_ref(&input)).unwrap();
    assert_eq!(first, digits().infer(&[input]).unwrap());
    assert_eq!(first[0].shape, [1, 10]);
    let sum: f32 = floats(&first[0]).iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    tensor_json::tensors_to_json(&first).unwrap();
}

#[test]
fn wrong_inputs_are_refused_with_what_is_expected() {
    let model = digits();
    let good = image((0..64).map(|_| 0.0));
    let error = |tensor: Tensor| model.infer(&[tensor]).unwrap_err().to_string();
    let named = Tensor {
        name: "img".to_owned(),
        ..good.clone()
    };
    assert_eq!(
        error(named),
        "the model has no input \"img\"; it takes image"
    );
    let shaped = Tensor {
        shape: vec![8, 8],
        ..good.clone()
    };
    assert_eq!(
        error(shaped),
        "input \"image\" has shape [8, 8]; the model takes [1, 1, 8, 8]"
    );
    let typed = Tensor {
        element_type: ElementType::I32,
        ..good.clone()
    };
    assert_eq!(
        error(typed),
        "input \"image\" has elements of type i32; the model takes f32"
    );
    let short = Tensor {
        data: vec![0; 255].into(),
        ..good
    };
    assert!(error(short).contains("255 bytes"));
    let nan = image((0..64).map(|index| if index == 9 { f32::NAN } else { 0.0 }));
    assert_eq!(
        error(nan),
        "input \"image\" is not a finite number at element 9"
    );
    assert!(
        model
            .infer(&[])
            .unwrap_err()
            .to_string()
            .contains("\"image\" is missing")
    );
}

/// A file whose one node makes a tensor of `extent` zeros out of nothing.
fn bomb(extent: i64) -> Vec<u8> {
    zeros_of_shape(pb::TensorProto {
        int64_data: vec![extent],
        ..Default::default()
    })
}

/// A file whose one node makes zeros of the shape that the tensor's data says.
fn zeros_of_shape(shape: pb::TensorProto) -> Vec<u8> {
    use pb::*;
    let shape = TensorProto {
        name: "shape".to_owned(),
        dims: vec![1],
        data_type: tensor_proto::DataType::Int64 as i32,
        ..shape
    };
    let node = NodeProto {
        name: "zeros".to_owned(),
        op_type: "ConstantOfShape".to_owned(),
        input: vec!["shape".to_owned()],
        output: vec!["zeros".to_owned()],
        attribute: vec![AttributeProto {
            name: "value".to_owned(),
            r#type: attribute_proto::AttributeType::Tensor as i32,
            t: Some(TensorProto {
                dims: vec![1],
                data_type: tensor_proto::DataType::Float as i32,
                float_data: vec![0.0],
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    let output = ValueInfoProto {
        name: "zeros".to_owned(),
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(GraphProto {
            node: vec![node],
            initializer: vec![shape],
            output: vec![output],
            ..Default::default()
        }),
        ..Default::default()
    };
    prost::Message::encode_to_vec(&model)
}

#[test]
fn a_model_whose_tensors_are_too_large_is_refused_or_its_answer_is() {
    let small = OnnxFloat::load(&bomb(1000)).unwrap();
    assert_eq!(small.infer(&[]).unwrap()[0].data.len(), 4000);
    let above_response = OnnxFloat::load(&bomb(2 << 20)).unwrap();
    assert_eq!(above_response.infer(&[]).unwrap_err(), RunError::TooLarge);
    let error = OnnxFloat::load(&bomb((MAX_INTERMEDIATE_BYTES / 4 + 1) as i64)).unwrap_err();
    assert!(
        matches!(error, LoadError::IntermediateTooLarge(_)),
        "{error}"
    );
}

/// A file that passes `x` of shape [n, m] through a ReLU, `n` and `m` being open.
fn open_shape() -> Vec<u8> {
    use pb::{tensor_shape_proto::dimension::Value as Extent, *};
    let dim = ["n", "m"].map(|name| tensor_shape_proto::Dimension {
        value: Some(Extent::DimParam(name.to_owned())),
        ..Default::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: tensor_proto::DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.to_vec() }),
    };
    let value = |name: &str| ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor.clone())),
            ..Default::default()
        }),
        ..Default::default()
    };
    let graph = GraphProto {
        node: vec![NodeProto {
            op_type: "Relu".to_owned(),
            input: vec!["x".to_owned()],
            output: vec!["y".to_owned()],
            ..Default::default()
        }],
        input: vec![value("x")],
        output: vec![value("y")],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        graph: Some(graph),
        ..Default::default()
    };
    prost::Message::encode_to_vec(&model)
}

#[test]
fn each_request_chooses_the_extents_that_a_model_leaves_open() {
    let model = OnnxFloat::load(&open_shape()).unwrap();
    assert_eq!(model.describe().inputs[0].shape, [None, None]);
    let tensor = |shape: [u32; 2], values: &[f32]| Tensor {
        name: "x".to_owned(),
        element_type: ElementType::F32,
        shape: shape.to_vec(),
        data: values
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect::<Vec<u8>>()
            .into(),
    };
    let outputs = model.infer(&[tensor([1, 3], &[-1.0, 0.0, 2.5])]).unwrap();
    assert_eq!(
        (outputs[0].name.as_str(), &outputs[0].shape[..]),
        ("y", &[1, 3][..])
    );
    assert_eq!(floats(&outputs[0]), [0.0, 0.0, 2.5]);
    assert_eq!(
        floats(&model.infer(&[tensor([2, 1], &[1.0, -1.0])]).unwrap()[0]),
        [1.0, 0.0]
    );
    // Nothing, spread over extents whose product is more than a machine can count.
    let _ = model.infer(&[tensor([0, u32::MAX], &[])]);
}

#[test]
fn weights_in_other_files_are_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let file = zeros_of_shape(pb::TensorProto {
        data_location: Some(pb::tensor_proto::DataLocation::External as i32),
        external_data: vec![pb::StringStringEntryProto {
            key: "location".to_owned(),
            value: path.to_owned(),
        }],
        ..Default::default()
    });
    let error = OnnxFloat::load(&file).unwrap_err().to_string();
    assert!(error.contains("external data"), "{error}");
}

#[test]
fn files_that_are_no_models_are_refused() {
    for file in [&b""[..], b"not a model", &[0xff; 1000], &[0x0a; 1000]] {
        OnnxFloat::load(file).unwrap_err();
    }
    for length in (0..DIGITS.len()).step_by(997) {
        OnnxFloat::load(&DIGITS[..length]).unwrap_err();
    }
}

#[test]
fn a_file_on_which_tract_panics_is_an_error_that_says_so() {
    // Names of attributes, without which `tract` reads past the ends of its lists.
    let panics = (100..130).filter(|position| {
        let mut file = DIGITS.to_vec();
        file[*position] ^= 0x20;
        let error = OnnxFloat::load(&file).err().map(|error| error.to_string());
        error.is_some_and(|error| error.contains("panicked: index out of bounds"))
    });
    assert!(panics.count() > 0);
}

/// Loads a file and, if that goes well, runs it on zeros. It must return.
fn try_out(file: &[u8]) {
    let Ok(model) = OnnxFloat::load(file) else {
        return;
    };
    let _ = model.infer(&zeros(model.describe()));
}

/// Inputs of zeros that fit the description, an open extent being 1.
fn zeros(model: &ModelDescription) -> Vec<Tensor> {
    let inputs = model.inputs.iter().map(|input| {
        let mut tensor = Tensor {
            name: input.name.clone(),
            element_type: input.element_type,
            shape: input
                .shape
                .iter()
                .map(|extent| extent.unwrap_or(1))
                .collect(),
            data: Default::default(),
        };
        let bytes = tensor.expected_bytes().unwrap_or(0).min(MAX_PAYLOAD_BYTES);
        tensor.data = vec![0; bytes].into();
        tensor
    });
    inputs.collect()
}

/// Bytes at both ends of the file, where the graph is; the weights are between them.
fn graph_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..1200usize, 1 => (DIGITS.len() - 200)..DIGITS.len(), 1 => 0..DIGITS.len()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_model_is_judged(
        flips in prop::collection::vec((graph_bytes(), 1..=255u8), 1..4),
    ) {
        let mut file = DIGITS.to_vec();
        for (position, mask) in flips {
            file[position] ^= mask;
        }
        try_out(&file);
    }

    #[test]
    fn random_bytes_are_judged(file in prop::collection::vec(any::<u8>(), 0..300)) {
        try_out(&file);
    }
}
