//! Lifetimes as people write them.

use std::time::Duration;

/// Reads a number and a unit: `30m`, `24h`, `90d`, `1y`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit, s m h d or y, for example 90d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'y' => 365 * 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok()).ok_or_else(wrong)?;
    number.checked_mul(seconds).filter(|total| *total > 0).map(Duration::from_secs).ok_or_else(wrong)
}

/// The largest unit that leaves a number above one.
pub(crate) fn print(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= 2 * unit).unwrap_or((1, "seconds"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_people_write_them() {
        let read = |text| parse(text).map(|ttl| ttl.as_secs());
        assert_eq!(read("90d"), Ok(7_776_000));
        assert_eq!(read("24h"), read("1d"));
        assert_eq!(read("60m"), read("3600s"));
        for bad in [
            "",
            "d",
            "90",
            "0d",
            "-1d",
            "1.5d",
            "90 d",
            "99999999999999999999d",
            "18446744073709551615y",
            "9é",
        ] {
            assert!(parse(bad).unwrap_err().contains("90d"), "{bad}");
        }
    }

    #[test]
    fn lifetimes_are_printed_in_units_that_say_something() {
        let printed = |seconds| print(Duration::from_secs(seconds));
        assert_eq!(printed(7_776_000), "90 days");
        assert_eq!(printed(86_400), "24 hours");
        assert_eq!(printed(59), "59 seconds");
    }
}
