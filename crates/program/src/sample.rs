//! From logits to a token, by integers alone (`docs/spec/program.md`, section 5).

mod tables;
mod threshold;

use crate::numbers::{align, divide, shift};
use sha2::{Digest, Sha256};

/// How a token is chosen. Fractions are in units of 2^-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Logits are divided by it, in units of 2^-16; 0 takes the greatest logit.
    pub temperature: u32,
    /// Only tokens whose logit is not below the `top_k`th greatest; 0 for all.
    pub top_k: u32,
    /// Only the most likely tokens that together have this share of the probability, in units of 2^-16; 65536 or
    /// more for all.
    pub top_p: u32,
    /// Positive logits of tokens that were seen are divided by it, others multiplied, in units of 2^-16; 65536
    /// changes nothing. Taken as 1/256 if lower, as 256 if higher.
    pub repetition_penalty: u32,
    /// What chance is derived from, with the position.
    pub seed: u64,
}

impl Default for Sampling {
    /// The greatest logit, no penalty.
    fn default() -> Self {
        Self {
            temperature: 0,
            top_k: 0,
            top_p: ONE,
            repetition_penalty: ONE,
            seed: 0,
        }
    }
}

/// 1 in units of 2^-16.
pub const ONE: u32 = 1 << 16;
/// Mixed into the hash that chance is derived from.
pub const DOMAIN: &[u8] = b"_OG_SAMPLE_V1";
/// Scaled logits stay within ± this, in units of 2^-16.
const LOGIT_LIMIT: i64 = 1 << 32;

/// Which tokens may be chosen: bit `t % 32` of word `t / 32` is token `t`. Tokens beyond the last word may not.
#[derive(Clone, Copy, Debug)]
pub struct TokenMask<'a>(pub &'a [u32]);

impl TokenMask<'_> {
    /// Whether a token may be chosen.
    #[inline]
    pub fn allows(&self, token: usize) -> bool {
        let word = self.0.get(token / 32).copied().unwrap_or(0);
        word >> (token % 32) & 1 == 1
    }
}

/// A token, and how likely the model found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// See [`log_probability`].
    pub logprob: i32,
}

/// Chooses the token after `position` and says how likely it was: [`choose`] and [`log_probability`].
/// `None` if no token is allowed.
pub fn sample(
    logits: &[i16],
    exponent: i32,
    context: &[u32],
    sampling: &Sampling,
    position: u64,
    allowed: Option<TokenMask<'_>>,
) -> Option<Choice> {
    let token = choose(logits, exponent, context, sampling, position, allowed)?;
    let logprob = log_probability(logits, exponent, token);
    Some(Choice { token, logprob })
}

/// Chooses the token after `position` from logits `logits[t] · 2^exponent`. `context` holds the tokens that the penalty is
/// for, in any order and number. `None` if no token is allowed.
pub fn choose(
    logits: &[i16],
    exponent: i32,
    context: &[u32],
    sampling: &Sampling,
    position: u64,
    allowed: Option<TokenMask<'_>>,
) -> Option<u32> {
    let penalised = sampling.repetition_penalty != ONE && !context.is_empty();
    if sampling.temperature == 0 && !penalised && allowed.is_none() && (-16..=1).contains(&exponent)
    {
        // Most requests: the greatest logit as it stands. (Beyond, logits are rounded or clamped and may become equal.)
        let greatest = logits.iter().copied().max()?;
        return logits.iter().position(|m| *m == greatest).map(|t| t as u32);
    }
    let seen = if sampling.repetition_penalty == ONE {
        vec![]
    } else {
        ascending(context)
    };
    let candidates = || {
        let scaled = Scaled::new(logits, exponent, &seen, sampling.repetition_penalty);
        scaled.filter(|(token, _)| allowed.is_none_or(|mask| mask.allows(*token as usize)))
    };
    let greatest = candidates().map(|(_, x)| x).max()?;
    if sampling.temperature == 0 {
        let first = candidates().find(|(_, x)| *x == greatest);
        return first.map(|(token, _)| token);
    }
    let least = threshold::kth_greatest(candidates().map(|(_, x)| x), sampling.top_k as usize);
    // Those whose weight is 0 are never chosen and add nothing.
    let weights = candidates()
        .filter(|(_, x)| least.is_none_or(|least| *x >= least))
        .map(|(token, x)| (token, weight(x - greatest, sampling.temperature)))
        .filter(|(_, weight)| *weight > 0);
    let mut weights: Vec<(u32, u32)> = weights.collect();
    if sampling.top_p < ONE {
        let least = threshold::least_of_share(weights.iter().map(|(_, w)| *w), sampling.top_p);
        weights.retain(|(_, weight)| *weight >= least);
    }
    let total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mark = (u128::from(chance(sampling.seed, position)) * u128::from(total)) >> 28;
    let mut cumulative = 0;
    weights.iter().find_map(|(token, weight)| {
        cumulative += u128::from(*weight);
        (cumulative > mark).then_some(*token)
    })
}

/// Tokens in ascending order, each once.
fn ascending(context: &[u32]) -> Vec<u32> {
    let mut tokens = context.to_vec();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// Every token, ascending, with its logit in units of 2^-16, penalised if it was seen.
struct Scaled<'a> {
    logits: std::iter::Enumerate<std::slice::Iter<'a, i16>>,
    exponent: i32,
    /// Seen tokens that are not reached yet, ascending.
    seen: &'a [u32],
    penalty: i64,
}

impl<'a> Scaled<'a> {
    fn new(logits: &'a [i16], exponent: i32, seen: &'a [u32], penalty: u32) -> Self {
        Self {
            logits: logits.iter().enumerate(),
            exponent,
            seen,
            penalty: i64::from(penalty.clamp(ONE >> 8, ONE << 8)),
        }
    }
}

impl Iterator for Scaled<'_> {
    type Item = (u32, i64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (token, mantissa) = self.logits.next()?;
        let token = token as u32;
        let x = scale(*mantissa, self.exponent);
        let Some((_, rest)) = self.seen.split_first().filter(|(next, _)| **next == token) else {
            return Some((token, x));
        };
        self.seen = rest;
        let x = if x > 0 {
            divide(x << 16, self.penalty)
        } else {
            shift(x * self.penalty, 16)
        };
        Some((token, x))
    }
}

/// A logit in units of 2^-16.
#[inline]
fn scale(mantissa: i16, exponent: i32) -> i64 {
    if (-16..=1).contains(&exponent) {
        // The same, for all logits that there are in practice.
        return i64::from(mantissa) << (exponent + 16);
    }
    align(i64::from(mantissa), exponent, -16).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
}

/// The weight of a logit that is `difference ≤ 0` from the greatest, in units of 2^-24, at a temperature above 0.
#[inline]
fn weight(difference: i64, temperature: u32) -> u32 {
    let units = divide(-difference << 16, temperature.into());
    shift(tables::power(units), 38) as u32
}

/// 28 bits of chance for the token after `position`.
pub fn chance(seed: u64, position: u64) -> u32 {
    let hash = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(seed.to_be_bytes())
        .chain_update(position.to_be_bytes())
        .finalize();
    hash.first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes) >> 4)
}

/// The natural logarithm of the probability that the model gives to a token, in units of 2^-16: of the logits as they are, over
/// all tokens, without temperature, penalty or mask. `i32::MIN` for a token that there is not.
pub fn log_probability(logits: &[i16], exponent: i32, token: u32) -> i32 {
    let Some(mantissa) = logits.get(token as usize) else {
        return i32::MIN;
    };
    let greatest = logits.iter().copied().max().unwrap_or(0);
    let top = scale(greatest, exponent);
    let sum: i64 = logits
        .iter()
        .map(|m| shift(tables::power(top - scale(*m, exponent)), 31))
        .sum();
    let logprob = scale(*mantissa, exponent) - top - tables::logarithm(sum);
    logprob.clamp(i32::MIN.into(), 0) as i32
}

#[cfg(test)]
mod tests;
