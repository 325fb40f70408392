//! From logits to a token, by integers alone (`docs/spec/program.md`, section 5).

mod tables;
mod threshold;

use crate::numbers::{align, divide, shift};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;

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
    /// What the logit of a token loses for each time that it is in the answer, in units of 2^-16. Taken within
    /// ± [`PENALTY_LIMIT`].
    pub frequency_penalty: i32,
    /// What the logit of a token loses if it is in the answer, in units of 2^-16. Taken within ± [`PENALTY_LIMIT`].
    pub presence_penalty: i32,
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
            frequency_penalty: 0,
            presence_penalty: 0,
            seed: 0,
        }
    }
}

/// 1 in units of 2^-16.
pub const ONE: u32 = 1 << 16;
/// Two, in units of 2^-16: frequency and presence penalties are at most so great.
pub const PENALTY_LIMIT: i32 = 2 << 16;
/// Times that a token counts as being in an answer, at most.
const MOST_TIMES: usize = 1 << 17;
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

/// The tokens that penalties are for, in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// What the answer goes on from: only repetition is penalised.
    pub prompt: &'a [u32],
    /// The answer so far.
    pub answer: &'a [u32],
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
    context: Context<'_>,
    sampling: &Sampling,
    position: u64,
    allowed: Option<TokenMask<'_>>,
) -> Option<Choice> {
    let token = choose(logits, exponent, context, sampling, position, allowed)?;
    let logprob = log_probability(logits, exponent, token);
    Some(Choice { token, logprob })
}

/// Chooses the token after `position` from logits `logits[t] · 2^exponent`. `None` if no token is allowed.
pub fn choose(
    logits: &[i16],
    exponent: i32,
    context: Context<'_>,
    sampling: &Sampling,
    position: u64,
    allowed: Option<TokenMask<'_>>,
) -> Option<u32> {
    let penalties = Penalties::new(sampling);
    let seen = penalties.seen(context);
    if sampling.temperature == 0
        && seen.is_empty()
        && allowed.is_none()
        && (-16..=1).contains(&exponent)
    {
        // Most requests: the greatest logit as it stands. (Beyond, logits are rounded or clamped and may become equal.)
        let greatest = logits.iter().copied().max()?;
        return logits.iter().position(|m| *m == greatest).map(|t| t as u32);
    }
    let candidates = || {
        let scaled = Scaled {
            logits: logits.iter().enumerate(),
            exponent,
            seen: &seen,
            penalties,
        };
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

/// Penalties within their bounds.
#[derive(Clone, Copy)]
struct Penalties {
    repetition: i64,
    frequency: i64,
    presence: i64,
}

/// A token that was seen, and how often in the answer.
#[derive(Clone, Copy)]
struct Seen {
    token: u32,
    times: i64,
}

impl Penalties {
    fn new(sampling: &Sampling) -> Self {
        let within = |penalty: i32| i64::from(penalty.clamp(-PENALTY_LIMIT, PENALTY_LIMIT));
        Self {
            repetition: i64::from(sampling.repetition_penalty.clamp(ONE >> 8, ONE << 8)),
            frequency: within(sampling.frequency_penalty),
            presence: within(sampling.presence_penalty),
        }
    }

    /// The tokens that are penalised, ascending, each once.
    fn seen(&self, context: Context<'_>) -> Vec<Seen> {
        let repetition = self.repetition != i64::from(ONE);
        let prompt = context.prompt.iter().filter(|_| repetition);
        let answered = repetition || self.frequency != 0 || self.presence != 0;
        let answer = context.answer.iter().filter(|_| answered);
        let entry = |times| {
            move |token: &u32| Seen {
                token: *token,
                times,
            }
        };
        let mut seen: Vec<Seen> = prompt.map(entry(0)).chain(answer.map(entry(1))).collect();
        seen.sort_unstable_by_key(|seen| seen.token);
        seen.dedup_by(|next, first| {
            let same = next.token == first.token;
            first.times += if same { next.times } else { 0 };
            same
        });
        seen
    }

    /// A logit of a token that was seen so often.
    fn apply(&self, x: i64, times: i64) -> i64 {
        let x = if x > 0 {
            divide(x << 16, self.repetition)
        } else {
            shift(x * self.repetition, 16)
        };
        match times.min(MOST_TIMES as i64) {
            0 => x,
            times => x - (times * self.frequency + self.presence),
        }
    }
}

/// Every token, ascending, with its logit in units of 2^-16, penalised if it was seen.
struct Scaled<'a> {
    logits: std::iter::Enumerate<std::slice::Iter<'a, i16>>,
    exponent: i32,
    /// Seen tokens that are not reached yet, ascending.
    seen: &'a [Seen],
    penalties: Penalties,
}

impl Iterator for Scaled<'_> {
    type Item = (u32, i64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (token, mantissa) = self.logits.next()?;
        let token = token as u32;
        let x = scale(*mantissa, self.exponent);
        match self.seen.split_first() {
            Some((next, rest)) if next.token == token => {
                self.seen = rest;
                Some((token, self.penalties.apply(x, next.times)))
            }
            _ => Some((token, x)),
        }
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
    let mantissa = logits.get(token as usize);
    mantissa.map_or(i32::MIN, |m| Sum::new(logits, exponent).log_probability(*m))
}

/// The tokens that the model finds likeliest, the likeliest first, the lower first among equals; see [`log_probability`].
pub fn likeliest(logits: &[i16], exponent: i32, count: usize) -> Vec<Choice> {
    if count == 0 {
        return vec![];
    }
    let least = threshold::kth_greatest(logits.iter().map(|m| i64::from(*m)), count);
    let least = least.unwrap_or(i64::MIN);
    let found = logits.iter().enumerate();
    let mut found: Vec<_> = found.filter(|(_, m)| i64::from(**m) >= least).collect();
    found.sort_by_key(|(token, m)| (Reverse(**m), *token));
    found.truncate(count);
    let sum = Sum::new(logits, exponent);
    let choice = |(token, m): (usize, &i16)| Choice {
        token: token as u32,
        logprob: sum.log_probability(*m),
    };
    found.into_iter().map(choice).collect()
}

/// What all logarithms of probability have in common.
struct Sum {
    exponent: i32,
    top: i64,
    logarithm: i64,
}

impl Sum {
    fn new(logits: &[i16], exponent: i32) -> Self {
        let top = scale(logits.iter().copied().max().unwrap_or(0), exponent);
        let power = |m: &i16| shift(tables::power(top - scale(*m, exponent)), 31);
        Self {
            exponent,
            top,
            logarithm: tables::logarithm(logits.iter().map(power).sum()),
        }
    }

    fn log_probability(&self, mantissa: i16) -> i32 {
        let logprob = scale(mantissa, self.exponent) - self.top - self.logarithm;
        logprob.clamp(i32::MIN.into(), 0) as i32
    }
}

#[cfg(test)]
mod tests;
