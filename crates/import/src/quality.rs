//! How near an integer program is to its float original: cosines, perplexities, saturation, and what to raise.

mod output;
mod run;
#[cfg(test)]
mod tests;

pub use output::OutputReport;
pub use run::{ExactRun, InterpreterRun, RunError};

use crate::{convert::Converted, decoder::FloatRun};
use og_program::{operation::Step, program::Program, value::Value};
use serde::{Deserialize, Serialize};

/// The least mean cosine of outputs that passes.
pub const LEAST_COSINE: f64 = 0.999;
/// The largest ratio of perplexities that passes.
pub const LARGEST_PERPLEXITY_RATIO: f64 = 1.01;
/// The largest share of clamped elements of a step that passes.
pub const LARGEST_SATURATION: f64 = 1e-3;

/// A conversion beside its float original, on texts that did not calibrate it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Positions compared.
    pub positions: u64,
    /// What the program gives.
    #[serde(flatten)]
    pub output: OutputReport,
    /// One less the mean cosine of the residual stream after the embedding and each layer.
    pub residual_errors: Vec<LayerError>,
    /// Steps whose elements were clamped, most first.
    pub saturation: Vec<Saturation>,
    /// Relative errors of weights, largest first, ten of them.
    pub weight_errors: Vec<LayerError>,
    /// Whether it passes.
    pub passes: bool,
    /// What it says in words, and what to raise if it does not pass.
    pub verdict: String,
}

/// An error with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// Of what.
    pub name: String,
    /// How large.
    pub error: f64,
}

/// How often elements of a step were clamped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saturation {
    /// The step.
    pub name: String,
    /// Elements clamped.
    pub clamped: u64,
    /// Elements in all.
    pub of: u64,
}

/// Runs the program over the evaluation texts, each from its beginning (`begin` gives a fresh run), and compares.
///
/// # Errors
/// [`RunError`] if the program cannot be run.
pub fn compare<'r>(
    converted: &Converted,
    q8_0: Option<&FloatRun>,
    begin: &mut dyn FnMut() -> Result<Box<dyn ExactRun + 'r>, RunError>,
) -> Result<Report, RunError> {
    let (program, float) = (&converted.program, &converted.float);
    let mut output = Vec::with_capacity(float.output.len());
    let mut clamped = vec![0; program.steps.len()];
    let mut residuals = vec![Mean::default(); converted.landmarks.residuals.len()];
    let mut first = 0;
    for text in &float.texts {
        let mut run = begin()?;
        run.extend(text)?;
        for position in 0..text.len() {
            let marks = converted.landmarks.residuals.iter().zip(&float.residuals);
            for ((step, floats), mean) in marks.zip(&mut residuals) {
                let exact = floats_of(program, *step, &run.value(*step, position)?);
                let floats = floats
                    .get((first + position) * exact.len()..)
                    .unwrap_or_default();
                mean.add(1.0 - cosine(&exact, floats.get(..exact.len()).unwrap_or_default()));
            }
            let step = converted.landmarks.output;
            output.extend(floats_of(program, step, &run.value(step, position)?));
        }
        for (sum, count) in clamped.iter_mut().zip(run.clamped()) {
            *sum += count;
        }
        first += text.len();
    }
    let width = program.steps[converted.landmarks.output as usize]
        .output
        .width as usize;
    let names = converted
        .landmarks
        .residuals
        .iter()
        .map(|step| program.steps[*step as usize].name.clone());
    let errors = names.zip(residuals).map(|(name, mean)| LayerError {
        name,
        error: mean.value(),
    });
    let mut report = Report {
        positions: first as u64,
        output: OutputReport::new(converted.purpose, (&output, float, q8_0), width),
        residual_errors: errors.collect(),
        saturation: saturation(program, &clamped, first as u64),
        weight_errors: weight_errors(&converted.matrix_errors),
        passes: false,
        verdict: String::new(),
    };
    judge(&mut report);
    Ok(report)
}

/// A running mean.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, x: f64) {
        self.sum += x;
        self.count += 1;
    }

    fn value(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / self.count as f64
        }
    }
}

/// The numbers that a step's value says.
fn floats_of(program: &Program, step: Step, value: &Value) -> Vec<f32> {
    let parts = program.steps[step as usize].output.parts();
    let width = value.mantissas().len() / parts.max(1);
    let part = value
        .mantissas()
        .chunks(width.max(1))
        .zip(value.exponents());
    part.flat_map(|(mantissas, exponent)| {
        let unit = 2_f64.powi(*exponent);
        mantissas.iter().map(move |m| (f64::from(*m) * unit) as f32)
    })
    .collect()
}

fn saturation(program: &Program, clamped: &[u64], positions: u64) -> Vec<Saturation> {
    let steps = program
        .steps
        .iter()
        .zip(clamped)
        .filter(|(_, clamped)| **clamped > 0);
    let mut saturation: Vec<Saturation> = steps
        .map(|(step, clamped)| Saturation {
            name: step.name.clone(),
            clamped: *clamped,
            of: step.output.elements() as u64 * positions,
        })
        .collect();
    saturation.sort_by_key(|step| std::cmp::Reverse(step.clamped));
    saturation
}

fn weight_errors(errors: &[(String, f64)]) -> Vec<LayerError> {
    let mut sorted: Vec<LayerError> = errors
        .iter()
        .map(|(name, error)| LayerError {
            name: name.clone(),
            error: *error,
        })
        .collect();
    sorted.sort_by(|a, b| b.error.total_cmp(&a.error));
    sorted.truncate(10);
    sorted
}

/// Fills in whether a report passes, and the words.
fn judge(report: &mut Report) {
    let saturated = report
        .saturation
        .iter()
        .find(|step| step.clamped as f64 > LARGEST_SATURATION * step.of as f64);
    report.passes = report.output.is_near() && saturated.is_none();
    let gains = report
        .residual_errors
        .windows(2)
        .map(|pair| (pair[1].error - pair[0].error, &pair[1].name));
    let worst = gains.max_by(|a, b| a.0.total_cmp(&b.0));
    let mut words = report.output.words();
    if let Some((gain, name)) = worst {
        words.push_str(&format!("; most is lost in {name} ({gain:.1e})"));
    }
    if let Some(step) = saturated {
        words.push_str(&format!(
            "; {} clamps {} of {} elements: calibrate on more text like this, or raise the headroom",
            step.name, step.clamped, step.of
        ));
    } else if !report.passes {
        let weights = report.weight_errors.first();
        words.push_str("; raise the bits of activations to 16 and of multipliers to 8");
        if let Some(weights) = weights {
            words.push_str(&format!(
                " ({} is {:.1e} from its floats)",
                weights.name, weights.error
            ));
        }
    }
    report.verdict = words;
}

/// Cosine of two vectors; 1 if both are zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 && bb == 0.0 {
        return 1.0;
    }
    dot(a, b) / (aa * bb).sqrt().max(f64::MIN_POSITIVE)
}
