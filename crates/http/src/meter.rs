//! How much of something was used, where so much may be used in a period: all of it at once, or spread out.

use std::time::{Duration, Instant};

/// How much may be used in a period.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// The amount; with 0 nothing may ever be used.
    pub amount: u64,
    /// The period.
    pub period: Duration,
}

/// When what was used will have come back (the generic cell rate algorithm). Unlike a count of what is left it can be
/// overdrawn, by a use whose amount is known only afterwards, and lives through a change of the rate.
#[derive(Clone, Copy, Debug)]
pub struct Meter(Instant);

impl Rate {
    /// In what time so much comes back.
    fn time_of(self, used: u64) -> Duration {
        let nanoseconds = self.period.as_nanos().saturating_mul(used.into());
        let nanoseconds = nanoseconds.checked_div(self.amount.into());
        let nanoseconds = nanoseconds.and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
        Duration::from_nanos(nanoseconds.unwrap_or(u64::MAX))
    }
}

impl Meter {
    /// A meter by which nothing was used.
    pub const fn new(now: Instant) -> Self {
        Self(now)
    }

    /// How long until all that was used has come back.
    pub fn reset(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// How long until one more may be used; zero if it may now.
    pub fn wait(self, rate: Rate, now: Instant) -> Duration {
        (self.reset(now) + rate.time_of(1)).saturating_sub(rate.period)
    }

    /// How much may be used now.
    pub fn remaining(self, rate: Rate, now: Instant) -> u64 {
        let free = rate.period.saturating_sub(self.reset(now)).as_nanos();
        let remaining = free.saturating_mul(rate.amount.into());
        let remaining = remaining.checked_div(rate.period.as_nanos()).unwrap_or(0);
        u64::try_from(remaining).unwrap_or(u64::MAX)
    }

    /// Counts what was used. One use costs no more than all of a period, so that it shuts nobody out for long.
    pub fn charge(&mut self, rate: Rate, used: u64, now: Instant) {
        self.0 = self.0.max(now) + rate.time_of(used).min(rate.period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_may_be_used_at_once_and_comes_back_steadily() {
        let rate = Rate {
            amount: 4,
            period: Duration::from_secs(60),
        };
        let now = Instant::now();
        let mut meter = Meter::new(now);
        for left in (0..4).rev() {
            assert!(meter.wait(rate, now).is_zero());
            meter.charge(rate, 1, now);
            assert_eq!(meter.remaining(rate, now), left);
        }
        assert_eq!(meter.wait(rate, now), Duration::from_secs(15));
        let later = now + Duration::from_secs(15);
        assert!(meter.wait(rate, later).is_zero());
        assert_eq!(meter.remaining(rate, later), 1);
        // Much more than there is: not more than a period.
        meter.charge(rate, 1000, later);
        assert_eq!(meter.reset(later), Duration::from_secs(45 + 60));
        assert_eq!(meter.remaining(rate, later), 0);
    }

    #[test]
    fn of_nothing_nothing_may_be_used() {
        let rate = Rate {
            amount: 0,
            period: Duration::from_secs(1),
        };
        let now = Instant::now();
        assert!(!Meter::new(now).wait(rate, now).is_zero());
        assert_eq!(Meter::new(now).remaining(rate, now), 0);
    }
}
