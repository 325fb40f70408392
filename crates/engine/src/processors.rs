//! Work for the processors: as much at once as there are cores, a bounded number in wait, none on a thread that serves others.

use crate::backend::RunError;
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Work that is taken on at once, what waits for a core included; more is refused.
pub const MAX_COMPUTATIONS: usize = 256;

/// Those of this machine, which all models share.
static PROCESSORS: LazyLock<Processors> = LazyLock::new(|| {
    Processors::new(
        std::thread::available_parallelism().map_or(1, usize::from),
        MAX_COMPUTATIONS,
    )
});

/// A number of cores, and a number of places for work that uses them or waits.
struct Processors {
    cores: Arc<Semaphore>,
    places: Arc<Semaphore>,
    most: usize,
}

/// Does work that computes, when a core is free. Work that was begun is done, also if nobody waits for it any more.
///
/// # Errors
/// [`RunError::Busy`] if too much waits, [`RunError::Model`] if the work panics, and its own.
pub(crate) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    PROCESSORS.compute(work).await
}

/// Work that is taken on at present, at most [`MAX_COMPUTATIONS`].
pub fn computations() -> usize {
    PROCESSORS.most - PROCESSORS.places.available_permits()
}

impl Processors {
    fn new(cores: usize, most: usize) -> Self {
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            RunError::Busy(format!(
                "{} computations wait for a processor: try again later",
                self.most
            ))
        })?;
        // The semaphore is never closed.
        let core = self.cores.clone().acquire_owned().await.ok();
        let work = move || {
            let _permits = (place, core);
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(RunError::Model(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_waits_for_a_core_and_too_much_is_refused() {
        let processors = Processors::new(1, 2);
        let (go, gate) = mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let first = processors.compute(move || {
            let _ = begun.send(());
            let _ = gate.recv();
            Ok(1)
        });
        let second = processors.compute(|| Ok(2));
        let third = async {
            begins.await.unwrap();
            // One computes, one waits.
            let refused = processors.compute(|| Ok(3)).await;
            assert!(matches!(refused, Err(RunError::Busy(_))), "{refused:?}");
            go.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, third);
        assert_eq!((first, second), (Ok(1), Ok(2)));
        let broken = processors
            .compute(|| -> Result<(), _> { panic!("no") })
            .await;
        assert!(matches!(broken, Err(RunError::Model(_))));
        assert_eq!(processors.compute(|| Ok(4)).await, Ok(4));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_core_until_it_is_done() {
        let processors = Processors::new(1, 2);
        let (go, gate) = mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let work = processors.compute(move || {
            let _ = begun.send(());
            let _ = gate.recv();
            Ok(())
        });
        tokio::select! {
            _ = work => panic!("it waits"),
            _ = begins => {}
        }
        assert_eq!(processors.cores.available_permits(), 0);
        go.send(()).unwrap();
        assert_eq!(processors.compute(|| Ok(5)).await, Ok(5));
    }
}
