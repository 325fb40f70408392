//! GGUF files: written here as the format says, read back, cut and changed in every way.

use super::*;
use crate::{
    convert::{Options, run_float},
    decoder::{
        Activation, Arithmetic, DecoderConfig, FeedForward, Norm, Part, Random, Role, Rotary,
        Shape, Source,
    },
};
use og_program::file::Pooling;
use proptest::prelude::*;

/// Writes GGUF files.
#[derive(Default)]
struct Writer {
    metadata: Vec<u8>,
    entries: u64,
    infos: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Writer {
    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.metadata
            .extend([&*string(key), &kind.to_le_bytes(), value].concat());
        self.entries += 1;
    }

    fn text(&mut self, key: &str, text: &str) {
        self.entry(key, 8, &string(text));
    }

    fn integer(&mut self, key: &str, n: u32) {
        self.entry(key, 4, &n.to_le_bytes());
    }

    fn float(&mut self, key: &str, x: f32) {
        self.entry(key, 6, &x.to_le_bytes());
    }

    fn tensor(&mut self, name: &str, extents: &[usize], values: &[f32]) {
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self.infos.extend(string(name));
        self.infos.extend((extents.len() as u32).to_le_bytes());
        for extent in extents {
            self.infos.extend((*extent as u64).to_le_bytes());
        }
        self.infos.extend(0_u32.to_le_bytes());
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        self.data
            .extend(values.iter().flat_map(|x| x.to_le_bytes()));
        self.tensors += 1;
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(&self.metadata);
        bytes.extend(&self.infos);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(&self.data);
        bytes
    }
}

fn sample() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text("general.architecture", "llama");
    writer.integer("n", 7);
    writer.float("x", 0.5);
    writer.entry("yes", 7, &[1]);
    writer.entry("minus", 11, &(-3_i64).to_le_bytes());
    let words = [
        &8_u32.to_le_bytes()[..],
        &2_u64.to_le_bytes(),
        &string("a"),
        &string("b"),
    ]
    .concat();
    writer.entry("tokenizer.ggml.tokens", 9, &words);
    writer.tensor("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    writer.tensor("v", &[2], &[7.0, 8.0]);
    writer.bytes()
}

#[test]
fn everything_is_read_back() {
    let bytes = sample();
    let gguf = Gguf::read(&bytes).unwrap();
    assert_eq!(gguf.value("n").unwrap().integer(), Some(7));
    assert_eq!(gguf.value("x").unwrap().number(), Some(0.5));
    assert_eq!(gguf.value("yes").unwrap().truth(), Some(true));
    assert_eq!(gguf.value("minus"), Some(&Value::Integer(-3)));
    assert_eq!(gguf.vocabulary().tokens, ["a", "b"]);
    let tensor = gguf.tensor("w").unwrap().unwrap().unwrap();
    assert_eq!((tensor.rows(), tensor.columns()), (2, 3));
    assert_eq!(tensor.read().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(
        gguf.tensor("v").unwrap().unwrap().unwrap().read().unwrap(),
        [7.0, 8.0]
    );
    assert!(gguf.tensor("u").is_none());
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(Gguf::read(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn hostile_numbers_are_named() {
    let header = |tensors: u64, entries: u64, rest: &[u8]| {
        [
            b"GGUF\x03\0\0\0",
            &tensors.to_le_bytes()[..],
            &entries.to_le_bytes(),
            rest,
        ]
        .concat()
    };
    assert_eq!(Gguf::read(b"GGML"), Err(GgufError::Magic));
    assert_eq!(Gguf::read(b"GGUF\x01\0\0\0"), Err(GgufError::Version(1)));
    assert!(matches!(
        Gguf::read(&header(u64::MAX, 0, &[])),
        Err(GgufError::Count { .. })
    ));
    assert!(matches!(
        Gguf::read(&header(0, u64::MAX, &[])),
        Err(GgufError::Count { .. })
    ));
    let long = [&u64::MAX.to_le_bytes()[..], &[0; 32]].concat();
    assert!(matches!(
        Gguf::read(&header(0, 1, &long)),
        Err(GgufError::Truncated { .. })
    ));
    let array = |kind: u32, count: u64, rest: &[u8]| {
        [&kind.to_le_bytes()[..], &count.to_le_bytes(), rest].concat()
    };
    let with = |value: &[u8]| header(0, 1, &[&*string("k"), &9_u32.to_le_bytes(), value].concat());
    assert!(matches!(
        Gguf::read(&with(&array(4, u64::MAX, &[]))),
        Err(GgufError::Truncated { .. })
    ));
    assert!(matches!(
        Gguf::read(&with(&array(8, u64::MAX, &[]))),
        Err(GgufError::Truncated { .. })
    ));
    assert!(matches!(
        Gguf::read(&with(&array(99, 1, &[]))),
        Err(GgufError::ValueType { kind: 99, .. })
    ));
    let deep = (0..100).fold(vec![], |inner, _| array(9, 1, &inner));
    assert_eq!(Gguf::read(&with(&deep)), Err(GgufError::Depth("k".into())));
    let mut aligned = Writer::default();
    aligned.integer("general.alignment", 24);
    assert_eq!(Gguf::read(&aligned.bytes()), Err(GgufError::Alignment(24)));
    let mut twice = Writer::default();
    twice.integer("n", 1);
    twice.integer("n", 2);
    assert!(matches!(
        Gguf::read(&twice.bytes()),
        Err(GgufError::Name { .. })
    ));
    for extents in [vec![0], vec![usize::MAX, usize::MAX], vec![1 << 47]] {
        let mut wrong = Writer::default();
        wrong.tensor("w", &extents, &[1.0]);
        assert!(
            matches!(Gguf::read(&wrong.bytes()), Err(GgufError::Tensor { .. })),
            "{extents:?}"
        );
    }
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = sample();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(gguf) = Gguf::read(&bytes) {
            let _ = gguf.vocabulary();
            let _ = GgufDecoder::new(&gguf, 64).map(|decoder| decoder.config().check());
            for name in gguf.tensor_names() {
                if let Some(Ok(Ok(tensor))) = gguf.tensor(name) {
                    let _ = tensor.read();
                }
            }
        }
    }
}

/// Fused tensors of `gpt2` and `phi3`, in their order.
fn fused(architecture: &str, part: Part) -> Option<(&'static str, &'static [Part])> {
    const QKV: &[Part] = &[Part::Query, Part::Key, Part::Value];
    match part {
        Part::Query if matches!(architecture, "gpt2" | "phi3") => Some(("attn_qkv", QKV)),
        Part::Key | Part::Value if matches!(architecture, "gpt2" | "phi3") => Some(("", &[])),
        Part::Gate if architecture == "phi3" => Some(("ffn_up", &[Part::Gate, Part::Up])),
        Part::Up if architecture == "phi3" => Some(("", &[])),
        _ => None,
    }
}

const PARTS: [(Part, &str); 13] = [
    (Part::AttentionNorm, "attn_norm"),
    (Part::Query, "attn_q"),
    (Part::Key, "attn_k"),
    (Part::Value, "attn_v"),
    (Part::QueryNorm, "attn_q_norm"),
    (Part::KeyNorm, "attn_k_norm"),
    (Part::AttentionOutput, "attn_output"),
    (Part::PostAttentionNorm, "post_attention_norm"),
    (Part::FeedForwardNorm, "ffn_norm"),
    (Part::Gate, "ffn_gate"),
    (Part::Up, "ffn_up"),
    (Part::Down, "ffn_down"),
    (Part::PostFeedForwardNorm, "post_ffw_norm"),
];

fn put(writer: &mut Writer, source: &Random, name: &str, roles: &[Role]) {
    let (rows, columns) = roles.iter().fold((0, 0), |(rows, _), role| {
        let shape = source.config().shape(*role);
        (rows + shape.0, shape.1)
    });
    let weights = roles
        .iter()
        .flat_map(|role| source.weight(*role).unwrap().read().unwrap());
    let extents = if rows == 1 {
        vec![columns]
    } else {
        vec![columns, rows]
    };
    writer.tensor(
        &format!("{name}.weight"),
        &extents,
        &weights.collect::<Vec<_>>(),
    );
    let biases: Vec<f32> = roles
        .iter()
        .filter_map(|role| source.bias(*role).unwrap())
        .flatten()
        .collect();
    if !biases.is_empty() {
        writer.tensor(&format!("{name}.bias"), &[biases.len()], &biases);
    }
}

/// A file of a decoder, with the names of llama.cpp.
fn file(architecture: &str, source: &Random) -> Vec<u8> {
    let (config, mut writer) = (source.config(), Writer::default());
    writer.text("general.architecture", architecture);
    let mut integer = |key: &str, n: u32| writer.integer(&format!("{architecture}.{key}"), n);
    integer("embedding_length", config.width);
    integer("block_count", config.layers.len() as u32);
    integer("context_length", config.positions);
    integer("feed_forward_length", config.feed_forward_width);
    integer("attention.head_count", config.heads);
    integer("attention.head_count_kv", config.kv_heads);
    integer("attention.key_length", config.head_width);
    if let Some(window) = config.layers[0].window {
        integer("attention.sliding_window", window);
    }
    match config.norm {
        Norm::Layer { epsilon } => writer.float(
            &format!("{architecture}.attention.layer_norm_epsilon"),
            epsilon as f32,
        ),
        Norm::RootMeanSquare { epsilon, .. } => {
            writer.float(
                &format!("{architecture}.attention.layer_norm_rms_epsilon"),
                epsilon as f32,
            );
        }
    }
    put(&mut writer, source, "token_embd", &[Role::TokenEmbedding]);
    put(&mut writer, source, "output_norm", &[Role::FinalNorm]);
    if config.learned_positions {
        put(
            &mut writer,
            source,
            "position_embd",
            &[Role::PositionEmbedding],
        );
    }
    if !config.tied {
        put(&mut writer, source, "output", &[Role::Output]);
    }
    for layer in 0..config.layers.len() as u32 {
        for (part, name) in PARTS {
            let absent = match part {
                Part::QueryNorm | Part::KeyNorm => !config.query_key_norm,
                Part::PostAttentionNorm | Part::PostFeedForwardNorm => !config.post_norms,
                Part::Gate => matches!(config.feed_forward, FeedForward::Plain(_)),
                _ => false,
            };
            let (name, parts) =
                fused(architecture, part).unwrap_or((name, std::slice::from_ref(&part)));
            if !absent && !parts.is_empty() {
                let roles: Vec<Role> = parts.iter().map(|part| Role::Layer(layer, *part)).collect();
                put(&mut writer, source, &format!("blk.{layer}.{name}"), &roles);
            }
        }
    }
    writer.bytes()
}

fn described(architecture: &str) -> DecoderConfig {
    let shape = Shape {
        name: "tiny",
        width: 32,
        layers: 7,
        heads: 4,
        kv_heads: if architecture == "gpt2" { 4 } else { 2 },
        feed_forward_width: 48,
        vocabulary: 40,
    };
    let mut config = shape.config();
    config.tied = architecture == "gemma3";
    let rotary = |base| Rotary::new(architecture != "llama", 8, base, None).unwrap();
    for (index, layer) in config.layers.iter_mut().enumerate() {
        let local = architecture == "gemma3" && index % 6 < 5;
        layer.rotary = match architecture {
            "gpt2" => None,
            "gemma3" => Some(rotary(if local { 1e4 } else { 1e6 })),
            _ => Some(rotary(1e4)),
        };
        layer.window = local.then_some(3);
    }
    config.query_key_norm = matches!(architecture, "gemma3" | "qwen3");
    if architecture == "gemma3" {
        config.post_norms = true;
        config.embedding_scale = 32_f64.sqrt();
        config.feed_forward = FeedForward::Gated(Activation::GeluTanh);
    }
    if architecture == "gpt2" {
        config.learned_positions = true;
        config.norm = Norm::Layer { epsilon: 1e-5 };
        config.feed_forward = FeedForward::Plain(Activation::GeluTanh);
    }
    config
}

#[test]
fn all_architectures_are_read_with_their_weights() {
    for architecture in ["llama", "qwen2", "qwen3", "gemma3", "gpt2", "phi3"] {
        let source = Random::new(described(architecture), 11).with_biases();
        let bytes = file(architecture, &source);
        let gguf = Gguf::read(&bytes).unwrap();
        let decoder = GgufDecoder::new(&gguf, 64).unwrap();
        let (mut have, want) = (decoder.config().clone(), source.config().clone());
        // A 32-bit float of the file.
        have.norm = want.norm;
        assert_eq!(have, want, "{architecture}");
        let options = Options {
            evaluation: vec![vec![3, 1, 4, 1, 5, 9, 2, 6]],
            ..Options::default()
        };
        let of = |source: &dyn Source| run_float(source, &options, Arithmetic::Float).unwrap();
        let (a, b) = (of(&decoder), of(&source));
        assert!(
            crate::quality::cosine(&a.output, &b.output) > 1.0 - 1e-9,
            "{architecture}"
        );
    }
}

#[test]
fn pooling_is_what_the_file_says() {
    let said = |number: Option<u32>| {
        let mut writer = Writer::default();
        writer.text("general.architecture", "qwen3");
        if let Some(number) = number {
            writer.integer("qwen3.pooling_type", number);
        }
        let bytes = writer.bytes();
        let pooling = Gguf::read(&bytes).unwrap().pooling();
        pooling.map_err(|error| error.to_string())
    };
    assert_eq!(said(None), Ok(None));
    assert_eq!(said(Some(0)), Ok(None));
    assert_eq!(said(Some(1)), Ok(Some(Pooling::Mean)));
    assert_eq!(said(Some(3)), Ok(Some(Pooling::Last)));
    for (number, name) in [(2, "cls"), (4, "rank"), (9, "9")] {
        let error = said(Some(number)).unwrap_err();
        assert!(
            error.starts_with("qwen3.pooling_type") && error.contains(name),
            "{error}"
        );
    }
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    let named = |change: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::default();
        change(&mut writer);
        let bytes = writer.bytes();
        let gguf = Gguf::read(&bytes).unwrap();
        GgufDecoder::new(&gguf, 64).unwrap_err().to_string()
    };
    assert!(named(&|writer| writer.text("general.architecture", "rwkv")).contains("rwkv"));
    let error = named(&|writer| writer.text("general.architecture", "llama"));
    assert!(error.contains("llama.attention.head_count"), "{error}");
    let error = named(&|writer| {
        writer.text("general.architecture", "llama");
        writer.integer("llama.attention.head_count", 4);
        writer.integer("llama.embedding_length", 32);
        writer.entry("llama.attention.causal", 7, &[0]);
    });
    assert!(error.contains("llama.attention.causal"), "{error}");
}
