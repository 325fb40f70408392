//! The bytes that each token stands for: what decoding concatenates.

use super::TokenizerError;
use serde_json::Value;

/// Bytes that one token may stand for.
const MAX_PIECE_BYTES: usize = 8192;
/// Bytes of all tokens together.
const MAX_PIECES_BYTES: usize = 256 << 20;

/// One step of a decoder, on one token.
enum Step {
    Replace(String, String),
    ByteFallback,
    ByteLevel,
    /// Leading and trailing characters of each token.
    Strip(char, usize, usize),
    /// `▁` becomes a space; in the first token it vanishes, if the flag says so.
    Metaspace(char, bool),
    /// Tokens without the prefix are words of their own; the flag tidies spaces before punctuation.
    WordPiece(String, bool),
    /// Without any decoder, tokens are joined by spaces.
    Join,
}

/// How token strings become bytes.
pub(super) struct Rules {
    steps: Vec<Step>,
    /// Of the whole text, up to so many of this byte are dropped from the front.
    strip: Option<(u8, usize)>,
}

impl Rules {
    /// Understands the `decoder` of a `tokenizer.json`.
    pub(super) fn new(decoder: &Value) -> Result<Self, TokenizerError> {
        let mut rules = Self {
            steps: Vec::new(),
            strip: None,
        };
        if decoder.is_null() {
            rules.steps.push(Step::Join);
            return Ok(rules);
        }
        let mut list = Vec::new();
        flatten(decoder, &mut list);
        let mut fused = false;
        for component in list {
            rules.add(component, &mut fused)?;
        }
        Ok(rules)
    }

    fn add(&mut self, component: &Value, fused: &mut bool) -> Result<(), TokenizerError> {
        let kind = component["type"].as_str().unwrap_or_default();
        let unsupported = |why: &str| Err(TokenizerError::Decoder(format!("{kind:?}{why}")));
        if *fused && !matches!(kind, "Strip" | "Fuse") {
            return unsupported(" after tokens were fused");
        }
        let bytes_before = self
            .steps
            .iter()
            .any(|step| matches!(step, Step::ByteFallback));
        if bytes_before && !matches!(kind, "Fuse") && !*fused {
            return unsupported(" between ByteFallback and Fuse");
        }
        let character = |name: &str| {
            component[name]
                .as_str()
                .and_then(|text| text.chars().next())
        };
        let number = |name: &str| {
            component[name]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(0)
        };
        let step = match kind {
            "Fuse" => {
                *fused = true;
                return Ok(());
            }
            "Strip" => {
                let (Some(content), start, stop) =
                    (character("content"), number("start"), number("stop"))
                else {
                    return unsupported(" without content");
                };
                if *fused {
                    if stop > 0 || !content.is_ascii() || self.strip.is_some() {
                        return unsupported(" of more than one ASCII character in front");
                    }
                    self.strip = Some((content as u8, start));
                    return Ok(());
                }
                Step::Strip(content, start, stop)
            }
            "Replace" => match (
                component["pattern"]["String"].as_str(),
                component["content"].as_str(),
            ) {
                (Some(pattern), Some(content)) if !pattern.is_empty() && content.len() <= 64 => {
                    Step::Replace(pattern.to_owned(), content.to_owned())
                }
                _ => return unsupported(" of an expression"),
            },
            "ByteFallback" => Step::ByteFallback,
            "ByteLevel" => {
                *fused = true;
                Step::ByteLevel
            }
            "Metaspace" => {
                let never = component["prepend_scheme"] == "never"
                    || component["add_prefix_space"] == false;
                Step::Metaspace(character("replacement").unwrap_or('▁'), !never)
            }
            "WordPiece" => Step::WordPiece(
                component["prefix"].as_str().unwrap_or("##").to_owned(),
                component["cleanup"].as_bool().unwrap_or(true),
            ),
            _ => return unsupported(""),
        };
        self.steps.push(step);
        Ok(())
    }

    /// The bytes of a token's string, as the first token of a text or a later one.
    pub(super) fn bytes(&self, token: &str, first: bool) -> Vec<u8> {
        let mut text = token.to_owned();
        for step in &self.steps {
            text = match step {
                Step::Replace(pattern, content) => text.replace(pattern, content),
                Step::Strip(content, start, stop) => {
                    strip(&text, *content, *start, *stop).to_owned()
                }
                Step::Metaspace(replacement, drop_first) => {
                    let space = if first && *drop_first { "" } else { " " };
                    text.replace(*replacement, space)
                }
                Step::WordPiece(prefix, cleanup) => word_piece(&text, prefix, *cleanup, first),
                Step::Join if first => text,
                Step::Join => format!(" {text}"),
                Step::ByteFallback => match fallback_byte(&text) {
                    Some(byte) => return vec![byte],
                    None => text,
                },
                Step::ByteLevel => {
                    let bytes: Option<Vec<u8>> = text.chars().map(byte_of_char).collect();
                    return bytes.unwrap_or_else(|| text.into_bytes());
                }
            };
        }
        text.into_bytes()
    }
}

fn flatten<'a>(component: &'a Value, list: &mut Vec<&'a Value>) {
    match component["decoders"].as_array() {
        Some(children) if component["type"] == "Sequence" => {
            children.iter().for_each(|child| flatten(child, list))
        }
        _ => list.push(component),
    }
}

fn strip(text: &str, content: char, start: usize, stop: usize) -> &str {
    let mut rest = text;
    for _ in 0..start.min(text.len()) {
        rest = rest.strip_prefix(content).unwrap_or(rest);
    }
    for _ in 0..stop.min(text.len()) {
        rest = rest.strip_suffix(content).unwrap_or(rest);
    }
    rest
}

fn word_piece(token: &str, prefix: &str, cleanup: bool, first: bool) -> String {
    let text = match token.strip_prefix(prefix) {
        _ if first => token.to_owned(),
        Some(rest) => rest.to_owned(),
        None => format!(" {token}"),
    };
    if !cleanup {
        return text;
    }
    const TIDY: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    TIDY.iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}

/// The byte of a token like `<0x0A>`.
pub(super) fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let well_formed = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    well_formed
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// The byte that a character of a byte-level vocabulary stands for: printable Latin-1 is itself, the others
/// are numbered from U+0100 on.
fn byte_of_char(character: char) -> Option<u8> {
    let itself = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(character) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(|&byte| itself(byte)),
        code @ 0x100..=0x143 => (0..=255)
            .filter(|&byte| !itself(byte))
            .nth((code - 0x100) as usize),
        _ => None,
    }
}

/// Every token's bytes.
pub(super) struct Pieces {
    rules: Rules,
    bytes: Vec<u8>,
    /// Where each token's bytes end; a token that is not there has none.
    ends: Vec<u32>,
}

impl Pieces {
    /// Works out the bytes of all tokens; `None` is an id without a token.
    pub(super) fn new(rules: Rules, tokens: &[Option<String>]) -> Result<Self, TokenizerError> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(tokens.len()));
        for (id, token) in tokens.iter().enumerate() {
            if let Some(token) = token {
                let piece = rules.bytes(token, false);
                if piece.len() > MAX_PIECE_BYTES || bytes.len() + piece.len() > MAX_PIECES_BYTES {
                    return Err(TokenizerError::Refused(format!(
                        "token {id} stands for {} bytes",
                        piece.len()
                    )));
                }
                bytes.extend_from_slice(&piece);
            }
            ends.push(bytes.len() as u32);
        }
        Ok(Self { rules, bytes, ends })
    }

    /// The bytes of a token that is not the first of a text.
    pub(super) fn of(&self, id: u32) -> Option<&[u8]> {
        let index = usize::try_from(id).ok()?;
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(start as usize..end as usize)
    }
}

/// Where decoding stands: the rules for the front of a text need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodeState {
    first: bool,
    stripped: usize,
    stripping: bool,
}

impl DecodeState {
    /// Before the first token of a text.
    pub(crate) const BEGINNING: Self = Self {
        first: true,
        stripped: 0,
        stripping: true,
    };
    /// After a text that was decoded before.
    pub(crate) const CONTINUATION: Self = Self {
        first: false,
        stripped: 0,
        stripping: false,
    };

    /// Appends the bytes of the next token, whose string is `token` and which must exist.
    pub(super) fn push(&mut self, pieces: &Pieces, id: u32, token: &str, out: &mut Vec<u8>) {
        let first_piece;
        let mut piece = if self.first {
            first_piece = pieces.rules.bytes(token, true);
            &first_piece[..]
        } else {
            pieces.of(id).unwrap_or_default()
        };
        self.first = false;
        if let (true, Some((content, most))) = (self.stripping, pieces.rules.strip) {
            while self.stripped < most && piece.first() == Some(&content) {
                piece = &piece[1..];
                self.stripped += 1;
            }
            self.stripping = self.stripped < most && piece.is_empty();
        }
        out.extend_from_slice(piece);
    }
}
