//! Rotary position embeddings: the angle of one position for each pair, with everything that stretches them.

use std::f64::consts::PI;

/// Elements of a head that are rotated, at most: each layer holds its own angles.
pub const MAX_ROTATED: u32 = 4096;

/// How pairs of a head's elements are turned.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Pairs are (i, i + pairs) if true, (2i, 2i + 1) if not.
    pub halves: bool,
    /// Radians of one position for each pair.
    pub frequencies: Vec<f64>,
    /// What sines and cosines are multiplied by.
    pub factor: f64,
}

/// How angles are stretched for longer texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// All divided by a factor.
    Linear(f64),
    /// Llama 3: slow pairs are divided, fast ones are not, those between are blended.
    Llama3 {
        /// What slow pairs are divided by.
        factor: f64,
        /// Turns in the original context below which a pair is slow.
        low: f64,
        /// Turns above which it is fast.
        high: f64,
        /// Positions of the original context.
        original: f64,
    },
    /// YaRN: blended over pairs by how often they turn in the original context.
    Yarn {
        /// What slow pairs are divided by.
        factor: f64,
        /// Turns above which a pair is not stretched.
        fast: f64,
        /// Turns below which it is stretched wholly.
        slow: f64,
        /// Positions of the original context.
        original: f64,
        /// What sines and cosines are multiplied by; `0.1 · ln(factor) + 1` if `None`.
        attention: Option<f64>,
    },
    /// Each pair divided by a factor of its own (long rotary, or precomputed).
    Each {
        /// One factor for each pair.
        divisors: Vec<f64>,
        /// What sines and cosines are multiplied by.
        attention: f64,
    },
}

impl Rotary {
    /// The angles of `width / 2` pairs that fall with `base`, stretched.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn new(
        halves: bool,
        width: u32,
        base: f64,
        scaling: Option<&Scaling>,
    ) -> Result<Self, String> {
        if !width.is_multiple_of(2) || width == 0 || width > MAX_ROTATED {
            return Err(format!(
                "{width} elements of a head cannot be rotated in pairs; an even number up to {MAX_ROTATED} can"
            ));
        }
        if !(base.is_finite() && base > 1.0) {
            return Err(format!(
                "the base of rotary embeddings is {base}, and must be more than 1"
            ));
        }
        let pairs = width / 2;
        let mut frequencies: Vec<f64> = (0..pairs)
            .map(|pair| base.powf(-f64::from(2 * pair) / f64::from(width)))
            .collect();
        let factor = match scaling {
            None => 1.0,
            Some(scaling) => stretch(&mut frequencies, width, base, scaling)?,
        };
        if frequencies
            .iter()
            .chain([&factor])
            .any(|x| !x.is_finite() || *x < 0.0)
            || !(0.1..=1.9).contains(&factor)
        {
            return Err("the scaling of rotary embeddings gives no sensible angles".to_owned());
        }
        Ok(Self {
            halves,
            frequencies,
            factor,
        })
    }
}

/// Stretches angles; gives what sines are multiplied by.
fn stretch(
    frequencies: &mut [f64],
    width: u32,
    base: f64,
    scaling: &Scaling,
) -> Result<f64, String> {
    match scaling {
        Scaling::Linear(factor) => {
            for frequency in frequencies {
                *frequency /= factor;
            }
            Ok(1.0)
        }
        Scaling::Llama3 {
            factor,
            low,
            high,
            original,
        } => {
            for frequency in frequencies {
                let turns = original * *frequency / (2.0 * PI);
                let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                *frequency = (1.0 - smooth) * *frequency / factor + smooth * *frequency;
            }
            Ok(1.0)
        }
        Scaling::Yarn {
            factor,
            fast,
            slow,
            original,
            attention,
        } => {
            let place = |turns: f64| {
                f64::from(width) * (original / (turns * 2.0 * PI)).ln() / (2.0 * base.ln())
            };
            let low = place(*fast).floor().max(0.0);
            let high = place(*slow).ceil().min(f64::from(width) - 1.0);
            let high = if low == high { high + 0.001 } else { high };
            for (pair, frequency) in frequencies.iter_mut().enumerate() {
                let stretched = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                *frequency = *frequency / factor * stretched + *frequency * (1.0 - stretched);
            }
            let usual = if *factor <= 1.0 {
                1.0
            } else {
                0.1 * factor.ln() + 1.0
            };
            Ok(attention.unwrap_or(usual))
        }
        Scaling::Each {
            divisors,
            attention,
        } => {
            if divisors.len() != frequencies.len() {
                return Err(format!(
                    "{} factors of rotary embeddings for {} pairs",
                    divisors.len(),
                    frequencies.len()
                ));
            }
            for (frequency, divisor) in frequencies.iter_mut().zip(divisors) {
                *frequency /= divisor;
            }
            Ok(*attention)
        }
    }
}
