//! A figure with its spread over the rounds.

use serde::Serialize;
use std::fmt;

/// One measurement in one round: the figure's name, its value and its unit.
pub(super) type Sample = (&'static str, f64, &'static str);

/// A figure over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    name: &'static str,
    /// The model that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Accounts in the state while it was measured, if that is what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<u32>,
    /// Median of the rounds.
    value: f64,
    unit: &'static str,
    /// Least and greatest of the rounds.
    spread: [f64; 2],
}

impl Figure {
    /// A figure that was measured once.
    pub(super) const fn single(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            model: None,
            accounts: None,
            value,
            unit,
            spread: [value, value],
        }
    }

    /// The figure, said to be about a model.
    pub(super) fn of(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// The figure, said to be about a state with so many accounts.
    pub(super) const fn with_accounts(mut self, accounts: u32) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// One figure per name from the rounds' samples, which come in the same order in each.
    pub(super) fn summarise(rounds: &[Vec<Sample>]) -> Vec<Self> {
        let Some(first) = rounds.first() else {
            return Vec::new();
        };
        let figure = |index: usize, (name, _, unit): &Sample| {
            let mut values: Vec<_> = rounds
                .iter()
                .filter_map(|round| round.get(index).map(|sample| sample.1))
                .collect();
            values.sort_by(f64::total_cmp);
            Self {
                name,
                model: None,
                accounts: None,
                value: quantile(&values, 50),
                unit,
                spread: [quantile(&values, 0), quantile(&values, 100)],
            }
        };
        first
            .iter()
            .enumerate()
            .map(|(index, sample)| figure(index, sample))
            .collect()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, greatest] = self.spread;
        let mut name = self.name.to_owned();
        if let Some(model) = &self.model {
            name = format!("{name} {model}");
        }
        if let Some(accounts) = self.accounts {
            name = format!("{name}, {accounts} accounts");
        }
        write!(
            f,
            "{name:<36} {:>10} {:<6} ({} to {})",
            digits(self.value),
            self.unit,
            digits(least),
            digits(greatest)
        )
    }
}

/// Three figures where they matter.
fn digits(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

/// The value below which `percent` of the sorted values lie (nearest rank).
pub(super) fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last * percent + 50) / 100)
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_rounds_with_their_extremes() {
        let rounds = [3.0, 1.0, 2.0].map(|value| vec![("a", value, "ms"), ("b", 7.0, "B")]);
        let figures = Figure::summarise(&rounds);
        assert_eq!(figures.len(), 2);
        let json = serde_json::to_string(figures.first().unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"name":"a","value":2.0,"unit":"ms","spread":[1.0,3.0]}"#
        );
        assert!(Figure::summarise(&[]).is_empty());
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0), 1.0);
        assert_eq!(quantile(&values, 50), 51.0);
        assert_eq!(quantile(&values, 99), 99.0);
        assert_eq!(quantile(&values, 100), 100.0);
        assert_eq!(quantile(&[], 50), 0.0);
    }
}
