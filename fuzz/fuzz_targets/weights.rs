//! GGUF files, and headers, indices and configurations of Hugging Face directories, up to their weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_import::{
    checkpoint::{Shards, read_config, read_index},
    decoder::{Role, Source as _},
    gguf::{Gguf, GgufDecoder},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(gguf) = Gguf::read(bytes) {
        let _ = gguf.vocabulary();
        let _ = gguf.chat_template();
        for name in gguf.tensor_names() {
            if let Some(Ok(Ok(tensor))) = gguf.tensor(name) {
                let _ = tensor.read();
            }
        }
        if let Ok(decoder) = GgufDecoder::new(&gguf, 64) {
            let _ = decoder.config().check();
            let _ = decoder.weight(Role::FinalNorm);
            let _ = decoder.bias(Role::FinalNorm);
        }
    }
    let _ = read_index(bytes);
    if let Ok(json) = serde_json::from_slice(bytes)
        && let Ok((_, config)) = read_config(&json, 64)
    {
        let _ = config.check();
    }
    if let Ok(shards) = Shards::read([("w", bytes)].into_iter())
        && let Ok(Some(tensor)) = shards.tensor("w")
    {
        let _ = tensor.read();
    }
});
