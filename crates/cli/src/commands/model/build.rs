//! `og model build`: convert a model once into an integer program.

mod decoder;
mod embed;
mod exact_run;
mod network;
mod texts;

use crate::{
    failure::failure,
    output::{GOOD, Output, QUIET, WARN, paint},
};
use anyhow::Context as _;
use og_program::file::{Manifest, Writer};
use og_types::ModelId;
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// Convert a model into an integer program, and report how near it is to the original.
///
/// Takes an ONNX file (networks, recurrent networks, encoders, ensembles of trees), a GGUF file, or a Hugging Face directory with
/// safetensors (decoders of the llama, qwen2, qwen3, gemma3, gpt2 and phi3 families). The program gives the same bytes on
/// every machine; `og model add` hands it to a network. Of a decoder it makes a model that continues texts, or with --embed one
/// that gives a vector for each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og model build models/story/float --data models/story/held_out.jsonl --out story.og
  og model build tiny.gguf --out tiny.og --context 4096
  og model build Qwen3-Embedding-0.6B --embed --data texts.jsonl --out vectors.og
  og model build digits.onnx --data held_out.csv --out digits.og --report digits.json
  og model add digits.og --name mydigits

Data decides how wide numbers are, and what the report is about:
  text     .txt (paragraphs) or .jsonl (a line {\"text\": ...} or {\"messages\": [...]}); every other one
           calibrates, the others are compared with the original; with --embed messages are what they say
  tensors  .npz, .npy, .csv (a sample a line, perhaps after a label) or .bin (raw 32-bit floats)")]
pub(super) struct Build {
    /// An ONNX file, a GGUF file, or a Hugging Face directory.
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// The model file to write.
    #[arg(long, value_name = "FILE.og")]
    out: PathBuf,
    /// Data like those that the model is for.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Write the whole quality report as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Bits of the multipliers that groups of 32 weights share: more are more precise and, for long prompts, slower.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=8))]
    multiplier_bits: Option<u8>,
    /// Positions of a decoder's context; the model's own if left out.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=131_072))]
    context: Option<u32>,
    /// Make a model that embeds texts and does not continue them: from all tokens' rows (mean) or the last token's (last); as the
    /// source says, if neither is given.
    #[arg(long, value_name = "ROWS", num_args = 0..=1)]
    embed: Option<Option<embed::Rows>>,
    /// Extent of a dimension that an ONNX file leaves open, for example `sequence=128`; others become 1.
    #[arg(long, value_name = "NAME=N", value_parser = parse_extent)]
    extent: Vec<(String, u32)>,
}

/// A converted model.
struct Built {
    manifest: Manifest,
    matrices: Vec<Vec<u8>>,
    /// What a conversion says of its quality, whole.
    report: Value,
    /// The same for people, a line each; a line that warns is marked.
    summary: Vec<Line>,
}

/// A line of the summary.
#[derive(Clone, Debug, Serialize)]
struct Line {
    name: &'static str,
    text: String,
    #[serde(skip)]
    warns: bool,
}

impl Line {
    fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            text: text.into(),
            warns: false,
        }
    }

    fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            warns: true,
            ..Self::new(name, text)
        }
    }
}

#[derive(Serialize)]
struct Outcome {
    id: ModelId,
    file: PathBuf,
    file_bytes: u64,
    weight_bytes: usize,
    steps: usize,
    quality: Vec<Line>,
    report: Value,
}

fn parse_extent(text: &str) -> Result<(String, u32), String> {
    let wrong = || "must be NAME=N, for example sequence=128".to_owned();
    let (name, extent) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), extent.parse().map_err(|_| wrong())?))
}

impl Build {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let of = |extension: &str| {
            self.source
                .extension()
                .is_some_and(|found| found.eq_ignore_ascii_case(extension))
        };
        let built = if self.source.is_dir() {
            decoder::directory(&self, output)
        } else if of("gguf") {
            decoder::gguf(&self, output)
        } else if of("onnx") {
            network::onnx(&self, output)
        } else {
            return Err(failure(
                format!(
                    "{} is neither an ONNX file, nor a GGUF file, nor a directory",
                    self.source.display()
                ),
                "give FILE.onnx, FILE.gguf, or a Hugging Face directory with config.json and safetensors",
            ));
        }
        .with_context(|| format!("{} cannot be converted", self.source.display()))?;
        let id = write(&self.out, &built)?;
        if let Some(path) = &self.report {
            std::fs::write(path, serde_json::to_string_pretty(&built.report)?)
                .with_context(|| format!("cannot write the report {}", path.display()))?;
        }
        output.result(&Outcome {
            id,
            file_bytes: std::fs::metadata(&self.out)?.len(),
            file: self.out,
            weight_bytes: built.matrices.iter().map(Vec::len).sum(),
            steps: built.manifest.program.steps.len(),
            quality: built.summary,
            report: built.report,
        })
    }
}

/// A temporary file is its owner's alone; what it becomes is for others too, as far as their umask says.
fn readable_by_all<'a, 'b, 'c>(
    builder: &'c mut tempfile::Builder<'a, 'b>,
) -> &'c mut tempfile::Builder<'a, 'b> {
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder
}

/// Writes the model file, whole or not at all.
fn write(path: &Path, built: &Built) -> anyhow::Result<ModelId> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let cannot = || format!("cannot write {}", path.display());
    let file = readable_by_all(&mut tempfile::Builder::new())
        .tempfile_in(directory)
        .with_context(cannot)?;
    let mut out = BufWriter::new(file);
    let mut writer = Writer::new(&built.manifest, &mut out)?;
    for bytes in &built.matrices {
        writer.matrix(bytes)?;
    }
    let id = writer.finish()?;
    out.flush().with_context(cannot)?;
    let file = out.into_inner().with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(ModelId::from(id))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", paint(GOOD, "built"), self.file.display())?;
        writeln!(f, "  {:<12} {}", "id", self.id)?;
        writeln!(
            f,
            "  {:<12} {} bytes, {} of them weights; {} operations",
            "size", self.file_bytes, self.weight_bytes, self.steps
        )?;
        for Line { name, text, warns } in &self.quality {
            let text = if *warns {
                paint(WARN, text)
            } else {
                text.clone()
            };
            writeln!(f, "  {name:<12} {text}")?;
        }
        let next = format!("og model add {} --name NAME", self.file.display());
        write!(f, "  {}", paint(QUIET, next))
    }
}
