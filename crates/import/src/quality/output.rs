//! How near what a program gives is to what its float original gives: logits, or rows that texts' vectors are made of.

use super::{LARGEST_PERPLEXITY_RATIO, LEAST_COSINE, Mean, cosine};
use crate::{convert::Purpose, decoder::FloatRun};
use serde::{Deserialize, Serialize};

/// A program's output beside its float original's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OutputReport {
    /// Of a program that continues texts.
    Logits {
        /// Mean cosine of logits.
        logits_cosine: f64,
        /// The least cosine of logits of a position.
        worst_logits_cosine: f64,
        /// Share of positions where the most likely token is the same.
        same_choice: f64,
        /// Perplexity of the float original.
        float_perplexity: f64,
        /// Perplexity of the program.
        exact_perplexity: f64,
        /// Mean cosine of logits of a run as llama.cpp does it with Q8_0, if it was run.
        q8_0_logits_cosine: Option<f64>,
    },
    /// Of a program that embeds texts.
    Rows {
        /// Mean cosine of the final norm's rows.
        rows_cosine: f64,
        /// The least cosine of a position's row.
        worst_rows_cosine: f64,
        /// Mean cosine of rows of a run as llama.cpp does it with Q8_0, if it was run.
        q8_0_rows_cosine: Option<f64>,
    },
}

impl OutputReport {
    /// Compares `exact` with `float`, and `q8_0` with it, of `width` numbers at each position.
    pub(super) fn new(
        purpose: Purpose,
        (exact, float, q8_0): (&[f32], &FloatRun, Option<&FloatRun>),
        width: usize,
    ) -> Self {
        let (cosine, worst) = cosines(exact, &float.output, width);
        let q8_0 = q8_0.map(|run| cosines(&run.output, &float.output, width).0);
        if purpose == Purpose::Embed {
            return Self::Rows {
                rows_cosine: cosine,
                worst_rows_cosine: worst,
                q8_0_rows_cosine: q8_0,
            };
        }
        let mut same = Mean::default();
        let (mut float_loss, mut exact_loss) = (Mean::default(), Mean::default());
        let rows = exact.chunks(width).zip(float.output.chunks(width));
        let texts = float.texts.iter();
        let next = texts.flat_map(|text| (1..=text.len()).map(|position| text.get(position)));
        for ((exact, float), next) in rows.zip(next) {
            let is_same = greatest(exact) == greatest(float);
            same.add(if is_same { 1.0 } else { 0.0 });
            if let Some(next) = next {
                float_loss.add(loss(float, *next as usize));
                exact_loss.add(loss(exact, *next as usize));
            }
        }
        Self::Logits {
            logits_cosine: cosine,
            worst_logits_cosine: worst,
            same_choice: same.value(),
            float_perplexity: float_loss.value().exp(),
            exact_perplexity: exact_loss.value().exp(),
            q8_0_logits_cosine: q8_0,
        }
    }

    /// Mean cosine to the float original.
    pub const fn cosine(&self) -> f64 {
        match self {
            Self::Logits { logits_cosine, .. } => *logits_cosine,
            Self::Rows { rows_cosine, .. } => *rows_cosine,
        }
    }

    /// Mean cosine of a run with Q8_0, if it was run.
    pub const fn q8_0_cosine(&self) -> Option<f64> {
        match self {
            Self::Logits {
                q8_0_logits_cosine: cosine,
                ..
            }
            | Self::Rows {
                q8_0_rows_cosine: cosine,
                ..
            } => *cosine,
        }
    }

    /// Perplexity as a share of the float original's, of logits.
    fn perplexity_ratio(&self) -> Option<f64> {
        match self {
            Self::Logits {
                float_perplexity,
                exact_perplexity,
                ..
            } => Some(exact_perplexity / float_perplexity),
            Self::Rows { .. } => None,
        }
    }

    /// Whether it is near enough to pass.
    pub(super) fn is_near(&self) -> bool {
        let ratio = self.perplexity_ratio();
        self.cosine() >= LEAST_COSINE && ratio.is_none_or(|ratio| ratio <= LARGEST_PERPLEXITY_RATIO)
    }

    /// How near it is, in words.
    pub(super) fn words(&self) -> String {
        let distance = 1.0 - self.cosine();
        match self.perplexity_ratio() {
            Some(ratio) => format!(
                "logits are {distance:.2e} from the float original (1 - cosine), perplexity is {ratio:.4} of its"
            ),
            None => format!("rows are {distance:.2e} from the float original (1 - cosine)"),
        }
    }
}

/// The mean and the least cosine of rows of `width` numbers.
fn cosines(exact: &[f32], float: &[f32], width: usize) -> (f64, f64) {
    let (mut mean, mut worst) = (Mean::default(), 1.0_f64);
    for (exact, float) in exact.chunks(width).zip(float.chunks(width)) {
        let cosine = cosine(exact, float);
        worst = worst.min(cosine);
        mean.add(cosine);
    }
    (mean.value(), worst)
}

fn greatest(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)))
}

/// The negative logarithm of a token's probability.
pub(super) fn loss(logits: &[f32], token: usize) -> f64 {
    let most = logits
        .iter()
        .fold(f32::NEG_INFINITY, |most, x| most.max(*x));
    let sum: f64 = logits.iter().map(|x| f64::from(x - most).exp()).sum();
    sum.ln() - f64::from(logits.get(token).copied().unwrap_or(most) - most)
}
