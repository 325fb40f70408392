//! Models of every family beside what onnxruntime computes with them (`tests/onnx/generate.py` made both).

mod digits;

use super::{calibrate, graph, *};
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/onnx")
        .join(name)
}

struct Case {
    name: &'static str,
    file: Vec<u8>,
    data: Vec<u8>,
}

fn case(name: &'static str) -> Case {
    let read = |ending: &str| std::fs::read(folder(&format!("{name}.{ending}"))).unwrap();
    Case {
        name,
        file: read("onnx"),
        data: read("npz"),
    }
}

impl Case {
    fn options(&self) -> OnnxOptions<'_> {
        OnnxOptions {
            calibration: Some(Calibration {
                name: "data.npz",
                bytes: &self.data,
            }),
            ..OnnxOptions::default()
        }
    }

    fn convert(&self) -> OnnxConverted {
        convert(&self.file, &self.options(), &mut |_| ())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What onnxruntime gave for an output: for each sample, floats.
    fn expected(&self, output: &str) -> Vec<f32> {
        let entries = calibrate::arrays(&self.data).unwrap();
        let (_, data) = entries
            .into_iter()
            .find(|(name, _)| name == output)
            .unwrap();
        tensor::Tensor {
            shape: vec![],
            data,
        }
        .to_floats()
    }

    /// What the program gives for an output, over all samples.
    fn computed(&self, converted: &OnnxConverted, output: &str) -> Vec<f64> {
        let program = &converted.program;
        let graph = graph::read(&self.file, &BTreeMap::new()).unwrap();
        let samples = calibrate::read("data.npz", &self.data, &graph).unwrap();
        let output = program.outputs.iter().find(|o| o.name == output).unwrap();
        let mut all = vec![];
        for sample in &samples {
            let inputs = program.inputs.iter().enumerate().map(|(place, input)| {
                let at = graph
                    .inputs
                    .iter()
                    .position(|i| graph.names[i.id] == input.name)
                    .unwrap();
                let step = program.steps.iter().find(|step| {
                    step.operation == og_program::operation::Operation::Input(place as u32)
                });
                report::encode(&input.form, &step.unwrap().output, &sample[at])
            });
            let run = report::interpret(program, &converted.matrices, inputs.collect()).unwrap();
            let of = &program.steps[output.step as usize].output;
            all.extend(report::decode(of, run.computed(output.step, 0)));
        }
        all
    }

    /// The cosine of an output's angle to onnxruntime's.
    fn cosine(&self, converted: &OnnxConverted, output: &str) -> f64 {
        let (ours, theirs) = (self.computed(converted, output), self.expected(output));
        assert_eq!(ours.len(), theirs.len(), "{}: {output}", self.name);
        let product: f64 = ours
            .iter()
            .zip(&theirs)
            .map(|(a, b)| a * f64::from(*b))
            .sum();
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
        let lengths =
            square(&mut ours.iter().copied()) * square(&mut theirs.iter().map(|x| f64::from(*x)));
        let cosine = product / lengths.sqrt();
        println!(
            "{} {output}: cosine {cosine:.6}, {} steps",
            self.name,
            converted.program.steps.len()
        );
        cosine
    }
}

fn near(name: &'static str, outputs: &[&str]) -> OnnxConverted {
    let case = case(name);
    let converted = case.convert();
    for output in outputs {
        let cosine = case.cosine(&converted, output);
        if cosine < 0.999 {
            for layer in &converted.report.layers {
                println!("{layer:?}");
            }
        }
        assert!(cosine >= 0.999, "{name} {output}: {cosine}");
    }
    converted
}

#[test]
fn a_perceptron() {
    near("mlp", &["y"]);
}

#[test]
fn a_convolutional_network_with_residuals_and_depthwise_kernels() {
    near("cnn", &["y"]);
}

#[test]
fn a_network_over_a_series() {
    near("series", &["y"]);
}

#[test]
fn recurrent_networks() {
    near("lstm", &["y", "mean"]);
    near("gru", &["y", "mean"]);
}

#[test]
fn an_encoder_with_masks() {
    near("bert", &["logits", "hidden"]);
}

#[test]
fn an_encoder_whose_normalizations_are_written_out() {
    let converted = near("encoder", &["y"]);
    let case = case("encoder");
    let classes = case.computed(&converted, "class");
    let expected: Vec<f64> = case
        .expected("class")
        .iter()
        .map(|x| f64::from(*x))
        .collect();
    assert_eq!(classes, expected);
}

fn equal(name: &'static str, output: &str) {
    let case = case(name);
    let computed = case.computed(&case.convert(), output);
    let expected: Vec<f64> = case
        .expected(output)
        .iter()
        .map(|x| f64::from(*x))
        .collect();
    assert_eq!(computed, expected, "{name} {output}");
}

/// The largest difference of an output, relative to the largest value.
fn difference(name: &'static str, output: &str) -> f64 {
    let case = case(name);
    let converted = case.convert();
    let (ours, theirs) = (case.computed(&converted, output), case.expected(output));
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs
        .iter()
        .fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
    let errors = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - f64::from(*b)).abs() / largest);
    let error = errors.fold(0.0, f64::max);
    println!("{name} {output}: largest error {error:.2e} of the largest value");
    error
}

#[test]
fn trees_whose_sums_floats_hold_are_equal() {
    equal("rules", "y");
}

#[test]
fn classes_of_trees_are_equal() {
    for name in ["forest", "forest_two", "boosted", "boosted_two"] {
        equal(name, "label");
        assert!(difference(name, "probabilities") < 1e-3);
    }
}

#[test]
fn numbers_of_trees_are_as_near_as_16_bits_are() {
    for name in ["forest_number", "boosted_number"] {
        assert!(difference(name, "variable") < 4e-5);
    }
}

#[test]
fn without_data_samples_are_generated_and_the_report_says_so() {
    for name in ["cnn", "bert", "lstm", "rules"] {
        let case = case(name);
        let converted = convert(&case.file, &OnnxOptions::default(), &mut |_| ()).unwrap();
        assert!(converted.report.generated && converted.report.compared > 0);
        for output in &converted.report.outputs {
            println!("{name} {output:?}");
            assert!(output.cosine > 0.999, "{name}: {output:?}");
        }
    }
}

#[test]
fn precise_weights_leave_a_tenth_of_the_error() {
    for name in ["bert", "cnn", "gru"] {
        let case = case(name);
        let error = |precise: bool| {
            let converted = convert(
                &case.file,
                &OnnxOptions {
                    precise,
                    ..case.options()
                },
                &mut |_| (),
            )
            .unwrap();
            converted.report.layers.last().unwrap().relative_error
        };
        let (plain, precise) = (error(false), error(true));
        println!("{name}: relative error {plain:.2e}, with precise weights {precise:.2e}");
        assert!(precise < plain / 4.0);
    }
}

/// Bytes of a file changed at random places, and its beginnings: an error or a program, never a panic that escapes.
#[test]
fn damaged_files_are_errors_or_programs() {
    let options = OnnxOptions {
        max_multiplications: 1 << 22,
        compared: 1,
        ..OnnxOptions::default()
    };
    let (mut refused, mut contained) = (0, vec![]);
    for name in [
        "mlp",
        "cnn",
        "series",
        "lstm",
        "encoder",
        "rules",
        "forest_two",
    ] {
        let file = case(name).file;
        for round in 0..40_u64 {
            let noise = |index: u64| calibrate::mixed(round << 8 | index);
            let mut file = file.clone();
            if round % 4 == 0 {
                file.truncate((noise(0) % file.len() as u64) as usize);
            }
            for index in 0..1 + round % 3 {
                let at = (noise(2 * index + 1) % file.len().max(1) as u64) as usize;
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= 1 << (noise(2 * index + 2) % 8);
                }
            }
            match convert(&file, &options, &mut |_| ()) {
                Ok(_) => {}
                Err(OnnxError::Unusable(reason)) => {
                    contained.push(format!("{name} {round}: {reason}"))
                }
                Err(_) => refused += 1,
            }
        }
    }
    println!("{refused} refused; contained: {contained:#?}");
    assert!(refused > 40);
    assert!(contained.is_empty(), "{contained:#?}");
}

#[test]
fn errors_name_the_node_and_what_to_do() {
    let mut file = case("mlp").file;
    for at in 0..file.len() - 4 {
        if &file[at..at + 4] == b"Tanh" {
            file[at..at + 4].copy_from_slice(b"TopK");
        }
    }
    let error = convert(&file, &OnnxOptions::default(), &mut |_| ()).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("TopK cannot be converted") && said.contains("do the rest outside"),
        "{said}"
    );
    let error = convert(b"no model", &OnnxOptions::default(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, OnnxError::NotOnnx(_)), "{error}");
    let calibration = Some(Calibration {
        name: "data.csv",
        bytes: b"1, 2, 3\n",
    });
    let options = OnnxOptions {
        calibration,
        ..OnnxOptions::default()
    };
    let error = convert(&case("mlp").file, &options, &mut |_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("line 1 has 3 numbers, and the model takes 12"),
        "{error}"
    );
}
