//! What the environment says of traces, in the variables that OpenTelemetry defines.
//!
//! Here stand those that decide whether, and where, spans go. The exporter itself reads the others: `OTEL_EXPORTER_OTLP_HEADERS`
//! and `_TIMEOUT`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`.

use axum::http::Uri;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
};

/// Where a collector takes spans, if its address is given for all that it takes.
const TRACES_PATH: &str = "v1/traces";
/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// Spans cannot be handed to a collector as the environment says.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A variable names no address that spans can be sent to.
    #[error(
        "{variable}: {value:?} is no address of a collector. Write for example http://127.0.0.1:4318; for https \
         let a collector on this machine pass traces on"
    )]
    Address {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// A variable asks for a protocol that is not spoken.
    #[error(
        "{variable}: {value:?} is not spoken here. Leave it out, or write {PROTOCOL}; collectors take that on port 4318"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// A variable that the exporter reads makes no sense to it.
    #[error("traces cannot be exported as the variables OTEL_… in the environment say: {0}")]
    Exporter(String),
}

/// The address that takes spans, as the variables say, each asked for by its name; `None` if they name no collector, or traces
/// are switched off.
pub(crate) fn collector(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, TracesError> {
    // An empty variable counts as none, says the specification.
    let says = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is = |name: &str, word: &str| says(name).is_some_and(|value| value == word);
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let own = says(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
    let collector = match (own, says(OTEL_EXPORTER_OTLP_ENDPOINT)) {
        (Some(own), _) => address(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, own)?,
        (None, Some(general)) => {
            let general = address(OTEL_EXPORTER_OTLP_ENDPOINT, general)?;
            format!("{}/{TRACES_PATH}", general.trim_end_matches('/'))
        }
        (None, None) => return Ok(None),
    };
    let own = (
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
        OTEL_EXPORTER_OTLP_PROTOCOL,
    );
    let protocol = says(own.0).map(|value| (own.0, value));
    let protocol = protocol.or_else(|| Some((own.1, says(own.1)?)));
    match protocol {
        Some((variable, value)) if value != PROTOCOL => {
            Err(TracesError::Protocol { variable, value })
        }
        _ => Ok(Some(collector)),
    }
}

fn address(variable: &'static str, value: String) -> Result<String, TracesError> {
    let uri = value.parse::<Uri>().ok();
    match uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some()) {
        true => Ok(value),
        false => Err(TracesError::Address { variable, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<String>, TracesError> {
        collector(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn spans_go_where_the_variables_say_and_nowhere_without_them() {
        let general = (OTEL_EXPORTER_OTLP_ENDPOINT, "http://collector:4318/");
        let own = (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "http://10.0.0.1/spans");
        let protocol = (OTEL_EXPORTER_OTLP_PROTOCOL, PROTOCOL);
        for (variables, expected) in [
            (&[][..], None),
            (&[(OTEL_EXPORTER_OTLP_ENDPOINT, "")], None),
            (
                &[general, protocol],
                Some("http://collector:4318/v1/traces"),
            ),
            (&[general, own], Some(own.1)),
            (&[general, ("OTEL_SDK_DISABLED", "true")], None),
            (&[general, ("OTEL_TRACES_EXPORTER", "none")], None),
        ] {
            let collector = read(variables).unwrap();
            assert_eq!(collector.as_deref(), expected, "{variables:?}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said_with_the_variable() {
        for (variables, expected) in [
            (
                &[(OTEL_EXPORTER_OTLP_ENDPOINT, "collector:4318")][..],
                "OTEL_EXPORTER_OTLP_ENDPOINT: \"collector:4318\" is no address",
            ),
            (
                &[(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "https://collector/")],
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: \"https://collector/\" is no address",
            ),
            (
                &[
                    (OTEL_EXPORTER_OTLP_ENDPOINT, "http://collector:4317"),
                    (OTEL_EXPORTER_OTLP_PROTOCOL, "grpc"),
                ],
                "OTEL_EXPORTER_OTLP_PROTOCOL: \"grpc\" is not spoken",
            ),
        ] {
            let error = read(variables).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
