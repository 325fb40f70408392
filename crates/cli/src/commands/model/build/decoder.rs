//! Decoder transformers: from GGUF files and Hugging Face directories.

use super::{Build, Built, Line, exact_run::EngineRun, texts::Texts};
use crate::output::Output;
use og_engine::{
    RunSettings,
    exact::{Model, Ready},
};
use og_import::{
    checkpoint::Checkpoint,
    convert::{Converted, Options, convert, run_float},
    decoder::{Arithmetic, Source},
    gguf::{Gguf, GgufDecoder},
    mapped::Mapped,
    quality::{Report, RunError, compare},
};
use og_program::file::{Manifest, TextAssets};
use std::{collections::BTreeMap, sync::Arc};

/// A Hugging Face directory.
pub(super) fn directory(build: &Build, output: &Output) -> anyhow::Result<Built> {
    let checkpoint = Checkpoint::open(&build.source)?;
    let decoder = checkpoint.decoder(build.context.unwrap_or(0))?;
    let assets = og_text::Assets::from_directory(&build.source)?;
    let text = TextAssets {
        tokenizer: assets.tokenizer,
        chat_template: assets.chat_template,
        begin: assets.begin,
        ends: assets.ends,
        special: assets.special,
    };
    built(build, &decoder, text, output)
}

/// A GGUF file.
pub(super) fn gguf(build: &Build, output: &Output) -> anyhow::Result<Built> {
    let mapped = Mapped::open(&build.source)?;
    let gguf = Gguf::read(&mapped)?;
    let decoder = GgufDecoder::new(&gguf, build.context.unwrap_or(0))?;
    let vocabulary = gguf.vocabulary();
    let spelling = |id: Option<u32>| vocabulary.tokens.get(id? as usize).cloned();
    let special = [
        ("bos_token", spelling(vocabulary.bos)),
        ("eos_token", spelling(vocabulary.eos)),
    ];
    let text = TextAssets {
        tokenizer: vocabulary.to_tokenizer_json()?,
        chat_template: gguf.chat_template(),
        begin: vocabulary.begin(),
        ends: vocabulary.ends(),
        special: special
            .into_iter()
            .filter_map(|(name, token)| Some((name.to_owned(), token?)))
            .collect::<BTreeMap<_, _>>(),
    };
    built(build, &decoder, text, output)
}

fn built(
    build: &Build,
    source: &dyn Source,
    text: TextAssets,
    output: &Output,
) -> anyhow::Result<Built> {
    let own = source.config().positions;
    let context = build.context.map_or(own, |context| context.min(own));
    let texts = match &build.data {
        Some(path) => Texts::read(path, &text, context)?,
        None => Texts::default(),
    };
    let mut options = Options {
        positions: context,
        calibration: texts.calibration,
        evaluation: texts.evaluation,
        ..Options::default()
    };
    if let Some(bits) = build.multiplier_bits {
        options.quantisation.multiplier_bits = bits;
    }
    let layers = source.config().layers.len() as u64 + 2;
    let progress = output.progress_of(layers, "converting layer by layer");
    let mut converted = convert(source, &options, &mut |_| progress.advance())?;
    drop(progress);
    let manifest = Manifest {
        program: converted.program.clone(),
        text: Some(text),
    };
    let (report, summary) = if options.evaluation.is_empty() {
        let advice = "not compared with the original: give texts with --data";
        (
            serde_json::Value::Null,
            vec![Line::warning("quality", advice)],
        )
    } else {
        let progress = output.progress("comparing with the original");
        let report = quality(source, &options, &converted, &manifest)?;
        drop(progress);
        (serde_json::to_value(&report)?, summary(&report))
    };
    Ok(Built {
        manifest,
        matrices: std::mem::take(&mut converted.matrices),
        report,
        summary,
    })
}

/// The program, run by the engine, beside its float original, and beside what 8-bit weights and activations would give.
fn quality(
    source: &dyn Source,
    options: &Options,
    converted: &Converted,
    manifest: &Manifest,
) -> anyhow::Result<Report> {
    let settings = RunSettings::default();
    let threads = options.quantisation.threads;
    let q8_0 = run_float(source, &options.evaluation, Arithmetic::Q8_0, threads)?;
    let model = Model::from_parts(manifest.clone(), &converted.matrices)?;
    let ready = Arc::new(Ready::new(Arc::new(model), settings.kernels()?)?);
    let landmarks = &converted.landmarks;
    let steps = landmarks.residuals.iter().chain([&landmarks.logits]);
    let steps = steps.copied().collect();
    let mut begin = || -> Result<Box<dyn og_import::quality::ExactRun + '_>, RunError> {
        Ok(Box::new(EngineRun::new(ready.clone(), threads, &steps)))
    };
    Ok(compare(converted, Some(&q8_0), &mut begin)?)
}

fn summary(report: &Report) -> Vec<Line> {
    let mut lines = vec![
        Line::new(
            "logits",
            format!(
                "cosine {:.6} to the float original over {} positions (worst {:.6})",
                report.logits_cosine, report.positions, report.worst_logits_cosine
            ),
        ),
        Line::new(
            "perplexity",
            format!(
                "{:.4}, the original's is {:.4}",
                report.exact_perplexity, report.float_perplexity
            ),
        ),
        Line::new(
            "same choice",
            format!("at {:.2} % of positions", report.same_choice * 100.0),
        ),
    ];
    if let Some(cosine) = report.q8_0_logits_cosine {
        let text = format!("8-bit weights and activations (Q8_0) would give cosine {cosine:.6}");
        lines.push(Line::new("beside", text));
    }
    lines.push(if report.passes {
        Line::new("verdict", &report.verdict)
    } else {
        Line::warning("verdict", &report.verdict)
    });
    lines
}
