//! Running the chain's pure functions against the database.
//!
//! Those functions read synchronously, the database asynchronously. So a function runs on a thread of its own, and whoever
//! waits for it reads what it asks for. The two never run at the same time: what comes out depends on the state alone, also in
//! a simulation.

use crate::{access::StateError, draft::Draft};
use commonware_runtime::Spawner;
use commonware_storage::Context;
use og_chain::state::{Attempt, Cache, Key, Source, Value};
use std::{cell::RefCell, panic, sync::mpsc, thread};

/// What comes from the thread.
enum Step<T> {
    /// It waits for the values of these keys.
    Asks(Vec<Key>),
    /// It is done; with what was read on the way.
    Done(T, Cache),
}

/// The state, as the function reads it: what is known already, and whom to ask for the rest.
struct Asking<T> {
    known: RefCell<Cache>,
    questions: mpsc::Sender<Step<T>>,
    answers: mpsc::Receiver<Vec<Option<Value>>>,
}

impl<T> std::fmt::Debug for Asking<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl<T> Source for Asking<T> {
    fn read(&self, key: &Key) -> Option<Option<Value>> {
        if let Some(value) = self.known.borrow().read(key) {
            return Some(value);
        }
        self.ask(vec![*key])?;
        self.known.borrow().read(key)
    }

    fn prefetch(&self, keys: &[Key]) {
        let known = self.known.borrow();
        let unknown: Vec<_> = keys
            .iter()
            .filter(|key| !known.knows(key))
            .copied()
            .collect();
        drop(known);
        if !unknown.is_empty() {
            // Where it fails, reading finds nothing either.
            let _ = self.ask(unknown);
        }
    }
}

impl<T> Asking<T> {
    /// Waits for the values of `keys`; `None` when nobody answers any more: the function then finds nothing, and ends.
    fn ask(&self, keys: Vec<Key>) -> Option<()> {
        self.questions.send(Step::Asks(keys.clone())).ok()?;
        let values = self.answers.recv().ok()?;
        let mut known = self.known.borrow_mut();
        for (key, value) in keys.into_iter().zip(values) {
            known.insert(key, value);
        }
        Some(())
    }
}

/// Runs `function` on the state that `draft` builds on. Gives what it gives, what is known of that state then, and the draft.
///
/// `known` is what is known of the state already, and `prefetch` names what the function will surely read: all of that is read
/// at once, as is what it writes, the rest one by one.
///
/// # Errors
/// [`StateError`]; what `function` itself returns, an error too, is inside `Ok`.
pub async fn run<E, T, Fault, F>(
    draft: Draft<E>,
    mut known: Cache,
    mut prefetch: Vec<Key>,
    function: F,
) -> Result<(Result<T, Fault>, Cache, Draft<E>), StateError>
where
    E: Context + Spawner,
    F: FnOnce(&dyn Source) -> Result<Attempt<T>, Fault> + Send + 'static,
    T: Send + 'static,
    Fault: Send + 'static,
{
    prefetch.retain(|key| !known.knows(key));
    let (values, mut draft) = draft.read(&prefetch).await?;
    for (key, value) in prefetch.into_iter().zip(values) {
        known.insert(key, value);
    }
    let (questions, asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let running = thread::Builder::new()
        .name("execution".to_owned())
        .spawn(move || {
            let source = Asking {
                known: RefCell::new(known),
                questions,
                answers,
            };
            let result = function(&source);
            let Asking {
                known, questions, ..
            } = source;
            // It fails when nobody waits any more.
            let _ = questions.send(Step::Done(result, known.into_inner()));
        })?;
    loop {
        // This holds up the runtime's thread for as long as running the function on it would.
        match asked.recv() {
            Ok(Step::Asks(keys)) => {
                let values;
                (values, draft) = draft.read(&keys).await?;
                // The thread waits for them, or has panicked, which the next turn finds.
                let _ = answer.send(values);
            }
            Ok(Step::Done(result, known)) => {
                let result = match result {
                    Ok(Attempt::Done(result)) => Ok(result),
                    Ok(Attempt::Missing(_)) => return Err(StateError::Unanswered),
                    Err(error) => Err(error),
                };
                return Ok((result, known, draft));
            }
            Err(mpsc::RecvError) => match running.join() {
                Err(reason) => panic::resume_unwind(reason),
                Ok(()) => return Err(StateError::Unanswered),
            },
        }
    }
}
