//! Guesses of the next tokens from what stands earlier in the same text (prompt lookup).
//!
//! A guess costs a row of the next run and is kept only if it is what would have been sampled anyway, so it changes
//! when tokens come, never which.

use std::collections::HashMap;

/// Tokens that must stand before a guess.
const CONTEXT: usize = 3;
/// After a wrong guess, this many tokens are sampled without one; doubled each time up to [`MOST_PAUSE`].
const FIRST_PAUSE: u32 = 1;
/// Longest pause.
const MOST_PAUSE: u32 = 32;

/// Where each group of [`CONTEXT`] tokens stood last, and whether guesses have been any good.
#[derive(Debug, Default)]
pub(crate) struct Drafter {
    tokens: Vec<u32>,
    /// Index of the token after the last occurrence of a group but the one at the end.
    after: HashMap<[u32; CONTEXT], u32>,
    pause: u32,
    next_pause: u32,
}

impl Drafter {
    /// Learns the next token.
    pub(crate) fn push(&mut self, token: u32) {
        if let Some(group) = self.tokens.last_chunk::<CONTEXT>() {
            // It becomes known one token late, so that the end does not find itself.
            self.after.insert(*group, self.tokens.len() as u32);
        }
        self.tokens.push(token);
        self.pause = self.pause.saturating_sub(1);
    }

    /// At most `most` guesses of what follows.
    pub(crate) fn guess(&self, most: usize) -> &[u32] {
        if self.pause > 0 {
            return &[];
        }
        let group = self.tokens.last_chunk::<CONTEXT>();
        let Some(at) = group.and_then(|group| self.after.get(group)) else {
            return &[];
        };
        let rest = self.tokens.get(*at as usize..).unwrap_or(&[]);
        &rest[..rest.len().min(most)]
    }

    /// Notes how many of the guesses were right.
    pub(crate) fn note(&mut self, guessed: usize, right: usize) {
        if guessed == 0 {
            return;
        }
        if right > 0 {
            self.next_pause = FIRST_PAUSE;
        } else {
            self.pause = self.next_pause.max(FIRST_PAUSE);
            self.next_pause = (2 * self.pause).min(MOST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(tokens: &[u32]) -> Drafter {
        let mut drafter = Drafter::default();
        tokens.iter().for_each(|token| drafter.push(*token));
        drafter
    }

    #[test]
    fn what_stood_after_the_same_tokens_is_guessed() {
        assert_eq!(after(&[1, 2, 3, 4, 5, 1, 2, 3]).guess(4), [4, 5, 1, 2]);
        assert_eq!(after(&[1, 2, 3, 4, 5, 1, 2, 3]).guess(1), [4]);
        assert_eq!(after(&[1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]).guess(1), [5]);
        assert_eq!(after(&[7, 7, 7, 7]).guess(8), [7]);
        assert!(after(&[1, 2, 3]).guess(4).is_empty());
        assert!(after(&[]).guess(4).is_empty());
    }

    #[test]
    fn wrong_guesses_pause_longer_each_time() {
        let mut drafter = after(&[7, 7, 7, 7]);
        for pause in [1, 2, 4, 8, 16, 32, 32] {
            drafter.note(2, 0);
            for _ in 0..pause {
                assert!(drafter.guess(2).is_empty());
                drafter.push(7);
            }
            assert!(!drafter.guess(2).is_empty());
        }
        drafter.note(2, 1);
        assert!(!drafter.guess(2).is_empty());
    }
}
