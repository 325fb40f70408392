//! A team of threads that works through the parts of one job after another.
//!
//! Between two jobs of one model run lie microseconds, so members wait by spinning first and sleep only after a while.
//! Which member does which part is left to chance; a part's result must not depend on it.

use std::{
    cell::UnsafeCell,
    fmt,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    },
    thread::{JoinHandle, yield_now},
};

/// Members of a team, at most.
pub const MAX_THREADS: usize = 256;

/// How often a member looks for the next job before it sleeps: some 50 microseconds.
const SPINS_BEFORE_SLEEP: u32 = 4_000;
/// How often the leader looks whether the others are done before it lets other threads of the machine run.
const SPINS_BEFORE_YIELD: u32 = 20_000;

/// A number that shares its cache line with nothing.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// The job that all members work on: a function of a member's number. Its lifetime is erased; see [`Team::run`].
type Job = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Counts jobs. It is raised after `job` is written.
    epoch: Apart<AtomicU64>,
    /// Members that have not finished the job.
    busy: Apart<AtomicUsize>,
    job: UnsafeCell<Option<Job>>,
    /// Members that sleep or are about to.
    sleepers: AtomicUsize,
    stop: AtomicBool,
    /// A member's part panicked.
    failed: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the leader while no member works (`busy` is 0), and read by members only after they
// saw the raised `epoch`, which is stored with Release after the write and loaded with Acquire before the read. What the
// pointer leads to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is used only while the leader keeps alive what it leads to.
unsafe impl Send for Shared {}

/// A fixed number of threads, of which the caller's is one.
pub struct Team {
    shared: Arc<Shared>,
    others: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Team({})", self.threads())
    }
}

impl Team {
    /// A team of `threads` members, at least 1 (the caller) and at most [`MAX_THREADS`]. Where the system refuses a
    /// thread, the team is smaller.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            epoch: Apart::default(),
            busy: Apart::default(),
            job: UnsafeCell::new(None),
            sleepers: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let others = (1..threads.clamp(1, MAX_THREADS)).map_while(|member| {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("og-team-{member}"))
                .spawn(move || work(&shared, member))
                .ok()
        });
        Self {
            others: others.collect(),
            shared,
        }
    }

    /// Members, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.others.len() + 1
    }

    /// Calls `work` once for every part, on whichever member is free, and returns when all are done. A panic of any
    /// part is one of this call, after all members stopped.
    pub fn each<P: Send>(&mut self, parts: &mut [P], work: impl Fn(usize, &mut P) + Sync) {
        let mut nothing = [(); MAX_THREADS];
        self.each_with(parts, &mut nothing, |index, part, ()| work(index, part));
    }

    /// As [`Self::each`], with memory of which each member uses one piece for all its parts. What it holds is arbitrary.
    ///
    /// # Panics
    /// If there is less memory than [`Self::threads`].
    pub fn each_with<P: Send, M: Send>(
        &mut self,
        parts: &mut [P],
        memory: &mut [M],
        work: impl Fn(usize, &mut P, &mut M) + Sync,
    ) {
        assert!(
            memory.len() >= self.threads(),
            "a team needs memory for each of its members"
        );
        if self.others.is_empty() || parts.len() < 2 {
            for (index, part) in parts.iter_mut().enumerate() {
                work(index, part, &mut memory[0]);
            }
            return;
        }
        let next = Apart(AtomicUsize::new(0));
        let count = parts.len();
        let (parts, memory) = (&Shares(parts.as_mut_ptr()), &Shares(memory.as_mut_ptr()));
        self.run(&|member| {
            // SAFETY: `member` is below `threads()`, so below the slice's length; each member has a number of its own and
            // works on one job at a time, so this is the only reference to its memory. The slice is borrowed mutably by
            // `each_with`, which returns only when all members are done. M is Send.
            let memory = unsafe { &mut *memory.0.add(member) };
            loop {
                let index = next.0.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                // SAFETY: `index` is below the slice's length, and the counter gives each index to one member only, so
                // this is the only reference to the part. The slice is borrowed mutably by `each_with`, which returns
                // only when all members are done. P is Send.
                let part = unsafe { &mut *parts.0.add(index) };
                work(index, part, memory);
            }
        });
    }

    /// Has every member call `job` with its number and returns when all are done.
    fn run(&mut self, job: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased. Members call the job only between the rise of `epoch` below and their
        // decrement of `busy`, and this function returns or unwinds only after `busy` is 0, while `job` is borrowed.
        let erased = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
        // SAFETY: no member works: `busy` was 0 when the last run returned, and `&mut self` excludes another leader.
        unsafe { *shared.job.get() = Some(erased) };
        shared.busy.0.store(self.others.len(), Ordering::Relaxed);
        shared.epoch.0.fetch_add(1, Ordering::Release);
        // Either this sees a member that is about to sleep, or the member sees the new epoch.
        fence(Ordering::SeqCst);
        if shared.sleepers.load(Ordering::Relaxed) > 0 {
            drop(shared.lock.lock().unwrap_or_else(PoisonError::into_inner));
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        let mut spins = 0_u32;
        while shared.busy.0.load(Ordering::Acquire) > 0 {
            spins = spins.saturating_add(1);
            if spins < SPINS_BEFORE_YIELD {
                spin_loop();
            } else {
                yield_now();
            }
        }
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        if shared.failed.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("a member of a team panicked"));
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        drop(
            self.shared
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.shared.wake.notify_all();
        for other in self.others.drain(..) {
            // A member catches all panics of jobs.
            let _ = other.join();
        }
    }
}

/// The elements of a slice, of which members take different ones.
struct Shares<P>(*mut P);

// SAFETY: members share the pointer, and each element is reached by one of them only (see `Team::each_with`).
unsafe impl<P: Send> Sync for Shares<P> {}

/// What a member does until the team ends.
fn work(shared: &Shared, member: usize) {
    let mut seen = 0;
    loop {
        seen = wait_beyond(shared, seen);
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: the epoch was loaded with Acquire after it was raised, so the job is written; the leader writes the
        // next only when this member has decremented `busy`.
        let job = unsafe { *shared.job.get() };
        if let Some(job) = job {
            // SAFETY: the leader keeps the job alive until `busy` is 0.
            let job = unsafe { &*job };
            if catch_unwind(AssertUnwindSafe(|| job(member))).is_err() {
                shared.failed.store(true, Ordering::Relaxed);
            }
        }
        shared.busy.0.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for a later epoch than `seen` and gives it.
fn wait_beyond(shared: &Shared, seen: u64) -> u64 {
    for _ in 0..SPINS_BEFORE_SLEEP {
        let epoch = shared.epoch.0.load(Ordering::Acquire);
        if epoch != seen {
            return epoch;
        }
        spin_loop();
    }
    let mut guard = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
    shared.sleepers.fetch_add(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let epoch = loop {
        let epoch = shared.epoch.0.load(Ordering::Acquire);
        if epoch != seen {
            break epoch;
        }
        guard = shared
            .wake
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
    };
    shared.sleepers.fetch_sub(1, Ordering::SeqCst);
    drop(guard);
    epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_by_teams_of_any_size() {
        for threads in [1, 2, 4] {
            let mut team = Team::new(threads);
            assert_eq!(team.threads(), threads);
            for parts in [0, 1, 2, 7, 100] {
                let mut counts = vec![0_usize; parts];
                for _ in 0..50 {
                    team.each(&mut counts, |index, count| *count += index + 1);
                }
                let expected: Vec<usize> = (1..=parts).map(|part| part * 50).collect();
                assert_eq!(counts, expected);
                let mut sums = vec![0; threads];
                team.each_with(&mut counts, &mut sums, |_, count, sum| *sum += *count);
                assert_eq!(sums.iter().sum::<usize>(), counts.iter().sum());
            }
        }
    }

    #[test]
    fn sleeping_members_wake() {
        let mut team = Team::new(3);
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let mut parts = [0; 9];
            team.each(&mut parts, |_, part| *part = 1);
            assert_eq!(parts, [1; 9]);
        }
    }

    #[test]
    fn a_panic_of_a_part_is_one_of_the_call_and_the_team_goes_on() {
        let mut team = Team::new(2);
        let mut parts = [0; 8];
        let failed = catch_unwind(AssertUnwindSafe(|| {
            team.each(&mut parts, |index, _| assert!(index != 5, "part 5"));
        }));
        assert!(failed.is_err());
        team.each(&mut parts, |_, part| *part = 1);
        assert_eq!(parts, [1; 8]);
    }
}
