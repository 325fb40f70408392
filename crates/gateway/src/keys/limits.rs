//! What one client may use, and what it has used.

use og_http::{Meter, Rate};
use serde::{Deserialize, Serialize};
use std::{
    num::{NonZeroU32, NonZeroU64},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one client may use; what is not named is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests in a minute, as many at once too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens of questions and answers in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU64>,
    /// The same in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<NonZeroU64>,
    /// Requests in progress at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<NonZeroU32>,
}

/// A limit that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    Requests,
    TokensOfMinute,
    TokensOfDay,
    Concurrent,
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) limit: Limit,
    /// How long until a request may come; nobody knows when one in progress ends.
    pub(crate) wait: Option<Duration>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until all of it is there again.
    pub(crate) reset: Duration,
}

/// What is left of a client's limits, of the tighter one for tokens; `None` where there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) requests: Option<Left>,
    pub(crate) tokens: Option<Left>,
}

/// What a client has used.
#[derive(Debug)]
pub(crate) struct Usage {
    requests: Meter,
    tokens_of_minute: Meter,
    tokens_of_day: Meter,
    in_progress: u32,
}

impl Limits {
    fn requests(&self) -> Option<Rate> {
        rate(self.requests_per_minute.map(Into::into), MINUTE)
    }

    fn tokens_of_minute(&self) -> Option<Rate> {
        rate(self.tokens_per_minute, MINUTE)
    }

    fn tokens_of_day(&self) -> Option<Rate> {
        rate(self.tokens_per_day, DAY)
    }
}

fn rate(amount: Option<NonZeroU64>, period: Duration) -> Option<Rate> {
    let amount = amount?.get();
    Some(Rate { amount, period })
}

fn left(meter: Meter, rate: Rate, now: Instant) -> Left {
    Left {
        limit: rate.amount,
        remaining: meter.remaining(rate, now),
        reset: meter.reset(now),
    }
}

impl Usage {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            requests: Meter::new(now),
            tokens_of_minute: Meter::new(now),
            tokens_of_day: Meter::new(now),
            in_progress: 0,
        }
    }

    /// Counts a request, unless a limit is reached; it is charged to all limits or to none.
    ///
    /// # Errors
    /// [`Exceeded`] names the limit for which one has to wait longest.
    pub(crate) fn admit(&mut self, limits: &Limits, now: Instant) -> Result<(), Exceeded> {
        let most = limits.concurrent_requests.map(NonZeroU32::get);
        if most.is_some_and(|most| self.in_progress >= most) {
            return Err(Exceeded {
                limit: Limit::Concurrent,
                wait: None,
            });
        }
        let meters = [
            (Limit::Requests, self.requests, limits.requests()),
            (
                Limit::TokensOfMinute,
                self.tokens_of_minute,
                limits.tokens_of_minute(),
            ),
            (
                Limit::TokensOfDay,
                self.tokens_of_day,
                limits.tokens_of_day(),
            ),
        ];
        let waits = meters.map(|(limit, meter, rate)| {
            let wait = rate.map_or(Duration::ZERO, |rate| meter.wait(rate, now));
            (limit, wait)
        });
        let longest = waits.into_iter().max_by_key(|(_, wait)| *wait);
        if let Some((limit, wait)) = longest.filter(|(_, wait)| !wait.is_zero()) {
            let wait = Some(wait);
            return Err(Exceeded { limit, wait });
        }
        if let Some(rate) = limits.requests() {
            self.requests.charge(rate, 1, now);
        }
        self.in_progress = self.in_progress.saturating_add(1);
        Ok(())
    }

    /// A request that was admitted has ended.
    pub(crate) const fn leave(&mut self) {
        self.in_progress = self.in_progress.saturating_sub(1);
    }

    /// Counts tokens that were used.
    pub(crate) fn spend(&mut self, limits: &Limits, tokens: u64, now: Instant) {
        if let Some(rate) = limits.tokens_of_minute() {
            self.tokens_of_minute.charge(rate, tokens, now);
        }
        if let Some(rate) = limits.tokens_of_day() {
            self.tokens_of_day.charge(rate, tokens, now);
        }
    }

    pub(crate) fn standing(&self, limits: &Limits, now: Instant) -> Standing {
        let of = |meter, rate: Option<Rate>| rate.map(|rate| left(meter, rate, now));
        let minute = of(self.tokens_of_minute, limits.tokens_of_minute());
        let day = of(self.tokens_of_day, limits.tokens_of_day());
        Standing {
            requests: of(self.requests, limits.requests()),
            tokens: minute
                .into_iter()
                .chain(day)
                .min_by_key(|left| left.remaining),
        }
    }

    /// Whether it makes a difference to a client that has used nothing.
    pub(crate) fn counts(&self, now: Instant) -> bool {
        let meters = [self.requests, self.tokens_of_minute, self.tokens_of_day];
        self.in_progress > 0 || meters.iter().any(|meter| !meter.reset(now).is_zero())
    }
}

impl Limit {
    /// The limit as a sentence names it.
    pub(crate) fn in_words(self, limits: &Limits) -> String {
        let amount = match self {
            Self::Requests => limits.requests_per_minute.map(Into::into),
            Self::TokensOfMinute => limits.tokens_per_minute,
            Self::TokensOfDay => limits.tokens_per_day,
            Self::Concurrent => limits.concurrent_requests.map(Into::into),
        };
        let amount = amount.map_or(0, NonZeroU64::get);
        match self {
            Self::Requests => format!("{amount} requests a minute"),
            Self::TokensOfMinute => format!("{amount} tokens a minute"),
            Self::TokensOfDay => format!("{amount} tokens a day"),
            Self::Concurrent => format!("{amount} requests at a time"),
        }
    }

    /// Its name among figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::TokensOfMinute | Self::TokensOfDay => "tokens",
            Self::Concurrent => "concurrent",
        }
    }
}
