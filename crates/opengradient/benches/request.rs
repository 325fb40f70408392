//! What the proof beside one answer costs: canonical bytes, hashes, signature; and the envelope.

use criterion::{Criterion, criterion_group, criterion_main};
use og_opengradient::{SigningKey, canonical, hash, ohttp};
use rand::{SeedableRng as _, rngs::StdRng};
use std::hint::black_box;

/// A conversation of 20 messages, about 6 KB.
fn conversation() -> Vec<u8> {
    let messages: Vec<_> = (0..20)
        .map(|turn| {
            let role = if turn % 2 == 0 { "user" } else { "assistant" };
            serde_json::json!({ "role": role, "content": "Tell me more of it, please. ".repeat(10) })
        })
        .collect();
    let body = serde_json::json!({ "model": "gpt-5", "messages": messages, "max_tokens": 100 });
    body.to_string().into_bytes()
}

fn benches(criterion: &mut Criterion) {
    let key = SigningKey::generate().expect("a key");
    let short =
        br#"{"model":"gpt-5","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#;
    let long = conversation();
    let answer = "Hello! How can I help? ".repeat(4);
    for (name, body) in [("short", short.as_slice()), ("6 KB", &long)] {
        criterion.bench_function(&format!("canonical and hash, {name}"), |bencher| {
            bencher.iter(|| {
                hash::request_hash(&canonical::chat_request(black_box(body)).expect("ok"))
            });
        });
        criterion.bench_function(&format!("whole proof, {name}"), |bencher| {
            bencher.iter(|| {
                let canonical = canonical::chat_request(black_box(body)).expect("a request");
                key.attest(
                    hash::request_hash(&canonical),
                    hash::output_hash(&answer),
                    1,
                )
            });
        });
    }
    let mut random = StdRng::seed_from_u64(1);
    let recipient = ohttp::OhttpKey::generate(&mut random);
    let (sealed, _) = ohttp::seal_request(&recipient.config(), &long, &mut random).expect("sealed");
    criterion.bench_function(
        "open a sealed request and seal its answer, 6 KB",
        |bencher| {
            bencher.iter(|| {
                let (_, responder) = recipient.open(black_box(&sealed)).expect("a request");
                responder.seal([1; 32], answer.as_bytes())
            });
        },
    );
    let (_, responder) = recipient.open(&sealed).expect("a request");
    let (_, mut sealer) = responder.seal_chunks([1; 32]).expect("a stream");
    criterion.bench_function("seal a chunk", |bencher| {
        bencher.iter(|| sealer.seal(black_box(answer.as_bytes())));
    });
}

criterion_group!(request, benches);
criterion_main!(request);
