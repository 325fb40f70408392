//! Decoder transformers: from GGUF files and Hugging Face directories.

use super::{Build, Built, Line, embed::choose, exact_run::EngineRun, texts::Texts};
use crate::output::Output;
use og_engine::{
    RunSettings,
    exact::{Model, Ready},
};
use og_import::{
    checkpoint::Checkpoint,
    convert::{Converted, Options, Purpose, convert, run_float},
    decoder::{Arithmetic, Source},
    gguf::{Gguf, GgufDecoder},
    mapped::Mapped,
    quality::{OutputReport, Report, RunError, compare},
};
use og_program::file::{Manifest, TextAssets};
use std::{collections::BTreeMap, sync::Arc};

/// A Hugging Face directory.
pub(super) fn directory(build: &Build, output: &Output) -> anyhow::Result<Built> {
    let checkpoint = Checkpoint::open(&build.source)?;
    let decoder = checkpoint.decoder(build.context.unwrap_or(0))?;
    let assets = og_text::Assets::from_directory(&build.source)?;
    let mut text = TextAssets {
        tokenizer: assets.tokenizer,
        chat_template: assets.chat_template,
        begin: assets.begin,
        ends: assets.ends,
        special: assets.special,
        pooling: None,
    };
    let embeds = choose(build, checkpoint.pooling().map_err(Into::into), &mut text)?;
    built(build, &decoder, (text, embeds), output)
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
    let mut text = TextAssets {
        tokenizer: vocabulary.to_tokenizer_json()?,
        chat_template: gguf.chat_template(),
        begin: vocabulary.begin(),
        ends: vocabulary.ends(),
        special: special
            .into_iter()
            .filter_map(|(name, token)| Some((name.to_owned(), token?)))
            .collect::<BTreeMap<_, _>>(),
        pooling: None,
    };
    let embeds = choose(build, gguf.pooling().map_err(Into::into), &mut text)?;
    built(build, &decoder, (text, embeds), output)
}

fn built(
    build: &Build,
    source: &dyn Source,
    (text, embeds): (TextAssets, Option<Line>),
    output: &Output,
) -> anyhow::Result<Built> {
    let own = source.config().positions;
    let context = build.context.map_or(own, |context| context.min(own));
    let texts = match &build.data {
        Some(path) => Texts::read(path, &text, context)?,
        None => Texts::default(),
    };
    let mut options = Options {
        purpose: match text.pooling {
            Some(_) => Purpose::Embed,
            None => Purpose::Continue,
        },
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
    let (report, quality) = if options.evaluation.is_empty() {
        let advice = "not compared with the original: give texts with --data";
        (
            serde_json::Value::Null,
            vec![Line::warning("quality", advice)],
        )
    } else {
        let progress = output.progress("comparing with the original");
        let report = measured(source, &options, &converted, &manifest)?;
        drop(progress);
        (serde_json::to_value(&report)?, summary(&report))
    };
    Ok(Built {
        manifest,
        matrices: std::mem::take(&mut converted.matrices),
        report,
        summary: embeds.into_iter().chain(quality).collect(),
    })
}

/// The program, run by the engine, beside its float original, and beside what 8-bit weights and activations would give.
fn measured(
    source: &dyn Source,
    options: &Options,
    converted: &Converted,
    manifest: &Manifest,
) -> anyhow::Result<Report> {
    let settings = RunSettings::default();
    let threads = options.quantisation.threads;
    let q8_0 = run_float(source, options, Arithmetic::Q8_0)?;
    let model = Model::from_parts(manifest.clone(), &converted.matrices)?;
    let ready = Arc::new(Ready::new(Arc::new(model), settings.kernels()?)?);
    let landmarks = &converted.landmarks;
    let steps = landmarks.residuals.iter().chain([&landmarks.output]);
    let steps = steps.copied().collect();
    let mut begin = || -> Result<Box<dyn og_import::quality::ExactRun + '_>, RunError> {
        Ok(Box::new(EngineRun::new(ready.clone(), threads, &steps)))
    };
    Ok(compare(converted, Some(&q8_0), &mut begin)?)
}

fn summary(report: &Report) -> Vec<Line> {
    let near = |worst: f64| {
        format!(
            "cosine {:.6} to the float original over {} positions (worst {worst:.6})",
            report.output.cosine(),
            report.positions
        )
    };
    let mut lines = match &report.output {
        OutputReport::Logits {
            worst_logits_cosine,
            same_choice,
            float_perplexity,
            exact_perplexity,
            ..
        } => vec![
            Line::new("logits", near(*worst_logits_cosine)),
            Line::new(
                "perplexity",
                format!("{exact_perplexity:.4}, the original's is {float_perplexity:.4}"),
            ),
            Line::new(
                "same choice",
                format!("at {:.2} % of positions", same_choice * 100.0),
            ),
        ],
        OutputReport::Rows {
            worst_rows_cosine, ..
        } => vec![Line::new("rows", near(*worst_rows_cosine))],
    };
    if let Some(cosine) = report.output.q8_0_cosine() {
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
