//! ONNX files: networks, recurrent networks, encoders and ensembles of trees.

use super::{Build, Built, Line};
use crate::{commands::verify::read_bounded, failure::failure, output::Output};
use anyhow::Context as _;
use og_import::onnx::{Calibration, MAX_MODEL_BYTES, OnnxOptions, OnnxReport, convert};
use og_program::file::Manifest;

/// Longest data file that is read, in bytes.
const MAX_DATA_BYTES: u64 = 1024 * 1024 * 1024;

/// Converts an ONNX file.
pub(super) fn onnx(build: &Build, output: &Output) -> anyhow::Result<Built> {
    if build.embed.is_some() {
        return Err(failure(
            "models that embed texts are made of decoders, and an ONNX file does not say how text becomes tokens",
            "give a GGUF file or a Hugging Face directory, or leave out --embed",
        ));
    }
    let file = read_bounded(&build.source, MAX_MODEL_BYTES as u64)?;
    let data = match &build.data {
        Some(path) => {
            let name = path.file_name().context("the data file has no name")?;
            Some((
                name.to_string_lossy().into_owned(),
                read_bounded(path, MAX_DATA_BYTES)?,
            ))
        }
        None => None,
    };
    let mut options = OnnxOptions {
        extents: build.extent.iter().cloned().collect(),
        calibration: data
            .as_ref()
            .map(|(name, bytes)| Calibration { name, bytes }),
        ..OnnxOptions::default()
    };
    if let Some(bits) = build.multiplier_bits {
        options.quantisation.multiplier_bits = bits;
    }
    let progress = output.progress("converting");
    let converted = convert(&file, &options, &mut |done| {
        progress.set(format!("converting, {} of {}", done.done, done.of));
    })?;
    drop(progress);
    Ok(Built {
        manifest: Manifest {
            program: converted.program,
            text: None,
        },
        matrices: converted.matrices,
        report: serde_json::to_value(&converted.report)?,
        summary: summary(&converted.report),
    })
}

fn summary(report: &OnnxReport) -> Vec<Line> {
    let mut lines = vec![];
    for output in &report.outputs {
        let agreement = output.agreement.map_or_else(String::new, |share| {
            format!(", the same choice in {:.2} %", share * 100.0)
        });
        let text = format!(
            "{}: cosine {:.6} to the float original, largest error {:.2e}{agreement}",
            output.name, output.cosine, output.largest_error
        );
        lines.push(Line::new("output", text));
    }
    let clamped: u64 = report.layers.iter().map(|layer| layer.clamped).sum();
    let elements: u64 = report.layers.iter().map(|layer| layer.elements).sum();
    lines.push(Line::new(
        "clamped",
        format!(
            "{clamped} of {elements} elements, on {} samples",
            report.compared
        ),
    ));
    if report.generated {
        let advice = "ranges were measured on generated samples: give real ones with --data";
        lines.push(Line::warning("data", advice));
    }
    lines.extend(report.notes.iter().map(|note| Line::warning("note", note)));
    lines
}
