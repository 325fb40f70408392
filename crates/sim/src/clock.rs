//! A validator's own view of the runtime: the same, but for a clock that may be wrong.

use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Spawner, Storage, Supervisor, deterministic,
    signal::Signal,
    telemetry::metrics::{Metric, Registered},
};
use governor::clock::{Clock as GovernorClock, ReasonablyRealtime};
use rand_core::{TryCryptoRng, TryRng};
use std::{
    convert::Infallible,
    ops::RangeInclusive,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The deterministic runtime behind a clock that is `ahead_ms` milliseconds ahead.
pub struct Local {
    inner: deterministic::Context,
    ahead_ms: i64,
}

impl Local {
    /// `inner` behind such a clock; negative is behind.
    pub const fn new(inner: deterministic::Context, ahead_ms: i64) -> Self {
        Self { inner, ahead_ms }
    }
}

/// `time` moved by so many milliseconds; not beyond what a time can be, which means "never".
fn moved(time: SystemTime, by_ms: i64) -> SystemTime {
    let by = Duration::from_millis(by_ms.unsigned_abs());
    if by_ms < 0 {
        time.checked_sub(by).unwrap_or(UNIX_EPOCH)
    } else {
        time.checked_add(by).unwrap_or(time)
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Local({} ms)", self.ahead_ms)
    }
}

impl Supervisor for Local {
    fn name(&self) -> Name {
        self.inner.name()
    }

    fn child(&self, label: &'static str) -> Self {
        Self::new(self.inner.child(label), self.ahead_ms)
    }

    fn with_attribute(self, key: &'static str, value: impl std::fmt::Display) -> Self {
        Self::new(self.inner.with_attribute(key, value), self.ahead_ms)
    }
}

impl Spawner for Local {
    fn shared(self, blocking: bool) -> Self {
        Self::new(self.inner.shared(blocking), self.ahead_ms)
    }

    fn dedicated(self) -> Self {
        Self::new(self.inner.dedicated(), self.ahead_ms)
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let ahead_ms = self.ahead_ms;
        self.inner.spawn(move |inner| f(Self::new(inner, ahead_ms)))
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.inner.stop(value, timeout).await
    }

    fn stopped(&self) -> Signal {
        self.inner.stopped()
    }
}

impl Metrics for Local {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.inner.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.inner.encode()
    }
}

impl GovernorClock for Local {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.current()
    }
}

impl ReasonablyRealtime for Local {}

impl Clock for Local {
    fn current(&self) -> SystemTime {
        moved(self.inner.current(), self.ahead_ms)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.sleep(duration)
    }

    fn sleep_until(
        &self,
        deadline: SystemTime,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.sleep_until(moved(deadline, -self.ahead_ms))
    }
}

impl Storage for Local {
    type Blob = <deterministic::Context as Storage>::Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Self::Blob, u64, BlobVersion), Error> {
        self.inner.open_versioned(partition, name, versions).await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.inner.remove(partition, name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.inner.scan(partition).await
    }
}

impl TryRng for Local {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.inner.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.inner.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Local {}
