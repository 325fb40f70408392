//! From a float decoder to an integer program, layer by layer, with the original running beside.

use crate::{
    decoder::{Arithmetic, Builder, FloatRun, LayerSteps, Shadow, Source, SourceError},
    quantise::{Quantisation, QuantiseError},
    tensor::mixed,
};
use og_program::{check::ProgramError, operation::Step, program::Program};

/// Tokens that calibrate where no text is given.
const DEFAULT_CALIBRATION: u64 = 64;

/// Why a model cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Its configuration describes no decoder.
    #[error("configuration: {0}")]
    Configuration(String),
    /// A weight cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A matrix cannot be made.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// Scores of attention are beyond what a multiplier can say.
    #[error(
        "{name}: scores are too large or too small for their table; calibrate on text that the model was made for"
    )]
    Scores {
        /// The attention.
        name: String,
    },
    /// The result is no sound program.
    #[error("the program is refused: {0}; use fewer bits for activations, or a smaller context")]
    Program(#[from] ProgramError),
}

/// Bits of mantissas of rows between operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// The residual stream.
    pub residual: u8,
    /// What norms give to matrices.
    pub norm: u8,
    /// What attention gives to its output matrix.
    pub attention: u8,
    /// What gates give to the matrix back to the residual stream.
    pub gate: u8,
    /// Queries, keys and values, whose exponents are fixed for each head.
    pub cache: u8,
}

impl Default for Widths {
    fn default() -> Self {
        Self {
            residual: 16,
            norm: 14,
            attention: 14,
            gate: 14,
            cache: 12,
        }
    }
}

/// What a decoder is converted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To continue texts: the program gives `logits`.
    #[default]
    Continue,
    /// To embed texts: it gives `hidden`, the final norm's row of each position, and no matrix to logits is read.
    Embed,
}

/// How a decoder is converted.
#[derive(Clone, Debug)]
pub struct Options {
    /// What for.
    pub purpose: Purpose,
    /// Positions of the program, at most those of the model.
    pub positions: u32,
    /// Bits of activations.
    pub widths: Widths,
    /// How matrices are made.
    pub quantisation: Quantisation,
    /// Texts as tokens on which ranges are measured; 64 tokens spread over the vocabulary if empty.
    pub calibration: Vec<Vec<u32>>,
    /// Texts as tokens on which the float original's values are kept for a quality report; none if empty.
    pub evaluation: Vec<Vec<u32>>,
    /// How many times the measured range a fixed exponent holds, at least 1.
    pub headroom: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            purpose: Purpose::default(),
            positions: 1 << 17,
            widths: Widths::default(),
            quantisation: Quantisation::default(),
            calibration: vec![],
            evaluation: vec![],
            headroom: 1.25,
        }
    }
}

/// How far a conversion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Parts done: the embedding, each layer, the output.
    pub done: u32,
    /// Parts in all.
    pub of: u32,
}

/// Steps at which a program is compared with its original.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landmarks {
    /// The residual stream after the embedding and after each layer.
    pub residuals: Vec<Step>,
    /// The program's output: logits, or the final norm's rows.
    pub output: Step,
}

/// A converted decoder.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The program.
    pub program: Program,
    /// The bytes of each of its matrices.
    pub matrices: Vec<Vec<u8>>,
    /// What it is for.
    pub purpose: Purpose,
    /// Where to compare it.
    pub landmarks: Landmarks,
    /// What the original gives for the evaluation texts.
    pub float: FloatRun,
    /// Relative error of each matrix, with its name.
    pub matrix_errors: Vec<(String, f64)>,
}

/// Converts a decoder. Memory is about the result, a layer's activations and a few million floats.
///
/// # Errors
/// [`ConvertError`] names the configuration, tensor or step that is wrong.
pub fn convert(
    source: &dyn Source,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Converted, ConvertError> {
    let config = source.config();
    config.check().map_err(ConvertError::Configuration)?;
    let mut said = counted(config.layers.len() as u32 + 2, progress);
    let positions = options
        .positions
        .min(config.positions)
        .min(og_program::check::MAX_POSITIONS);
    let mut builder = Builder::new(positions, config.vocabulary, options.quantisation);
    let (mut float, mut landmarks) = (FloatRun::default(), Landmarks::default());
    let calibration = calibration_of(options, config.vocabulary);
    let threads = options.quantisation.threads;
    let mut shadow = Shadow::new(
        source,
        &calibration,
        &options.evaluation,
        Arithmetic::Float,
        threads,
    )?;
    let mut steps = LayerSteps {
        builder: &mut builder,
        source,
        widths: options.widths,
        headroom: options.headroom.max(1.0),
    };
    let mut keep = |shadow: &Shadow<'_>, step: Step| {
        landmarks.residuals.push(step);
        float.residuals.push(shadow.evaluated().to_vec());
    };
    let mut residual = steps.embedding()?;
    keep(&shadow, residual);
    said();
    for layer in 0..config.layers.len() as u32 {
        let ranges = shadow.layer(layer)?;
        residual = steps.layer(layer, residual, &ranges)?;
        keep(&shadow, residual);
        said();
    }
    float.texts = shadow.evaluation_texts();
    match options.purpose {
        Purpose::Continue => {
            let (range, logits) = shadow.logits()?;
            // The embedding was the first matrix.
            landmarks.output = steps.logits(residual, (range.greatest, &range.channels), 0)?;
            float.output = logits;
            builder.output("logits", landmarks.output);
        }
        Purpose::Embed => {
            landmarks.output = steps.hidden(residual)?;
            float.output = shadow.final_rows()?;
            builder.output("hidden", landmarks.output);
        }
    }
    said();
    builder.program.check()?;
    Ok(Converted {
        program: builder.program,
        matrices: builder.bytes,
        purpose: options.purpose,
        landmarks,
        float,
        matrix_errors: builder.errors,
    })
}

/// Runs the float original, or its Q8_0 form, on the evaluation texts.
///
/// # Errors
/// [`ConvertError`] if its configuration or a weight is wrong.
pub fn run_float(
    source: &dyn Source,
    options: &Options,
    arithmetic: Arithmetic,
) -> Result<FloatRun, ConvertError> {
    source
        .config()
        .check()
        .map_err(ConvertError::Configuration)?;
    let (texts, threads) = (&options.evaluation, options.quantisation.threads);
    let mut shadow = Shadow::new(source, &[], texts, arithmetic, threads)?;
    let mut residuals = vec![shadow.evaluated().to_vec()];
    for layer in 0..source.config().layers.len() as u32 {
        shadow.layer(layer)?;
        residuals.push(shadow.evaluated().to_vec());
    }
    let output = match options.purpose {
        Purpose::Continue => shadow.logits()?.1,
        Purpose::Embed => shadow.final_rows()?,
    };
    Ok(FloatRun {
        texts: shadow.evaluation_texts(),
        residuals,
        output,
    })
}

fn counted(of: u32, progress: &mut dyn FnMut(Progress)) -> impl FnMut() {
    let mut done = 0;
    move || {
        done += 1;
        progress(Progress { done, of });
    }
}

fn calibration_of(options: &Options, vocabulary: u32) -> Vec<Vec<u32>> {
    let given: Vec<Vec<u32>> = options
        .calibration
        .iter()
        .filter(|text| !text.is_empty())
        .cloned()
        .collect();
    if !given.is_empty() {
        return given;
    }
    vec![
        (0..DEFAULT_CALIBRATION)
            .map(|i| (mixed(i) % u64::from(vocabulary)) as u32)
            .collect(),
    ]
}
