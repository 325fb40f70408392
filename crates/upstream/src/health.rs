//! Whether a server is asked: one that fails again and again is left alone, longer each time, and tried before it is asked again.

use crate::{Limits, error::Fault};
use parking_lot::Mutex;
use std::time::Duration;

/// Failures without a success between them after which a server is left alone.
const FAILURES_IN_A_ROW: u32 = 3;

/// How a server did lately.
#[derive(Debug)]
pub(crate) struct Health {
    first_pause: Duration,
    longest_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: u32,
    /// How long the next pause is.
    pause: Duration,
    /// Why the server is left alone, if it is.
    out: Option<Fault>,
}

impl Health {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            first_pause: limits.first_pause,
            longest_pause: limits.longest_pause,
            state: Mutex::new(State {
                failures: 0,
                pause: limits.first_pause,
                out: None,
            }),
        }
    }

    /// Why the server is left alone; `None` if it may be asked.
    pub(crate) fn out(&self) -> Option<Fault> {
        self.state.lock().out.clone()
    }

    /// Whether the server may be asked.
    pub(crate) fn is_well(&self) -> bool {
        self.state.lock().out.is_none()
    }

    /// The server gave an answer.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        state.failures = 0;
        state.pause = self.first_pause;
    }

    /// The server gave none. If it is to be left alone from now on: for how long.
    pub(crate) fn failed(&self, fault: Fault) -> Option<Duration> {
        let mut state = self.state.lock();
        if state.out.is_some() {
            return None;
        }
        state.failures = state.failures.saturating_add(1);
        let pause = match fault.retry_after {
            Some(seconds) => Duration::from_secs(seconds).min(self.longest_pause),
            None if state.failures >= FAILURES_IN_A_ROW => self.grown(&mut state),
            None => return None,
        };
        state.out = Some(fault);
        Some(pause)
    }

    /// The server was tried after a pause. If it is to be left alone still: for how long.
    pub(crate) fn tried(&self, well: bool) -> Option<Duration> {
        let mut state = self.state.lock();
        if !well {
            return Some(self.grown(&mut state));
        }
        state.out = None;
        // It must give an answer before it may fail as often as others.
        state.failures = FAILURES_IN_A_ROW - 1;
        None
    }

    /// The next pause; the one after it is twice as long.
    fn grown(&self, state: &mut State) -> Duration {
        let pause = state.pause;
        state.pause = (pause * 2).min(self.longest_pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health::new(&Limits {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(3),
            ..Limits::default()
        })
    }

    fn fault(retry_after: Option<u64>) -> Fault {
        Fault {
            retry_after,
            ..Fault::new("status 500")
        }
    }

    #[test]
    fn pauses_grow_until_an_answer_comes() {
        let health = health();
        let seconds = |pause: Option<Duration>| pause.map(|pause| pause.as_secs());
        assert_eq!(health.failed(fault(None)), None);
        assert_eq!(health.failed(fault(None)), None);
        health.succeeded();
        assert_eq!(health.failed(fault(None)), None);
        assert_eq!(health.failed(fault(None)), None);
        assert_eq!(seconds(health.failed(fault(None))), Some(1));
        assert_eq!(health.out(), Some(fault(None)));
        // Others that were on their way change nothing.
        assert_eq!(health.failed(fault(None)), None);
        assert_eq!(seconds(health.tried(false)), Some(2));
        assert_eq!(seconds(health.tried(false)), Some(3));
        assert_eq!(health.tried(true), None);
        assert!(health.is_well());
        assert_eq!(seconds(health.failed(fault(None))), Some(3));
        assert_eq!(health.tried(true), None);
        health.succeeded();
        assert_eq!(health.failed(fault(None)), None);
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it() {
        let health = health();
        assert_eq!(health.failed(fault(Some(2))), Some(Duration::from_secs(2)));
        assert!(!health.is_well());
        assert_eq!(health.tried(true), None);
        let longest = Some(Duration::from_secs(3));
        assert_eq!(health.failed(fault(Some(u64::MAX))), longest);
    }
}
