//! A moment that templates may print, and Python's way to format it.

/// Seconds since 1970 in UTC: what `strftime_now` formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_seconds: i64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A date in the Gregorian calendar.
struct Date {
    year: i64,
    month: i64,
    day: i64,
    /// Days since the year's first.
    day_of_year: i64,
    /// Days since Monday.
    weekday: usize,
}

impl Moment {
    /// The years that are formatted.
    const YEARS: std::ops::RangeInclusive<i64> = 1..=9999;

    fn date(self) -> Date {
        let days = self.unix_seconds.div_euclid(86_400);
        // Years begin in March, so that the leap day is the last; eras are 400 years long.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_from_march + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day_of_year = if month <= 2 {
            day_from_march - 306
        } else {
            day_from_march + 59 + i64::from(leap)
        };
        Date {
            year,
            month,
            day: day_from_march - (153 * month_from_march + 2) / 5 + 1,
            day_of_year,
            weekday: (days + 3).rem_euclid(7) as usize,
        }
    }

    /// Formats as Python's `strftime` does in the C locale and UTC.
    ///
    /// # Errors
    /// What is wrong, if the format is too long or has a directive that is not known here.
    pub fn format(self, format: &str) -> Result<String, String> {
        if format.len() > 1024 {
            return Err("a date format longer than 1024 bytes".to_owned());
        }
        let date = self.date();
        if !Self::YEARS.contains(&date.year) {
            return Err(format!("the year {} cannot be formatted", date.year));
        }
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(character) = rest.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            let directive = rest.next().unwrap_or('%');
            if directive == '-' {
                let padded = self.directive(&date, rest.next().unwrap_or('-'))?;
                let number = padded.trim_start_matches(['0', ' ']);
                out.push_str(if number.is_empty() { "0" } else { number });
            } else {
                out.push_str(&self.directive(&date, directive)?);
            }
        }
        Ok(out)
    }

    fn directive(self, date: &Date, directive: char) -> Result<String, String> {
        let seconds = self.unix_seconds.rem_euclid(86_400);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let month = MONTHS
            .get(date.month as usize - 1)
            .copied()
            .unwrap_or_default();
        let weekday = DAYS.get(date.weekday).copied().unwrap_or_default();
        let parts = |format| self.format(format);
        Ok(match directive {
            'Y' => format!("{:04}", date.year),
            'y' => format!("{:02}", date.year % 100),
            'm' => format!("{:02}", date.month),
            'd' => format!("{:02}", date.day),
            'e' => format!("{:2}", date.day),
            'j' => format!("{:03}", date.day_of_year + 1),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'w' => ((date.weekday + 1) % 7).to_string(),
            'u' => (date.weekday + 1).to_string(),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", (hour + 11) % 12 + 1),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'f' => "000000".to_owned(),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            'F' => parts("%Y-%m-%d")?,
            'T' | 'X' => parts("%H:%M:%S")?,
            'R' => parts("%H:%M")?,
            'D' | 'x' => parts("%m/%d/%y")?,
            'c' => parts("%a %b %e %H:%M:%S %Y")?,
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            other => return Err(format!("the date format's %{other} is not known")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(unix_seconds: i64, format: &str) -> String {
        Moment { unix_seconds }.format(format).unwrap()
    }

    /// As `datetime.fromtimestamp(n, UTC).strftime(f)` prints in Python.
    #[test]
    fn dates_are_printed_as_python_prints_them() {
        assert_eq!(format(0, "%d %b %Y"), "01 Jan 1970");
        assert_eq!(
            format(1_709_210_096, "%A, %B %d, %Y %H:%M:%S %j"),
            "Thursday, February 29, 2024 12:34:56 060"
        );
        assert_eq!(
            format(1_735_689_599, "%a %-d %b %y %I:%M %p %j"),
            "Tue 31 Dec 24 11:59 PM 366"
        );
        assert_eq!(format(-1, "%Y-%m-%d %-H"), "1969-12-31 23");
        assert_eq!(
            format(951_782_400, "%F %T %-I%%"),
            "2000-02-29 00:00:00 12%"
        );
        assert_eq!(format(1_772_323_200, "%j %w %u"), "060 0 7");
    }

    #[test]
    fn what_cannot_be_formatted_is_named() {
        let now = Moment { unix_seconds: 0 };
        assert!(now.format("%Q").unwrap_err().contains("%Q"));
        assert!(now.format(&"a".repeat(2000)).is_err());
        assert!(
            Moment {
                unix_seconds: i64::MAX
            }
            .format("%Y")
            .is_err()
        );
        assert!(
            Moment {
                unix_seconds: i64::MIN
            }
            .format("%Y")
            .is_err()
        );
    }
}
