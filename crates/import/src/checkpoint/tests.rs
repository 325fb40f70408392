//! Directories of models: what is damaged or hostile is named.

use super::*;
use proptest::prelude::*;
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
    ] {
        let mut config = llama();
        config[key] = value;
        let error = read_config(&config, 64).unwrap_err().to_string();
        assert!(error.contains(part), "{key}: {error}");
    }
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
