//! Models that embed texts: whether one is asked for, and how its vectors are made.

use super::{Build, Line};
use crate::failure::failure;
use og_program::file::{Pooling, TextAssets};

/// What a text's vector is made of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Rows {
    /// The mean of all tokens' rows.
    Mean,
    /// The last token's row: no other has seen the whole text.
    Last,
}

/// Makes `text` that of a model that embeds, if that is asked for. The source `says` how vectors are made, if it says so.
/// Gives a line for the summary, if there is something to say.
pub(super) fn choose(
    build: &Build,
    says: anyhow::Result<Option<Pooling>>,
    text: &mut TextAssets,
) -> anyhow::Result<Option<Line>> {
    let Some(given) = build.embed else {
        // Whatever way it is, known here or not.
        let embeds = !matches!(says, Ok(None));
        return Ok(embeds.then(|| {
            let advice = "the source is for embedding texts, and the model continues them: --embed makes one that embeds";
            Line::warning("embeds", advice)
        }));
    };
    let given = given.map(|rows| match rows {
        Rows::Mean => Pooling::Mean,
        Rows::Last => Pooling::Last,
    });
    let (pooling, differs) = match (given, says) {
        (None, says) => (says?.ok_or_else(nothing_said)?, None),
        (Some(given), Ok(None)) => (given, None),
        (Some(given), Ok(Some(said))) => {
            let differs = (said != given).then(|| format!("the source says {}", words(said)));
            (given, differs)
        }
        (Some(given), Err(error)) => (given, Some(error.to_string())),
    };
    text.pooling = Some(pooling);
    text.chat_template = None;
    text.ends = vec![];
    let made = format!("a text's vector is {}", words(pooling));
    Ok(Some(match differs {
        None => Line::new("embeds", made),
        Some(differs) => Line::warning(
            "embeds",
            format!("{made}, not as in the original: {differs}"),
        ),
    }))
}

fn nothing_said() -> anyhow::Error {
    failure(
        "the source does not say how a text's vector is made",
        "say how: --embed last for decoders trained so, --embed mean otherwise",
    )
}

const fn words(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Mean => "the mean of all tokens' rows",
        Pooling::Last => "the last token's row",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        build: Build,
    }

    /// What becomes of a language model's text, and the line that is said.
    fn chosen(
        flags: &[&str],
        says: anyhow::Result<Option<Pooling>>,
    ) -> anyhow::Result<(TextAssets, Option<Line>)> {
        let words = ["og", "m.gguf", "--out", "m.og"].iter().chain(flags);
        let command = Command::try_parse_from(words)?;
        let mut text = TextAssets {
            chat_template: Some("{{ messages }}".to_owned()),
            ends: vec![2],
            begin: Some(1),
            ..TextAssets::default()
        };
        let line = choose(&command.build, says, &mut text)?;
        Ok((text, line))
    }

    #[test]
    fn a_language_model_stays_one_and_the_flag_is_told_of() {
        let (text, line) = chosen(&[], Ok(None)).unwrap();
        assert!(text.pooling.is_none() && text.chat_template.is_some() && line.is_none());
        for says in [Ok(Some(Pooling::Last)), Err(anyhow::anyhow!("cls"))] {
            let (text, line) = chosen(&[], says).unwrap();
            assert!(text.pooling.is_none() && text.ends == [2]);
            let line = line.unwrap();
            assert!(line.warns && line.text.contains("--embed"));
        }
    }

    #[test]
    fn vectors_are_as_asked_or_as_the_source_says() {
        for (flags, says, pooling, warns) in [
            (&["--embed"][..], Some(Pooling::Last), Pooling::Last, false),
            (&["--embed", "mean"], None, Pooling::Mean, false),
            (
                &["--embed", "last"],
                Some(Pooling::Last),
                Pooling::Last,
                false,
            ),
            (
                &["--embed", "mean"],
                Some(Pooling::Last),
                Pooling::Mean,
                true,
            ),
        ] {
            let (text, line) = chosen(flags, Ok(says)).unwrap();
            assert_eq!(text.pooling, Some(pooling));
            assert_eq!(
                (text.chat_template, text.ends, text.begin),
                (None, vec![], Some(1))
            );
            assert_eq!(line.unwrap().warns, warns, "{flags:?}");
        }
        let (text, line) = chosen(&["--embed", "mean"], Err(anyhow::anyhow!("cls"))).unwrap();
        assert_eq!(text.pooling, Some(Pooling::Mean));
        assert!(line.unwrap().text.contains("cls"));
    }

    #[test]
    fn what_cannot_be_known_is_asked_for() {
        let error = chosen(&["--embed"], Ok(None)).unwrap_err();
        let failure = error.downcast::<crate::failure::Failure>().unwrap();
        assert!(failure.next.contains("--embed last"));
        let error = chosen(&["--embed"], Err(anyhow::anyhow!("cls"))).unwrap_err();
        assert_eq!(error.to_string(), "cls");
        assert!(chosen(&["--embed", "max"], Ok(None)).is_err());
    }
}
