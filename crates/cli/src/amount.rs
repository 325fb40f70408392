//! Amounts of the token as people write them: in OPG (10^18 wei), gwei (10^9) or wei.

use alloy_primitives::{
    U256,
    utils::{format_units, parse_units},
};

/// Units by name, with their decimal places.
const UNITS: [(&str, u8); 3] = [("opg", 18), ("gwei", 9), ("wei", 0)];

/// Reads an amount with its unit, as `1.5opg`, in wei.
///
/// A number alone is refused: Ethereum's tools disagree on whether it means wei or whole tokens.
pub(crate) fn parse(text: &str) -> Result<U256, String> {
    let text = text.trim().to_ascii_lowercase();
    let start = text.find(|character: char| character.is_ascii_alphabetic());
    let (number, unit) = text.split_at(start.unwrap_or(text.len()));
    let number = number.trim();
    let Some((_, places)) = UNITS.iter().find(|(name, _)| *name == unit.trim()) else {
        return Err("say the unit too: 1.5opg, 20gwei or 100wei".to_owned());
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if number.trim_matches('.').is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return Err(format!("{number:?} is not a number like 1.5"));
    }
    if fraction.len() > usize::from(*places) {
        return Err(format!(
            "{unit} has {places} decimal places, {number} has {}",
            fraction.len()
        ));
    }
    let amount = parse_units(number, *places).map_err(|error| error.to_string())?;
    Ok(amount.get_absolute())
}

/// An amount in OPG, without zeros at its end.
pub(crate) fn opg(wei: U256) -> String {
    format!("{} OPG", decimal(wei, 18))
}

/// An amount in gwei, without zeros at its end: for prices of gas.
pub(crate) fn gwei(wei: U256) -> String {
    format!("{} gwei", decimal(wei, 9))
}

fn decimal(wei: U256, places: u8) -> String {
    // It fails only for more places than 77.
    let text = format_units(wei, places).unwrap_or_default();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_every_unit() {
        for (text, wei) in [
            ("1.5opg", 1_500_000_000_000_000_000_u128),
            ("1 OPG", 1_000_000_000_000_000_000),
            (".5gwei", 500_000_000),
            ("20gwei", 20_000_000_000),
            ("0wei", 0),
            ("0.000000000000000001opg", 1),
        ] {
            assert_eq!(parse(text), Ok(U256::from(wei)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_explained() {
        for (text, expected) in [
            ("1", "unit"),
            ("", "unit"),
            ("1eth", "unit"),
            ("opg", "not a number"),
            (".opg", "not a number"),
            ("-1opg", "not a number"),
            ("1e3wei", "unit"),
            ("1.2.3opg", "not a number"),
            ("0.5wei", "decimal places"),
            ("0.0000000001gwei", "decimal places"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse(&format!("{}opg", "9".repeat(80))).is_err());
        assert!(parse(&format!("{}opg", U256::MAX)).is_err());
    }

    #[test]
    fn amounts_are_shown_without_idle_zeros() {
        for (wei, shown) in [
            (0_u128, "0 OPG"),
            (1, "0.000000000000000001 OPG"),
            (1_500_000_000_000_000_000, "1.5 OPG"),
            (100_000_000_000_000_000_000, "100 OPG"),
        ] {
            assert_eq!(opg(U256::from(wei)), shown);
        }
        assert_eq!(gwei(U256::from(1_000_000_007)), "1.000000007 gwei");
    }
}
