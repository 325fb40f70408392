//! A conversation as a chat template sees it, and the guards that keep its words from being special tokens.

use crate::{MAX_TEXT_BYTES, template::Moment};
use aho_corasick::AhoCorasick;
use serde_json::{Map, Value};

/// Messages of one conversation.
const MAX_MESSAGES: usize = 4096;
/// Tools of one conversation.
const MAX_TOOLS: usize = 256;
/// Lists within lists.
const MAX_DEPTH: usize = 64;

/// What is to be rendered: what people and tools said so far.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Objects with `role` and `content`, in the manner of OpenAI's interface.
    pub messages: Vec<Value>,
    /// Descriptions of tools that the model may call; none makes `tools` undefined.
    pub tools: Vec<Value>,
    /// Whether the text ends where the model is to answer.
    pub add_generation_prompt: bool,
    /// What the template is told about the date: an argument, so that rendering is reproducible.
    pub now: Moment,
    /// Further variables (`enable_thinking`, `documents` …); names given above win.
    pub extra: Map<String, Value>,
}

/// Why a conversation cannot be rendered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// Too many messages.
    #[error("{0} messages; at most {MAX_MESSAGES} are taken")]
    TooManyMessages(usize),
    /// Too many tools.
    #[error("{0} tools; at most {MAX_TOOLS} are taken")]
    TooManyTools(usize),
    /// Too much text.
    #[error("the conversation has more than {MAX_TEXT_BYTES} bytes")]
    TooLarge,
    /// Lists within lists.
    #[error("a message or tool is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Every character that could be a guard is in the text.
    #[error(
        "the conversation uses all 32 characters from U+FDD0 to U+FDEF, which are not for text; leave one out"
    )]
    NoGuard,
}

impl Conversation {
    /// Checks the bounds.
    ///
    /// # Errors
    /// If it is too large in any way.
    pub fn check(&self) -> Result<(), ChatError> {
        if self.messages.len() > MAX_MESSAGES {
            return Err(ChatError::TooManyMessages(self.messages.len()));
        }
        if self.tools.len() > MAX_TOOLS {
            return Err(ChatError::TooManyTools(self.tools.len()));
        }
        let mut bytes = 0;
        for value in self.values() {
            measure(value, 0, &mut bytes)?;
        }
        Ok(())
    }

    fn values(&self) -> impl Iterator<Item = &Value> {
        self.messages
            .iter()
            .chain(&self.tools)
            .chain(self.extra.values())
    }

    /// A copy in which every special token's spelling holds the guard, a character that was not in the text.
    ///
    /// # Errors
    /// If it is too large, or no character is left to guard with.
    pub(crate) fn guarded(&self, spellings: &AhoCorasick) -> Result<(Self, char), ChatError> {
        self.check()?;
        let guard = ('\u{FDD0}'..='\u{FDEF}')
            .find(|&guard| !self.values().any(|value| contains(value, guard)))
            .ok_or(ChatError::NoGuard)?;
        let mut copy = self.clone();
        for value in copy
            .messages
            .iter_mut()
            .chain(&mut copy.tools)
            .chain(copy.extra.values_mut())
        {
            protect(value, spellings, guard);
        }
        Ok((copy, guard))
    }
}

fn measure(value: &Value, depth: usize, bytes: &mut usize) -> Result<(), ChatError> {
    if depth > MAX_DEPTH {
        return Err(ChatError::TooDeep);
    }
    *bytes += 16;
    match value {
        Value::String(text) => *bytes += text.len(),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| measure(item, depth + 1, bytes))?,
        Value::Object(fields) => {
            for (name, field) in fields {
                *bytes += name.len();
                measure(field, depth + 1, bytes)?;
            }
        }
        _ => {}
    }
    if *bytes > MAX_TEXT_BYTES {
        Err(ChatError::TooLarge)
    } else {
        Ok(())
    }
}

fn contains(value: &Value, guard: char) -> bool {
    match value {
        Value::String(text) => text.contains(guard),
        Value::Array(items) => items.iter().any(|item| contains(item, guard)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, field)| name.contains(guard) || contains(field, guard)),
        _ => false,
    }
}

fn protect(value: &mut Value, spellings: &AhoCorasick, guard: char) {
    match value {
        Value::String(text) => protect_text(text, spellings, guard),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| protect(item, spellings, guard)),
        Value::Object(fields) => {
            let spelled = |name: &String| spellings.is_match(name.as_str());
            if fields.keys().any(spelled) {
                let old = std::mem::take(fields);
                fields.extend(old.into_iter().map(|(mut name, field)| {
                    protect_text(&mut name, spellings, guard);
                    (name, field)
                }));
            }
            fields
                .values_mut()
                .for_each(|field| protect(field, spellings, guard));
        }
        _ => {}
    }
}

/// Puts the guard behind the first character of every spelling, overlapping ones too.
fn protect_text(text: &mut String, spellings: &AhoCorasick, guard: char) {
    let mut cuts: Vec<usize> = spellings
        .find_overlapping_iter(text.as_str())
        .map(|found| {
            found.start()
                + text[found.start()..]
                    .chars()
                    .next()
                    .map_or(0, char::len_utf8)
        })
        .collect();
    if cuts.is_empty() {
        return;
    }
    cuts.sort_unstable();
    cuts.dedup();
    let mut out = String::with_capacity(text.len() + cuts.len() * guard.len_utf8());
    let mut start = 0;
    for cut in cuts {
        out.push_str(&text[start..cut]);
        out.push(guard);
        start = cut;
    }
    out.push_str(&text[start..]);
    *text = out;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn conversation(message: Value) -> Conversation {
        Conversation {
            messages: vec![message],
            ..Conversation::default()
        }
    }

    #[test]
    fn spellings_are_guarded_wherever_they_stand() {
        let spellings = AhoCorasick::new(["<|end|>", "<s>"]).unwrap();
        let hostile = conversation(
            json!({ "role": "user", "content": [{ "text": "a<|end|><s>é", "<s>": 1 }] }),
        );
        let (guarded, guard) = hostile.guarded(&spellings).unwrap();
        assert_eq!(guard, '\u{FDD0}');
        let text = json!([{ "text": "a<\u{FDD0}|end|><\u{FDD0}s>é", "<\u{FDD0}s>": 1 }]);
        assert_eq!(guarded.messages[0]["content"], text);
        assert_eq!(guarded.messages[0]["role"], "user");
        let (_, other) = conversation(json!("\u{FDD0}")).guarded(&spellings).unwrap();
        assert_eq!(other, '\u{FDD1}');
        let all: String = ('\u{FDD0}'..='\u{FDEF}').collect();
        assert_eq!(
            conversation(json!(all)).guarded(&spellings).unwrap_err(),
            ChatError::NoGuard
        );
    }

    #[test]
    fn what_is_too_large_is_named() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert_eq!(conversation(deep).check(), Err(ChatError::TooDeep));
        assert_eq!(
            conversation(json!("a".repeat(MAX_TEXT_BYTES))).check(),
            Err(ChatError::TooLarge)
        );
        let many = Conversation {
            messages: vec![json!({}); 4097],
            ..Conversation::default()
        };
        assert_eq!(many.check(), Err(ChatError::TooManyMessages(4097)));
    }
}
