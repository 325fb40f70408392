//! Between what people type and what contracts read: the ABI, by alloy's implementation of it.

use super::Input;
use crate::{failure::failure, output::printable};
use alloy_dyn_abi::{DynSolValue, FunctionExt as _, JsonAbiExt as _, Specifier as _};
use alloy_json_abi::{Function, Param};
use alloy_primitives::{Bytes, hex};
use serde_json::Value;

/// A function as `name(inputs)`, `name(inputs)(outputs)`, or as Solidity writes it.
pub(super) fn function(text: &str) -> anyhow::Result<Function> {
    Function::parse(text).map_err(|error| {
        failure(
            format!("{text:?} is no function: {error}"),
            "write its name and types, for example 'balanceOf(address)(uint256)'",
        )
    })
}

/// The input of a call, and the function that is called if one is named.
pub(super) fn input(input: &Input) -> anyhow::Result<(Bytes, Option<Function>)> {
    let Some(text) = &input.function else {
        return Ok((input.data.clone().unwrap_or_default(), None));
    };
    let function = function(text)?;
    let values = values(&function.signature(), &function.inputs, &input.arguments)?;
    let encoded = function.abi_encode_input(&values)?;
    Ok((encoded.into(), Some(function)))
}

/// What people typed as the arguments of `name`.
pub(super) fn values(
    name: &str,
    parameters: &[Param],
    texts: &[String],
) -> anyhow::Result<Vec<DynSolValue>> {
    if parameters.len() != texts.len() {
        return Err(failure(
            format!(
                "{name} takes {} arguments, not {}",
                parameters.len(),
                texts.len()
            ),
            "give one for each type, each in quotes if it has spaces or brackets",
        ));
    }
    let pairs = parameters.iter().zip(texts).enumerate();
    pairs
        .map(|(index, (parameter, text))| {
            let kind = parameter.resolve()?;
            kind.coerce_str(text).map_err(|_| {
                failure(
                    format!("argument {} of {name}: {text:?} is no {kind}", index + 1),
                    "numbers in decimal or as 0x..., bytes as 0x..., arrays as [1,2], tuples as (1,2)",
                )
            })
        })
        .collect()
}

/// What a function returned.
pub(super) fn outputs(function: &Function, bytes: &[u8]) -> anyhow::Result<Vec<DynSolValue>> {
    function.abi_decode_output(bytes).map_err(|_| {
        let types: Vec<_> = function.outputs.iter().map(Param::selector_type).collect();
        failure(
            format!(
                "the answer, {} bytes, is not ({})",
                bytes.len(),
                types.join(",")
            ),
            "check what the function returns; without its outputs you see the bytes",
        )
    })
}

/// A value as people read it: numbers in decimal, bytes in hexadecimal.
pub(super) fn text(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Int(value, _) => value.to_string(),
        DynSolValue::Uint(value, _) => value.to_string(),
        DynSolValue::FixedBytes(word, length) => {
            hex::encode_prefixed(word.get(..*length).unwrap_or(word.as_slice()))
        }
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Function(function) => function.to_string(),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        DynSolValue::String(text) => printable(text),
        DynSolValue::Array(items) | DynSolValue::FixedArray(items) => {
            format!("[{}]", texts(items).join(", "))
        }
        DynSolValue::Tuple(items) => format!("({})", texts(items).join(", ")),
    }
}

fn texts(values: &[DynSolValue]) -> Vec<String> {
    values.iter().map(text).collect()
}

/// A value for programs: as [`text`], for numbers do not fit into JSON's; lists as lists.
pub(super) fn json(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(value) => (*value).into(),
        DynSolValue::String(text) => text.as_str().into(),
        DynSolValue::Array(items) | DynSolValue::FixedArray(items) | DynSolValue::Tuple(items) => {
            items.iter().map(json).collect()
        }
        other => text(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(function: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let (bytes, _) = input(&Input {
            function: Some(function.to_owned()),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            data: None,
        })?;
        Ok(hex::encode(bytes))
    }

    #[test]
    fn arguments_are_encoded_as_the_specification_s_examples() {
        // https://docs.soliditylang.org/en/latest/abi-spec.html#examples
        let word = |digits: &str| format!("{digits:0>64}");
        assert_eq!(
            call("baz(uint32,bool)", &["69", "true"]).unwrap(),
            format!("cdcd77c0{}{}", word("45"), word("1"))
        );
        let text = format!("{:0<64}", hex::encode("dave"));
        assert_eq!(
            call(
                "sam(bytes,bool,uint256[])",
                &["0x64617665", "true", "[1,2,3]"]
            )
            .unwrap(),
            [
                "a5643bf2",
                &word("60"),
                &word("1"),
                &word("a0"),
                &word("4"),
                &text
            ]
            .into_iter()
            .chain([&*word("3"), &word("1"), &word("2"), &word("3")])
            .collect::<String>()
        );
        let negative = call("f(int8)", &["-1"]).unwrap();
        assert_eq!(negative[8..], "f".repeat(64));
    }

    #[test]
    fn what_does_not_fit_is_explained() {
        for (function, arguments, expected) in [
            ("transfer", &[][..], "is no function"),
            ("transfer(addres)", &["1"], "addres"),
            ("f(uint256)", &[], "takes 1 arguments, not 0"),
            ("f(uint8)", &["256"], "\"256\" is no uint8"),
            ("f(address)", &["0x12"], "is no address"),
            ("f(bool,bool)", &["true", "maybe"], "argument 2"),
        ] {
            let error = format!("{:#}", call(function, arguments).unwrap_err());
            assert!(error.contains(expected), "{function}: {error}");
        }
    }

    #[test]
    fn answers_are_read_and_shown() {
        let function = function("f()(uint256,string,(bool,address[]))").unwrap();
        let values = [
            DynSolValue::Uint(alloy_primitives::U256::MAX, 256),
            DynSolValue::String("a\u{1b}[31mb".to_owned()),
            DynSolValue::Tuple(vec![
                DynSolValue::Bool(true),
                DynSolValue::Array(vec![DynSolValue::Address(Default::default())]),
            ]),
        ];
        let bytes = function.abi_encode_output(&values).unwrap();
        let read = outputs(&function, &bytes).unwrap();
        assert_eq!(read, values);
        assert_eq!(text(&read[1]), "a\\u{1b}[31mb", "a terminal would obey it");
        let zero = format!("0x{}", "0".repeat(40));
        assert_eq!(text(&read[2]), format!("(true, [{zero}])"));
        assert_eq!(json(&read[2]), json!([true, [zero]]));
        assert_eq!(json(&read[0]), alloy_primitives::U256::MAX.to_string());
        assert!(outputs(&function, &bytes[..bytes.len() - 1]).is_err());
        assert!(outputs(&function, &[]).is_err());
    }
}
