//! Sampling against its definition, written down directly and slowly, and against floats.

use super::*;
use proptest::prelude::*;

/// The definition of section 5, by sorting and big integers.
fn by_definition(
    logits: &[i16],
    exponent: i32,
    context: Context<'_>,
    sampling: &Sampling,
    position: u64,
    allowed: Option<TokenMask<'_>>,
) -> Option<u32> {
    let units = |m: i16| {
        let places = exponent + 16;
        let x = if places >= 0 {
            i128::from(m) << places.min(100)
        } else {
            let half = 1_i128 << (-places - 1).min(100);
            (i128::from(m) + half) >> (-places).min(101)
        };
        x.clamp(-(1 << 32), 1 << 32)
    };
    let penalty = i128::from(sampling.repetition_penalty.clamp(1 << 8, 1 << 24));
    let within = |penalty: i32| i128::from(penalty.clamp(-(1 << 17), 1 << 17));
    let penalised = |token: usize, x: i128| {
        let times = |tokens: &[u32]| tokens.iter().filter(|t| **t as usize == token).count();
        let answered = times(context.answer) as i128;
        let x = if times(context.prompt) == 0 && answered == 0 {
            x
        } else if x > 0 {
            (x << 16).div_euclid(penalty)
        } else {
            (x * penalty + (1 << 15)) >> 16
        };
        if answered == 0 {
            return x;
        }
        x - answered * within(sampling.frequency_penalty) - within(sampling.presence_penalty)
    };
    let mut tokens: Vec<(usize, i128)> = logits
        .iter()
        .enumerate()
        .filter(|(token, _)| {
            allowed.is_none_or(|mask| {
                mask.0
                    .get(token / 32)
                    .is_some_and(|word| (word >> (token % 32)) & 1 == 1)
            })
        })
        .map(|(token, m)| (token, penalised(token, units(*m))))
        .collect();
    tokens.sort_by_key(|(token, x)| (-x, *token));
    let greatest = tokens.first()?.1;
    if sampling.temperature == 0 {
        return Some(tokens[0].0 as u32);
    }
    if sampling.top_k > 0 && tokens.len() > sampling.top_k as usize {
        let least = tokens[sampling.top_k as usize - 1].1;
        tokens.retain(|(_, x)| *x >= least);
    }
    let weighted = tokens.into_iter().map(|(token, x)| {
        let units = ((greatest - x) << 16) / i128::from(sampling.temperature);
        let weight = shift(tables::power(units.min(1 << 60) as i64), 38);
        (token, i128::from(weight))
    });
    let mut tokens: Vec<(usize, i128)> = weighted.collect();
    let total: i128 = tokens.iter().map(|(_, w)| w).sum();
    let (mut sum, mut least) = (0, None);
    for (_, weight) in &tokens {
        sum += weight;
        if sum << 16 >= i128::from(sampling.top_p) * total {
            least = Some(*weight);
            break;
        }
    }
    tokens.retain(|(_, weight)| least.is_none_or(|least| *weight >= least));
    tokens.sort();
    let total: i128 = tokens.iter().map(|(_, w)| w).sum();
    let mark = i128::from(chance(sampling.seed, position)) * total / (1 << 28);
    let mut sum = 0;
    for (token, weight) in tokens {
        sum += weight;
        if sum > mark {
            return Some(token as u32);
        }
    }
    unreachable!("the mark is below the sum")
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let fraction = || prop_oneof![Just(0), Just(ONE), 0..ONE, any::<u32>()];
    (
        prop_oneof![Just(0), Just(1), 1..2 * ONE, any::<u32>()],
        prop_oneof![Just(0), 1_u32..8, any::<u32>()],
        fraction(),
        prop_oneof![Just(ONE), ONE / 2..2 * ONE, any::<u32>()],
        [(); 2].map(|()| prop_oneof![Just(0), -PENALTY_LIMIT..PENALTY_LIMIT, any::<i32>()]),
        any::<u64>(),
    )
        .prop_map(
            |(temperature, top_k, top_p, repetition_penalty, penalties, seed)| Sampling {
                temperature,
                top_k,
                top_p,
                repetition_penalty,
                frequency_penalty: penalties[0],
                presence_penalty: penalties[1],
                seed,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_choice_is_that_of_the_definition(
        // Few different logits, so that there are ties.
        logits in prop_oneof![
            prop::collection::vec(-6_i16..6, 0..40),
            prop::collection::vec(any::<i16>(), 0..40),
            prop::collection::vec(-400_i16..400, 0..40),
        ],
        exponent in prop_oneof![-14_i32..2, any::<i32>().prop_map(|e| e % 1024)],
        prompt in prop::collection::vec(0_u32..50, 0..6),
        answer in prop::collection::vec(0_u32..50, 0..12),
        sampling in sampling(),
        position in any::<u64>(),
        mask in prop::option::of(prop::collection::vec(any::<u32>(), 0..3)),
    ) {
        let allowed = mask.as_deref().map(TokenMask);
        let context = Context { prompt: &prompt, answer: &answer };
        let chosen = choose(&logits, exponent, context, &sampling, position, allowed);
        let expected = by_definition(&logits, exponent, context, &sampling, position, allowed);
        prop_assert_eq!(chosen, expected);
        let sampled = sample(&logits, exponent, context, &sampling, position, allowed);
        prop_assert_eq!(sampled.map(|choice| choice.token), chosen);
        if let (Some(mask), Some(token)) = (allowed, chosen) {
            prop_assert!(mask.allows(token as usize));
        }
    }

    #[test]
    fn log_probabilities_are_near_to_those_of_floats(
        logits in prop::collection::vec(-6_000_i16..6_000, 1..300),
        exponent in -14_i32..-6,
        token in any::<prop::sample::Index>(),
    ) {
        let token = token.index(logits.len());
        let x = |m: &i16| f64::from(*m) * 2_f64.powi(exponent);
        let greatest = logits.iter().map(x).fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|m| (x(m) - greatest).exp()).sum();
        let exact = (x(&logits[token]) - greatest - sum.ln()) * 65_536.0;
        let found = f64::from(log_probability(&logits, exponent, token as u32));
        prop_assert!((found - exact).abs() < 1.0 + logits.len() as f64 / 20_000.0);
    }
}

#[test]
fn greedy_takes_the_first_of_the_greatest() {
    let greedy = Sampling::default();
    let choose =
        |logits: &[i16], exponent| choose(logits, exponent, Context::default(), &greedy, 0, None);
    assert_eq!(choose(&[3, 9, -4, 9], -8), Some(1));
    // Below 2^-16 logits are rounded, and these become equal.
    assert_eq!(choose(&[8, 9], -20), Some(0));
    assert_eq!(choose(&[], -8), None);
}

#[test]
fn ties_at_a_threshold_stay() {
    // Of four equal tokens top-k 1 and any top-p keep all four.
    for (top_k, top_p) in [(1, ONE), (0, 1), (2, ONE / 2)] {
        let mut seen = [false; 5];
        for seed in 0..200 {
            let sampling = Sampling {
                temperature: ONE,
                top_k,
                top_p,
                seed,
                ..Sampling::default()
            };
            let token = choose(
                &[100, 100, 90, 100, 100],
                -4,
                Context::default(),
                &sampling,
                0,
                None,
            );
            seen[token.unwrap() as usize] = true;
        }
        assert_eq!(seen, [true, true, false, true, true]);
    }
}

#[test]
fn a_penalty_is_for_seen_tokens_once() {
    let sampling = Sampling {
        repetition_penalty: 2 * ONE,
        ..Sampling::default()
    };
    let choose = |logits: &[i16], prompt: &[u32]| {
        let context = Context {
            prompt,
            answer: &[],
        };
        choose(logits, -4, context, &sampling, 0, None)
    };
    assert_eq!(choose(&[30, 16, 10], &[0, 0, 0]), Some(1));
    assert_eq!(choose(&[30, 14, 10], &[0, 0, 0]), Some(0));
    assert_eq!(choose(&[-10, -19], &[0]), Some(1));
    assert_eq!(choose(&[-10, -21], &[0, 7]), Some(0));
}

#[test]
fn presence_is_paid_for_once_and_frequency_each_time_and_only_in_the_answer() {
    let choose = |sampling: &Sampling, prompt: &[u32], answer: &[u32]| {
        // 2 and 1.
        choose(&[32, 16], -4, Context { prompt, answer }, sampling, 0, None)
    };
    let presence = Sampling {
        presence_penalty: 65_536 + 1,
        ..Sampling::default()
    };
    assert_eq!(choose(&presence, &[0, 0], &[]), Some(0));
    assert_eq!(choose(&presence, &[], &[0]), Some(1));
    assert_eq!(choose(&presence, &[], &[0, 1, 0, 0]), Some(0));
    let frequency = Sampling {
        frequency_penalty: 65_536 / 2,
        ..Sampling::default()
    };
    assert_eq!(choose(&frequency, &[0, 0, 0], &[0, 0]), Some(0));
    assert_eq!(choose(&frequency, &[], &[0, 0, 0]), Some(1));
    let wanted = Sampling {
        frequency_penalty: -65_536,
        ..Sampling::default()
    };
    assert_eq!(choose(&wanted, &[], &[1, 1]), Some(1));
}

#[test]
fn the_likeliest_come_first_and_the_lower_of_equals() {
    let logits = [5, 9, -3, 9, 7];
    let tokens = |count| -> Vec<u32> {
        let found = likeliest(&logits, -4, count);
        for choice in &found {
            assert_eq!(choice.logprob, log_probability(&logits, -4, choice.token));
        }
        found.into_iter().map(|choice| choice.token).collect()
    };
    assert_eq!(tokens(0), [0_u32; 0]);
    assert_eq!(tokens(1), [1]);
    assert_eq!(tokens(3), [1, 3, 4]);
    assert_eq!(tokens(9), [1, 3, 4, 0, 2]);
    assert_eq!(likeliest(&[], -4, 2), []);
}

#[test]
fn chance_is_what_it_always_was() {
    // The first 28 bits of SHA-256("_OG_SAMPLE_V1" ‖ seed ‖ position).
    assert_eq!(chance(0, 0), 163_337_837);
    assert_eq!(chance(1, 2), 36_943_295);
}

/// Tokens come as often as their probabilities say: 40,000 draws of four tokens, each within five standard deviations.
#[test]
fn tokens_come_as_often_as_they_should() {
    let logits = [0_i16, 256, 512, -128];
    let weights = logits.map(|m| (f64::from(m) / 256.0 / 0.8).exp());
    let sum: f64 = weights.iter().sum();
    let draws = 40_000;
    let mut counts = [0_u32; 4];
    for position in 0..draws {
        let sampling = Sampling {
            temperature: (0.8 * 65_536.0) as u32,
            seed: 5,
            ..Sampling::default()
        };
        let token = choose(&logits, -8, Context::default(), &sampling, position, None).unwrap();
        counts[token as usize] += 1;
    }
    for (count, weight) in counts.iter().zip(weights) {
        let p = weight / sum;
        let deviation = (f64::from(draws as u32) * p * (1.0 - p)).sqrt();
        let expected = f64::from(draws as u32) * p;
        assert!((f64::from(*count) - expected).abs() < 5.0 * deviation);
    }
}
