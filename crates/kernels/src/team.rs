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
const SPINS_BEFORE_YIELD: u32 = 4_000;

/// In the state of a team: how many members, the leader aside, work on the job.
const WORKING: u64 = (1 << 16) - 1;
/// In the state of a team: whether members may begin to.
const OPEN: u64 = 1 << 16;
/// In the state of a team: one job more.
const NEXT: u64 = 1 << 17;

/// A number that shares its cache line with nothing.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// The job that all members work on: a function of a member's number. Its lifetime is erased; see [`Team::run`].
type Job = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// The number of the job in units of [`NEXT`], [`OPEN`], and the number of members in [`WORKING`].
    state: Apart<AtomicU64>,
    job: UnsafeCell<Option<Job>>,
    /// Members that sleep or are about to.
    sleepers: AtomicUsize,
    stop: AtomicBool,
    /// A member's part panicked.
    failed: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the leader while the state is closed and no member works, and read by members only
// after they raised the number of working members of an open state, which was stored with Release after the write; they
// lower it, with Release, after their last use. What the pointer leads to is `Sync`.
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
            state: Apart::default(),
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

    /// Calls `job` with number 0, and has every member that is there in time call it with its own. Returns when all that
    /// began are done; a member that the system lets wait holds up nobody.
    fn run(&mut self, job: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased. Members call the job only while they count as working, which they begin
        // only while the state is open, and this function returns or unwinds only when it is closed and nobody works,
        // while `job` is borrowed.
        let erased = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
        // SAFETY: the state is closed and nobody works since the last run returned, and `&mut self` excludes another
        // leader.
        unsafe { *shared.job.get() = Some(erased) };
        let before = shared.state.0.load(Ordering::Relaxed);
        let next = (before & !OPEN & !WORKING).wrapping_add(NEXT) | OPEN;
        shared.state.0.store(next, Ordering::Release);
        // Either this sees a member that is about to sleep, or the member sees the new state.
        fence(Ordering::SeqCst);
        if shared.sleepers.load(Ordering::Relaxed) > 0 {
            drop(shared.lock.lock().unwrap_or_else(PoisonError::into_inner));
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        shared.state.0.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0_u32;
        while shared.state.0.load(Ordering::Acquire) & WORKING > 0 {
            spins = spins.saturating_add(1);
            if spins < SPINS_BEFORE_YIELD {
                spin_loop();
            } else {
                yield_now();
            }
        }
        let failed = shared.failed.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        if failed {
            resume_unwind(Box::new("a member of a team panicked"));
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.state.0.fetch_add(NEXT, Ordering::SeqCst);
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
        let mut state = wait_beyond(shared, seen);
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        seen = state & !OPEN & !WORKING;
        // Begins only while the job is open; then the leader waits.
        let begun = loop {
            if state & OPEN == 0 || state & !OPEN & !WORKING != seen {
                break false;
            }
            match shared.state.0.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break true,
                Err(now) => state = now,
            }
        };
        if !begun {
            continue;
        }
        // SAFETY: this member counts as working on an open job, so the job is written, and the leader writes the next only
        // when nobody works.
        let job = unsafe { *shared.job.get() };
        if let Some(job) = job {
            // SAFETY: the leader keeps the job alive while anybody works.
            let job = unsafe { &*job };
            if catch_unwind(AssertUnwindSafe(|| job(member))).is_err() {
                shared.failed.store(true, Ordering::Relaxed);
            }
        }
        shared.state.0.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for the state of another job than `seen` and gives it.
fn wait_beyond(shared: &Shared, seen: u64) -> u64 {
    let other = || {
        let state = shared.state.0.load(Ordering::Acquire);
        (state & !OPEN & !WORKING != seen).then_some(state)
    };
    for _ in 0..SPINS_BEFORE_SLEEP {
        if let Some(state) = other() {
            return state;
        }
        spin_loop();
    }
    let mut guard = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
    shared.sleepers.fetch_add(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let state = loop {
        if let Some(state) = other() {
            break state;
        }
        guard = shared
            .wake
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
    };
    shared.sleepers.fetch_sub(1, Ordering::SeqCst);
    drop(guard);
    state
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
