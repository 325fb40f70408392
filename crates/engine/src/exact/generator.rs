//! A thread that owns an executor and answers requests from a bounded queue.

use super::{
    executor::{Executor, Settings},
    ready::Ready,
    request::{Answer, EmbeddingRequest, GenerateError, Request, Sink},
    scheduler::{Scheduler, SchedulerSettings, Task},
};
use og_text::Tokenizer;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

/// When a client whose request found the queue full should try again.
const RETRY_AFTER_MS: u64 = 1000;

/// How a generator works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorSettings {
    /// Threads and cache.
    pub executor: Settings,
    /// How requests share them.
    pub scheduler: SchedulerSettings,
    /// Requests that wait, at most.
    pub most_waiting: usize,
}

/// Answers requests on a thread of its own. Dropping it ends all requests.
#[derive(Debug)]
pub struct Generator {
    ready: Arc<Ready>,
    queue: Option<mpsc::SyncSender<Task>>,
    waiting: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Generator {
    /// Starts a thread for a model. Without a tokenizer, answers have tokens and no text.
    ///
    /// # Errors
    /// What the system says if it refuses the thread.
    pub fn start(
        ready: Arc<Ready>,
        tokenizer: Option<Arc<Tokenizer>>,
        settings: GeneratorSettings,
    ) -> std::io::Result<Self> {
        let (queue, tasks) = mpsc::sync_channel(settings.most_waiting.max(1));
        let (waiting, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = {
            let (ready, waiting, stop) = (ready.clone(), waiting.clone(), stop.clone());
            std::thread::Builder::new()
                .name("og-generator".to_owned())
                .spawn(move || {
                    let executor = Executor::new(ready, &settings.executor);
                    let scheduler = Scheduler::new(executor, settings.scheduler, tokenizer);
                    serve(scheduler, &tasks, &waiting, &stop);
                })?
        };
        Ok(Self {
            ready,
            queue: Some(queue),
            waiting,
            stop,
            thread: Some(thread),
        })
    }

    /// The model that it runs.
    pub fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    /// Asks for a text to be continued. Never blocks.
    ///
    /// # Errors
    /// [`GenerateError::Busy`] if the queue is full, [`GenerateError::Stopped`] if the thread has ended. All other errors come
    /// as events.
    pub fn generate(&self, request: Request) -> Result<Answer, GenerateError> {
        self.submit(|sink| Task::Generate(Box::new(request), sink))
    }

    /// Asks for embeddings. Never blocks.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub fn embed(&self, request: EmbeddingRequest) -> Result<Answer, GenerateError> {
        self.submit(|sink| Task::Embed(request, sink))
    }

    fn submit(&self, task: impl FnOnce(Sink) -> Task) -> Result<Answer, GenerateError> {
        let queue = self.queue.as_ref().ok_or(GenerateError::Stopped)?;
        let (sink, answer) = Sink::new();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = queue.try_send(task(sink));
        if sent.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        match sent {
            Ok(()) => Ok(answer),
            Err(mpsc::TrySendError::Full(_)) => Err(GenerateError::Busy {
                waiting: self.waiting(),
                retry_after_ms: RETRY_AFTER_MS,
            }),
            Err(mpsc::TrySendError::Disconnected(_)) => Err(GenerateError::Stopped),
        }
    }

    /// Requests that wait for room.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has ended its requests already.
            let _ = thread.join();
        }
    }
}

/// Takes requests while there is room, and lets those that run go on, until the generator is dropped.
fn serve(
    mut scheduler: Scheduler,
    tasks: &mpsc::Receiver<Task>,
    waiting: &AtomicUsize,
    stop: &AtomicBool,
) {
    // The request that is next and finds no room.
    let mut next: Option<Task> = None;
    while !stop.load(Ordering::Relaxed) {
        loop {
            let task = match next.take() {
                Some(task) => task,
                None if scheduler.is_idle() => match tasks.recv() {
                    Ok(task) => task,
                    Err(mpsc::RecvError) => return,
                },
                None => match tasks.try_recv() {
                    Ok(task) => task,
                    Err(_) => break,
                },
            };
            next = scheduler.admit(task);
            if next.is_some() {
                break;
            }
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        scheduler.turn();
    }
}
