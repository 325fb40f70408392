//! The thread that brings to disk what was appended.

use parking_lot::{Condvar, Mutex};
use std::{
    fs::File,
    io,
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Least time between two writes to disk: what is appended meanwhile shares the next.
pub const SYNC_PAUSE: Duration = Duration::from_millis(10);

/// What the thread has to do.
#[derive(Debug, Default)]
struct Work {
    /// The file that was appended to since it was last on disk.
    unsynced: Option<Arc<File>>,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    more: Condvar,
    /// Why the disk failed. After that nobody knows what is on it, so this stays.
    failed: OnceLock<Arc<io::Error>>,
}

impl Shared {
    fn sync(&self, file: &File) {
        if let Err(error) = file.sync_data() {
            // The first reason is the one that counts.
            let _ = self.failed.set(Arc::new(error));
        }
    }

    /// Brings files to disk until it is over.
    fn run(&self) {
        loop {
            let mut work = self.work.lock();
            while work.unsynced.is_none() && !work.is_over {
                self.more.wait(&mut work);
            }
            let (file, is_over) = (work.unsynced.take(), work.is_over);
            drop(work);
            if let Some(file) = file {
                self.sync(&file);
            }
            if is_over {
                return;
            }
            thread::sleep(SYNC_PAUSE);
        }
    }
}

/// Brings one file after another to disk, in the background.
#[derive(Debug)]
pub(crate) struct Syncing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncing {
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let runs = shared.clone();
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || runs.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Notes that `file` was appended to.
    pub(crate) fn appended(&self, file: &Arc<File>) {
        let mut work = self.shared.work.lock();
        if work.unsynced.is_none() {
            work.unsynced = Some(file.clone());
            self.shared.more.notify_one();
        }
    }

    /// Waits until `file`, which is not appended to any more, is on disk.
    pub(crate) fn finish(&self, file: &File) -> Result<(), Arc<io::Error>> {
        self.shared.work.lock().unsynced = None;
        self.shared.sync(file);
        self.check()
    }

    /// Whether the disk has done all that it was asked.
    pub(crate) fn check(&self) -> Result<(), Arc<io::Error>> {
        match self.shared.failed.get() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        self.shared.work.lock().is_over = true;
        self.shared.more.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, what it left undone is noted as unfinished.
            let _ = thread.join();
        }
    }
}
