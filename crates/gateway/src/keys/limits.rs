//! What one client may use, and what it has used.

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

/// An amount in a period, all of it at once or spread out.
#[derive(Clone, Copy, Debug)]
struct Rate {
    amount: u64,
    period: Duration,
}

/// When what was used will have come back (the generic cell rate algorithm). Unlike a count of what is left it can be
/// overdrawn, by an answer whose tokens are known only when it is there, and lives through a change of the rate.
#[derive(Clone, Copy, Debug)]
struct Meter(Instant);

impl Rate {
    fn requests(limits: &Limits) -> Option<Self> {
        Self::per(limits.requests_per_minute.map(Into::into), MINUTE)
    }

    fn minute(limits: &Limits) -> Option<Self> {
        Self::per(limits.tokens_per_minute, MINUTE)
    }

    fn day(limits: &Limits) -> Option<Self> {
        Self::per(limits.tokens_per_day, DAY)
    }

    fn per(amount: Option<NonZeroU64>, period: Duration) -> Option<Self> {
        let amount = amount?.get();
        Some(Self { amount, period })
    }

    /// In what time so much comes back.
    fn time_of(self, used: u64) -> Duration {
        let nanoseconds = self.period.as_nanos().saturating_mul(used.into());
        let nanoseconds = nanoseconds / u128::from(self.amount);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

impl Meter {
    fn ahead(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// How long until one more may be used; zero if it may now.
    fn wait(self, rate: Rate, now: Instant) -> Duration {
        (self.ahead(now) + rate.time_of(1)).saturating_sub(rate.period)
    }

    fn charge(&mut self, rate: Rate, used: u64, now: Instant) {
        let start = self.0.max(now);
        // An answer costs no more than all of a period, so that nobody is shut out for long by one.
        self.0 = start + rate.time_of(used).min(rate.period);
    }

    fn left(self, rate: Rate, now: Instant) -> Left {
        let free = rate.period.saturating_sub(self.ahead(now)).as_nanos();
        let remaining = free.saturating_mul(rate.amount.into()) / rate.period.as_nanos();
        Left {
            limit: rate.amount,
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX),
            reset: self.ahead(now),
        }
    }
}

impl Usage {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            requests: Meter(now),
            tokens_of_minute: Meter(now),
            tokens_of_day: Meter(now),
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
            (Limit::Requests, self.requests, Rate::requests(limits)),
            (
                Limit::TokensOfMinute,
                self.tokens_of_minute,
                Rate::minute(limits),
            ),
            (Limit::TokensOfDay, self.tokens_of_day, Rate::day(limits)),
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
        if let Some(rate) = Rate::requests(limits) {
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
        if let Some(rate) = Rate::minute(limits) {
            self.tokens_of_minute.charge(rate, tokens, now);
        }
        if let Some(rate) = Rate::day(limits) {
            self.tokens_of_day.charge(rate, tokens, now);
        }
    }

    pub(crate) fn standing(&self, limits: &Limits, now: Instant) -> Standing {
        let left = |meter: Meter, rate: Option<Rate>| rate.map(|rate| meter.left(rate, now));
        let minute = left(self.tokens_of_minute, Rate::minute(limits));
        let day = left(self.tokens_of_day, Rate::day(limits));
        Standing {
            requests: left(self.requests, Rate::requests(limits)),
            tokens: minute
                .into_iter()
                .chain(day)
                .min_by_key(|left| left.remaining),
        }
    }

    /// Whether it makes a difference to a client that has used nothing.
    pub(crate) fn counts(&self, now: Instant) -> bool {
        let meters = [self.requests, self.tokens_of_minute, self.tokens_of_day];
        self.in_progress > 0 || meters.iter().any(|meter| meter.0 > now)
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
