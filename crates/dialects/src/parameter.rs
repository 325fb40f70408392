//! What each API calls the inputs of a question: a model that refuses one names it as `docs/formats/language.md` does.

/// The parameter of `POST /v1/chat/completions` that became `input` of the question, whose turns and parts are the API's.
pub fn chat(input: &str) -> String {
    let (name, way) = split(input);
    let parameter = match name {
        "format" => "response_format",
        "max_tokens" => "max_completion_tokens",
        "prompt" => "messages",
        name => name,
    };
    let nested = [
        ("url", "image_url.url"),
        ("detail", "image_url.detail"),
        ("arguments", "function.arguments"),
    ];
    let way = match way.rsplit_once('.') {
        Some((before, field)) => {
            let known = nested.iter().find(|(inner, _)| *inner == field);
            format!("{before}.{}", known.map_or(field, |(_, outer)| outer))
        }
        None => way.to_owned(),
    };
    format!("{parameter}{way}")
}

/// The parameter of `POST /v1/completions`.
pub fn completions(input: &str) -> String {
    split(input).0.to_owned()
}

/// The parameter of `POST /v1/responses`; its items are not the question's turns.
pub fn responses(input: &str) -> String {
    let parameter = match split(input).0 {
        "format" => "text.format",
        "logprobs" => "top_logprobs",
        "max_tokens" => "max_output_tokens",
        "prompt" => "input",
        name => name,
    };
    parameter.to_owned()
}

/// The parameter of `POST /v1/messages`; its turns are not the question's, which has the results of tools apart.
pub fn messages(input: &str) -> String {
    let parameter = match split(input).0 {
        "format" => "output_config.format",
        "parallel_tool_calls" => "tool_choice.disable_parallel_tool_use",
        "prompt" => "messages",
        "stop" => "stop_sequences",
        name => name,
    };
    parameter.to_owned()
}

/// An input's name, and the way into its JSON.
fn split(input: &str) -> (&str, &str) {
    input.split_at(input.find(['.', '[']).unwrap_or(input.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_its_own_names() {
        let picture = "prompt[1].content[0].url";
        assert_eq!(chat(picture), "messages[1].content[0].image_url.url");
        assert_eq!(chat("prompt[1].content[0]"), "messages[1].content[0]");
        assert_eq!(completions("prompt"), "prompt");
        assert_eq!(responses(picture), "input");
        assert_eq!(messages(picture), "messages");
        let all = [chat, responses, messages].map(|parameter| parameter("format"));
        assert_eq!(
            all,
            ["response_format", "text.format", "output_config.format"]
        );
        assert_eq!(chat("top_k"), "top_k");
    }
}
