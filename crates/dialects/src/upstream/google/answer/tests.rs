//! Documents as Google's reference has them.

use super::*;
use crate::upstream::{Call as Asked, Service};
use og_types::language::{Format, Message, ONE, Prompt, Question, Tool, ToolCall, ToolChoice};
use serde_json::json;

fn question() -> Question {
    let call = ToolCall {
        id: "c1".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"at\":1}".to_owned(),
    };
    let mut called = Message::text("assistant", "");
    called.tool_calls = vec![call];
    let mut answered = Message::text("tool", "A cat");
    answered.tool_call_id = Some("c1".to_owned());
    let turns = vec![
        Message::text("system", "Be brief"),
        Message::text("user", "Hi"),
        called,
        answered,
    ];
    Question {
        temperature: ONE / 2,
        max_tokens: Some(9),
        top_k: 3,
        stop: vec!["a".to_owned()],
        format: Format::JsonSchema(json!({"type": "object"})),
        tools: vec![Tool {
            name: "look".to_owned(),
            description: "Looks".to_owned(),
            parameters: json!({"type": "object"}),
            strict: false,
        }],
        tool_choice: ToolChoice::Tool("look".to_owned()),
        logprobs: Some(2),
        ..Question::new(Prompt::Messages(turns))
    }
}

fn asked(question: &Question, stream: bool) -> Asked<'_> {
    Asked {
        question,
        model: "gemini-x",
        seed: Some(1 << 31 | 5),
        stream,
        most_tokens: 100,
    }
}

#[test]
fn a_question_has_googles_shape() {
    let question = question();
    let sent = Service::Google.request(&asked(&question, true)).unwrap();
    assert_eq!(sent.path, "models/gemini-x:streamGenerateContent?alt=sse");
    let call = json!({"name": "look", "args": {"at": 1}});
    let response = json!({"name": "look", "response": {"output": "A cat"}});
    assert_eq!(
        sent.body,
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"functionCall": call, "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}]},
                {"role": "user", "parts": [{"functionResponse": response}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief"}]},
            "generationConfig": {
                "temperature": 0.5, "topP": 1.0, "topK": 3, "maxOutputTokens": 9, "stopSequences": ["a"], "seed": 5,
                "responseLogprobs": true, "logprobs": 2,
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            },
            "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": {"type": "object"}, "description": "Looks"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
        })
    );
    let sent = Service::Google.request(&asked(&question, false)).unwrap();
    assert_eq!(sent.path, "models/gemini-x:generateContent");
}

#[test]
fn what_google_has_no_word_for_is_refused_by_name() {
    let refused = |question: Question| {
        let error = Service::Google
            .request(&asked(&question, false))
            .unwrap_err();
        error.input.unwrap()
    };
    let mut alone = question();
    alone.parallel_tool_calls = false;
    assert_eq!(refused(alone), "parallel_tool_calls");
    let mut penalised = question();
    penalised.repetition_penalty = 2 * ONE;
    assert_eq!(refused(penalised), "repetition_penalty");
    let mut strange = question();
    let mut orphan = Message::text("tool", "A cat");
    orphan.tool_call_id = Some("c2".to_owned());
    strange.prompt = Prompt::Messages(vec![orphan]);
    assert_eq!(refused(strange), "prompt[0].tool_call_id");
}

#[test]
fn an_answer_is_read_at_once_and_in_pieces() {
    let token = |text: &str| json!({"token": text, "tokenId": 7, "logProbability": -0.5});
    let first = json!({
        "candidates": [{"content": {"parts": [{"text": "I think", "thought": true}, {"text": "We"}], "role": "model"}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}, "modelVersion": "gemini-x-001",
    });
    let last = json!({
        "candidates": [{
            "content": {"parts": [{"text": "ll"}, {"functionCall": {"name": "look", "args": {"at": 1}}}], "role": "model"},
            "finishReason": "STOP",
            "logprobsResult": {"chosenCandidates": [token("ll")], "topCandidates": [{"candidates": [token("ll"), token("st")]}]},
        }],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 15, "thoughtsTokenCount": 5, "totalTokenCount": 30},
    });
    let mut stream = Service::Google.stream();
    let mut said = Said::empty();
    for document in [&first, &last] {
        for piece in stream
            .push(format!("data: {document}\r\n\r\n").as_bytes())
            .unwrap()
        {
            said.add(&piece).unwrap();
        }
    }
    let ended = stream.end().unwrap();
    assert_eq!(said.text, "Well");
    let call = ToolCall {
        id: "call_0".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"at\":1}".to_owned(),
    };
    assert_eq!(said.tool_calls, [call]);
    assert_eq!((said.logprobs.len(), said.logprobs[0].top.len()), (1, 2));
    assert_eq!(said.logprobs[0].chosen.logprob, -ONE / 2);
    assert_eq!(ended.finish, Finish::ToolCalls);
    let report = Report {
        model: "gemini-x-001".to_owned(),
        prompt_tokens: Some(10),
        tokens: Some(20),
    };
    assert_eq!(ended.report, report);
    let whole = Service::Google.read(last.to_string().as_bytes()).unwrap();
    assert_eq!(
        (whole.said.text.as_str(), whole.said.finish),
        ("ll", Finish::ToolCalls)
    );
}

#[test]
fn what_was_blocked_and_what_went_wrong_are_told_apart() {
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}});
    let answered = Service::Google
        .read(blocked.to_string().as_bytes())
        .unwrap();
    assert_eq!(answered.said.finish, Finish::ContentFilter);
    for reason in ["MALFORMED_FUNCTION_CALL", "OTHER"] {
        let odd = json!({"candidates": [{"finishReason": reason}]});
        let error = Service::Google
            .read(odd.to_string().as_bytes())
            .unwrap_err();
        assert!(matches!(error, AnswerError::Form(_)), "{error}");
    }
    let open = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}}]});
    assert_eq!(
        Service::Google.read(open.to_string().as_bytes()),
        Err(AnswerError::Cut)
    );
    let error = json!({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}});
    let failed = AnswerError::Failed("Overloaded".to_owned());
    assert_eq!(
        Service::Google.read(error.to_string().as_bytes()),
        Err(failed)
    );
}
