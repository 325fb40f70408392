//! Directories of models: what is damaged or hostile is named.

use super::*;
use crate::{
    convert::{Options, Purpose, convert},
    decoder::{Random, Rotary, Shape},
};
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::json;

fn llama() -> serde_json::Value {
    json!({
        "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64
    })
}

#[test]
fn older_and_newer_ways_to_write_angles_agree() {
    let mut older = llama();
    older["rope_theta"] = json!(5000.0);
    older["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
    let mut newer = llama();
    newer["rope_parameters"] = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0});
    let (older, newer) = (
        read_config(&older, 64).unwrap(),
        read_config(&newer, 64).unwrap(),
    );
    assert_eq!(older, newer);
    let rotary = newer.1.layers[0].rotary.clone().unwrap();
    assert!((rotary.frequencies[0] - 0.5).abs() < 1e-12);
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    for (key, value, part) in [
        ("model_type", json!("mamba"), "mamba"),
        ("hidden_size", json!(null), "hidden_size"),
        ("hidden_size", json!(-4), "hidden_size"),
        ("num_attention_heads", json!(0), "heads"),
        ("num_hidden_layers", json!(4_000_000), "num_hidden_layers"),
        ("hidden_act", json!("relu6"), "relu6"),
        ("rope_scaling", json!({"type": "ntk"}), "ntk"),
        ("rope_scaling", json!({"type": "linear"}), "factor"),
        ("use_bidirectional_attention", json!(true), "bidirectional"),
        ("is_causal", json!(false), "causal"),
    ] {
        let mut config = llama();
        config[key] = value;
        let error = read_config(&config, 64).unwrap_err().to_string();
        assert!(error.contains(part), "{key}: {error}");
    }
}

#[test]
fn pooling_is_what_the_directory_says() {
    let modes = |names: &[&str]| {
        let all = ["cls_token", "mean_tokens", "max_tokens", "lasttoken"];
        let entries =
            all.map(|name| (format!("pooling_mode_{name}"), json!(names.contains(&name))));
        serde_json::Value::Object(entries.into_iter().collect())
    };
    let said = |pooling| read_pooling(&pooling, None).map_err(|error| error.to_string());
    assert_eq!(said(modes(&["mean_tokens"])), Ok(Pooling::Mean));
    assert_eq!(said(modes(&["lasttoken"])), Ok(Pooling::Last));
    assert_eq!(said(json!({"pooling_mode": "mean"})), Ok(Pooling::Mean));
    assert_eq!(
        said(json!({"pooling_mode": ["lasttoken"]})),
        Ok(Pooling::Last)
    );
    for names in [
        &[][..],
        &["cls_token"],
        &["max_tokens"],
        &["mean_tokens", "lasttoken"],
    ] {
        let error = said(modes(names)).unwrap_err();
        assert!(error.contains("1_Pooling") && error.contains("possible"));
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }
    let modules = |names: &[&str]| {
        let types = names.iter();
        let types =
            types.map(|name| json!({"type": format!("sentence_transformers.models.{name}")}));
        let modules = serde_json::Value::Array(types.collect());
        read_pooling(&modes(&["lasttoken"]), Some(&modules))
    };
    assert!(modules(&["Transformer", "Pooling", "Normalize"]).is_ok());
    let error = modules(&["Transformer", "Pooling", "Dense"]).unwrap_err();
    assert!(error.to_string().contains("Dense"), "{error}");
}

/// Such a directory has no matrix to logits, says that there is one, and its names have no prefix.
#[test]
fn a_directory_of_a_model_that_embeds_is_converted() {
    let (directory, shape) = (
        tempfile::tempdir().unwrap(),
        Shape {
            name: "llama",
            width: 16,
            layers: 2,
            heads: 2,
            kv_heads: 2,
            feed_forward_width: 24,
            vocabulary: 32,
        },
    );
    let mut config = shape.config();
    for layer in &mut config.layers {
        layer.rotary = Some(Rotary::new(true, 8, 1e4, None).unwrap());
    }
    let source = Random::new(config, 3);
    let layers = (0..2).flat_map(|layer| {
        [
            (Part::AttentionNorm, "input_layernorm"),
            (Part::Query, "self_attn.q_proj"),
            (Part::Key, "self_attn.k_proj"),
            (Part::Value, "self_attn.v_proj"),
            (Part::AttentionOutput, "self_attn.o_proj"),
            (Part::FeedForwardNorm, "post_attention_layernorm"),
            (Part::Gate, "mlp.gate_proj"),
            (Part::Up, "mlp.up_proj"),
            (Part::Down, "mlp.down_proj"),
        ]
        .map(|(part, name)| (Role::Layer(layer, part), format!("layers.{layer}.{name}")))
    });
    let ends = [
        (Role::TokenEmbedding, "embed_tokens"),
        (Role::FinalNorm, "norm"),
    ];
    let ends = ends.map(|(role, name)| (role, name.to_owned()));
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = layers
        .chain(ends)
        .map(|(role, name)| {
            let (rows, columns) = source.config().shape(role);
            let extents = if rows == 1 {
                vec![columns]
            } else {
                vec![rows, columns]
            };
            let floats = source.weight(role).unwrap().read().unwrap();
            let bytes = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
            (format!("{name}.weight"), extents, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, extents, bytes)| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, extents.clone(), bytes);
        (name, view.unwrap())
    });
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes);
    write(
        "model.safetensors",
        &safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
    let mut config = llama();
    config["tie_word_embeddings"] = json!(false);
    write("config.json", config.to_string().as_bytes()).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert_eq!(checkpoint.pooling().unwrap(), None);
    let options = Options {
        purpose: Purpose::Embed,
        evaluation: vec![vec![3, 1, 4, 1, 5]],
        ..Options::default()
    };
    let rows = |source: &dyn Source| {
        let made = convert(source, &options, &mut |_| {}).unwrap();
        assert_eq!(made.program.outputs[0].name, "hidden");
        made.float.output
    };
    let (read, original) = (rows(&checkpoint.decoder(64).unwrap()), rows(&source));
    assert!(crate::quality::cosine(&read, &original) > 1.0 - 1e-6);
    std::fs::create_dir(directory.path().join("1_Pooling")).unwrap();
    write(POOLING, br#"{"pooling_mode_lasttoken": true}"#).unwrap();
    assert_eq!(checkpoint.pooling().unwrap(), Some(Pooling::Last));
}

#[test]
fn an_index_names_files_of_its_directory() {
    let index = |file: &str| json!({"weight_map": {"a": file, "b": "x.safetensors"}}).to_string();
    assert_eq!(
        read_index(index("x.safetensors").as_bytes()).unwrap(),
        ["x.safetensors"]
    );
    for file in ["../x", "/etc/passwd", "", "..", "a\\b"] {
        assert!(read_index(index(file).as_bytes()).is_err(), "{file}");
    }
    assert!(read_index(b"{}").is_err());
    assert!(read_index(b"[").is_err());
    assert!(read_index(br#"{"weight_map": {}}"#).is_err());
}

#[test]
fn damaged_weights_are_named() {
    let huge = [255_u8; 16];
    for bytes in [&b""[..], &huge, b"\x02\0\0\0\0\0\0\0{}x"] {
        let error = Shards::read([("w", bytes)].into_iter()).unwrap_err();
        assert!(matches!(error, CheckpointError::Weights { .. }));
    }
}

proptest! {
    #[test]
    fn no_bytes_break_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_index(&bytes);
        let _ = Shards::read([("w", &*bytes)].into_iter());
    }

    #[test]
    fn no_numbers_break_the_configuration(numbers in prop::collection::vec(prop_oneof![Just(0_u64), 1..100_u64, any::<u64>()], 6)) {
        let keys = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "head_dim"];
        let mut config = llama();
        for (key, number) in keys.into_iter().zip(numbers) {
            config[key] = json!(number);
        }
        if let Ok((_, config)) = read_config(&config, 64) {
            let _ = config.check();
        }
    }
}
