//! What a client is told of its limits, in headers.

use crate::keys::{Left, Standing};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};
use std::time::Duration;

/// Says what is left, in the headers that OpenAI's clients read.
pub(super) fn tell_standing(headers: &mut HeaderMap, standing: &Standing) {
    let names = |unit| ["limit", "remaining", "reset"].map(|of| format!("x-ratelimit-{of}-{unit}"));
    for (unit, left) in [("requests", standing.requests), ("tokens", standing.tokens)] {
        let Some(Left {
            limit,
            remaining,
            reset,
        }) = left
        else {
            continue;
        };
        let values = [limit.to_string(), remaining.to_string(), written(reset)];
        for (name, value) in names(unit).into_iter().zip(values) {
            if let Ok(name) = HeaderName::try_from(name) {
                put(headers, name, &value);
            }
        }
    }
}

/// Says how long to wait before the next try: whole seconds, one at least.
pub(super) fn tell_wait(headers: &mut HeaderMap, wait: Duration) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

/// Puts a value into a header.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Digits, letters and underscores are always fit for a header.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A time as OpenAI writes it: `250ms`, `6s`, `1h2m3s`.
fn written(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_writes_them() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (1000, "1s"),
            (1001, "2s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
        ] {
            assert_eq!(written(Duration::from_millis(milliseconds)), text);
        }
    }
}
