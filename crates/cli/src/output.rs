//! What people and programs see: text with colors and progress, or one JSON document.

use crate::failure::Failure;
use anstream::{eprintln, println};
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{fmt::Display, time::Duration};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const QUIET: Style = AnsiColor::BrightBlack.on_default();
pub(crate) const TITLE: Style = Style::new().bold();

/// `text` in `style`, for text that goes through [`Output`].
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `text` from others, fit for a terminal: control characters as their escapes.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Where a command's results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// The command's one result, as text or as JSON.
    pub(crate) fn result<T: Serialize + Display>(&self, result: &T) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(result)?);
        } else {
            println!("{result}");
        }
        Ok(())
    }

    /// One of several results, each a line of text or of JSON.
    pub(crate) fn item<T: Serialize + Display>(&self, item: &T) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(item)?);
        } else {
            println!("{item}");
        }
        Ok(())
    }

    /// A line of a story that people follow; programs wait for the result.
    pub(crate) fn line(&self, text: impl Display) {
        if !self.json {
            println!("{text}");
        }
    }

    /// Something that went another way than asked, without being an error.
    pub(crate) fn notice(&self, text: impl Display) {
        eprintln!("{} {text}", paint(WARN, "notice:"));
    }

    /// Why the command failed, and what to do next.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let next = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Failure>())
            .map(|failure| failure.next.as_str());
        if self.json {
            let document = serde_json::json!({ "error": format!("{error:#}"), "next": next });
            println!("{document:#}");
            return;
        }
        eprintln!("{} {error:#}", paint(BAD, "error:"));
        if let Some(next) = next {
            eprintln!("{} {next}", paint(TITLE, " next:"));
        }
    }

    /// A spinner on the terminal while `message` is going on; it vanishes when dropped.
    pub(crate) fn progress(&self, message: impl Into<String>) -> Progress {
        if self.json {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(message.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress(bar)
    }

    /// A bar on the terminal that fills up while `total` things are done; it vanishes when dropped.
    pub(crate) fn progress_of(&self, total: u64, message: &'static str) -> Progress {
        if self.json {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(total).with_message(message);
        let template = "{msg} {wide_bar} {pos}/{len} {elapsed} (left: {eta})";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// Whether the result is one JSON document.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }
}

/// Work that is going on, shown on a terminal only.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Says what is going on now.
    pub(crate) fn set(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// One more thing is done.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
