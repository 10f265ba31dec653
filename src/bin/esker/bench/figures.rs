//! Figures as a person reads them: three or four digits, with the unit that suits.

use super::plan::Unit;
use super::results::Spread;
use indicatif::HumanBytes;

/// A figure in its unit.
pub fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::Milliseconds => time(value * 1e6),
        Unit::Seconds => time(value * 1e9),
    }
}

/// A number with three digits, or whole with commas.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_string();
    }
    match value.abs() {
        size if size >= 100.0 => thousands(&format!("{value:.0}")),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time, given in nanoseconds.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    match value {
        value if value >= 100.0 || unit == "ns" => format!("{value:.0} {unit}"),
        value if value >= 10.0 => format!("{value:.1} {unit}"),
        value => format!("{value:.2} {unit}"),
    }
}

/// Bytes.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// So many of something.
pub fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How many times better, as `1.23x`.
pub fn ratio(value: f64) -> String {
    format!("{}×", number(value))
}

/// How far rounds are from their median, as `±3 %`.
pub fn off(spread: Spread) -> String {
    if spread.rounds < 2 {
        "one round".to_string()
    } else {
        format!("±{:.0} %", spread.off() * 100.0)
    }
}

/// Lines of cells, in columns: those to the right begin with `>` in their head.
pub fn aligned(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, head: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head.chars().count()]).max().unwrap_or(0)
    };
    let columns: Vec<(&str, bool, usize)> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let (head, is_right) =
                head.strip_prefix('>').map_or((*head, false), |head| (head, true));
            (head, is_right, width(column, head))
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, (_, is_right, width)) in cells.zip(&columns) {
            let space = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, behind) =
                if *is_right { (space.as_str(), "") } else { ("", space.as_str()) };
            line.extend([before, cell, behind, "  "]);
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(&mut columns.iter().map(|(head, ..)| *head));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_their_unit() {
        let shown = [
            (figure(1_234_567.4, Unit::PerSecond), "1,234,567/s"),
            (figure(99.94, Unit::PerSecond), "99.9/s"),
            (figure(4.2, Unit::Milliseconds), "4.20 ms"),
            (figure(0.612, Unit::Seconds), "612 ms"),
            (time(999.0), "999 ns"),
            (time(1_250.0), "1.25 µs"),
            (time(116_400.0), "116 µs"),
            (time(72e9), "72.0 s"),
            (number(-1234.0), "-1,234"),
            (number(f64::NAN), "?"),
            (ratio(0.876), "0.88×"),
        ];
        for (text, expected) in shown {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows =
            [vec!["a".to_string(), "1".to_string()], vec!["µµµ".to_string(), "22,000".to_string()]];
        let text = aligned(&["name", ">count"], &rows);
        assert_eq!(text, "name   count\na          1\nµµµ   22,000\n");
    }
}
