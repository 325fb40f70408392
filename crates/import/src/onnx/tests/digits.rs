//! The built-in model: the program's accuracy beside that of the float original in `tract`, and its size.

use crate::onnx::{Calibration, OnnxOptions, convert, report, tensor::Tensor};
use std::path::PathBuf;
use tract_onnx::prelude::*;

fn digits(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/digits");
    std::fs::read(folder.join(name)).unwrap()
}

/// Labels and pictures of pixels from 0 to 1.
fn held_out() -> Vec<(usize, Vec<f32>)> {
    let text = String::from_utf8(digits("held_out.csv")).unwrap();
    let line = |line: &str| {
        let mut numbers = line
            .split(',')
            .map(|field| field.trim().parse::<f32>().unwrap());
        let label = numbers.next().unwrap() as usize;
        (label, numbers.map(|pixel| pixel / 16.0).collect())
    };
    text.lines().map(line).collect()
}

fn greatest(row: impl Iterator<Item = f64>) -> usize {
    let mut best = (f64::NEG_INFINITY, 0);
    for (index, x) in row.enumerate() {
        if x > best.0 {
            best = (x, index);
        }
    }
    best.1
}

#[test]
fn the_digits_are_named_as_well_as_by_the_float_model() {
    let (file, pictures) = (digits("digits.onnx"), held_out());
    let lines = pictures.iter().take(64).map(|(_, pixels)| {
        let fields: Vec<String> = pixels.iter().map(f32::to_string).collect();
        fields.join(",") + "\n"
    });
    let data = lines.collect::<String>();
    let calibration = Some(Calibration {
        name: "pictures.csv",
        bytes: data.as_bytes(),
    });
    let options = OnnxOptions {
        calibration,
        compared: 8,
        ..OnnxOptions::default()
    };
    let converted = convert(&file, &options, &mut |_| ()).unwrap();
    let (program, matrices) = (&converted.program, &converted.matrices);

    let plan = tract_onnx::onnx().model_for_read(&mut &file[..]).unwrap();
    let plan = plan.into_optimized().unwrap().into_runnable().unwrap();
    let (mut ours, mut theirs, mut same) = (0, 0, 0);
    for (label, pixels) in &pictures {
        let tensor = Tensor::float(vec![1, 1, 8, 8], pixels.clone()).unwrap();
        let value = report::encode(&program.inputs[0].form, &program.steps[0].output, &tensor);
        let run = report::interpret(program, matrices, vec![value]).unwrap();
        let step = program.outputs[0].step;
        let given = report::decode(&program.steps[step as usize].output, run.computed(step, 0));
        let own = greatest(given.into_iter());
        let input = tract_onnx::prelude::Tensor::from_shape(&[1, 1, 8, 8], pixels).unwrap();
        let float = plan.run(tvec!(input.into())).unwrap();
        let float = float[0].to_plain_array_view::<f32>().unwrap();
        let float = greatest(float.iter().map(|x| f64::from(*x)));
        ours += usize::from(own == *label);
        theirs += usize::from(float == *label);
        same += usize::from(own == float);
    }
    let percent = |count: usize| 100.0 * count as f64 / pictures.len() as f64;
    println!(
        "digits: program {:.2} %, float {:.2} %, the same answer {:.2} %, of {}",
        percent(ours),
        percent(theirs),
        percent(same),
        pictures.len()
    );
    assert!(percent(ours) >= percent(theirs) - 0.3);
}
