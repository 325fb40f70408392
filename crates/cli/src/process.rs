//! Knowing whether a node runs, and ending it: a locked file says who holds a data directory.
//!
//! The lock ends with its process however that dies, so a file left behind is never mistaken for
//! a running node, and a process id that was given to somebody else is never signaled.

use crate::failure::failure;
use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::Duration,
};

/// How often a claim is tried: whoever only looks holds the lock for a moment.
const CLAIM_ATTEMPTS: u32 = 10;
const CLAIM_PAUSE: Duration = Duration::from_millis(50);

/// This process's claim on a data directory, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "held for its lock")] File);

fn lock_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("lock")
}

/// Claims `data_dir` for this process.
pub(crate) fn claim(data_dir: &Path) -> anyhow::Result<Claim> {
    let path = lock_path(data_dir);
    let folder = path.parent().context("the data directory has no parent")?;
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    for _ in 0..CLAIM_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                return Ok(Claim(file));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(CLAIM_PAUSE),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    let holder = read_pid(&mut file).map_or_else(String::new, |pid| {
        format!(" (process {})", pid.as_raw_nonzero())
    });
    Err(failure(
        format!(
            "another process{holder} uses the data directory {}",
            data_dir.display()
        ),
        "stop it first, or give this node a data_dir of its own",
    ))
}

/// The process that holds `data_dir`, if one does.
pub(crate) fn holder(data_dir: &Path) -> Option<Pid> {
    let mut file = File::open(lock_path(data_dir)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_pid(&mut file),
        _ => None,
    }
}

fn read_pid(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Asks a process to end. One that ended already is not an error.
pub(crate) fn terminate(pid: Pid) {
    // The only failures are a process that is gone or not ours: waiting for the lock tells.
    let _ = rustix::process::kill_process(pid, Signal::TERM);
}

/// Asks a child process to end.
pub(crate) fn terminate_child(child: &Child) {
    terminate(Pid::from_child(child));
}

/// Ends a process at once, as a power cut would.
pub(crate) fn kill(pid: Pid) {
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

/// Lets this process open as many files as the system allows: a validator that keeps all blocks
/// holds four open for every 4,096 of them.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where that is refused the limit stays what it was, which does for most nodes.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Has the system end this process when process `parent`, which started it, ends (Linux only:
/// elsewhere a parent that is killed leaves its children to `og devnet stop`).
#[cfg(target_os = "linux")]
pub(crate) fn end_with_parent(parent: u32) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot tie this process to its parent")?;
    let actual = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    anyhow::ensure!(
        actual == Some(parent),
        "the process that started this one ended before it was up"
    );
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_parent(_: u32) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        assert_eq!(holder(&data_dir), None);
        let first = claim(&data_dir).unwrap();
        assert_eq!(holder(&data_dir), Some(rustix::process::getpid()));
        let error = claim(&data_dir).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert_eq!(holder(&data_dir), None);
        claim(&data_dir).unwrap();
    }
}
