//! Keeps panics of code that we do not own from spreading: they become errors.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

thread_local! {
    /// Whether this thread is inside [`contain`].
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// What the contained panic said.
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work` and gives the message of its panic, which then prints nothing, as an error.
///
/// Not for nested use. Whatever `work` was changing must not be used after a panic. The process
/// must be built to unwind; a stack overflow or an abort is not contained.
///
/// # Errors
/// The panic's message, shortened.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence_contained_panics();
    CONTAINED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(false);
    result.map_err(|_| MESSAGE.take())
}

/// Has the panics of contained threads noted instead of printed; all others go where they went.
fn silence_contained_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            if CONTAINED.get() {
                let text = panic.payload_as_str().unwrap_or("without a message");
                MESSAGE.set(format!("panicked: {}", shorten(text)));
            } else {
                previous(panic);
            }
        }));
    });
}

/// Longest message taken over from a library, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// The beginning of a message that may quote the bytes of a hostile file.
pub fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_MESSAGE_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_the_thread_goes_on() {
        assert_eq!(contain(|| 1), Ok(1));
        let index = std::hint::black_box(5);
        assert_eq!(
            contain(|| [1, 2][index]).unwrap_err(),
            "panicked: index out of bounds: the len is 2 but the index is 5"
        );
        assert_eq!(contain(|| 2), Ok(2));
    }

    #[test]
    fn long_messages_are_shortened() {
        assert_eq!(shorten("short"), "short");
        assert_eq!(shorten(&"é".repeat(1000)).chars().count(), 301);
    }
}
