//! A Markdown table whose columns line up.

use std::fmt;

#[derive(Default)]
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const COUNT: usize>(headers: [&str; COUNT]) -> Self {
        Self { headers: headers.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds columns to the right.
    pub fn header(&mut self, headers: impl IntoIterator<Item = String>) {
        self.headers.extend(headers);
    }

    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headers.len());
        self.rows.push(cells);
    }

    fn width(&self, column: usize) -> usize {
        let lines = std::iter::once(&self.headers).chain(&self.rows);
        lines
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.headers.len()).map(|column| self.width(column)).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        for line in [&self.headers, &rule].into_iter().chain(&self.rows) {
            for (cell, width) in line.iter().zip(&widths) {
                write!(f, "| {cell:<width$} ", width = *width)?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

/// A number to about four digits, with commas between thousands.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => return thousands(value),
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_about_four_digits() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(0.1234), "0.123");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["a"]);
        table.header(["long name".to_owned()]);
        table.row(vec!["first".to_owned(), "1".to_owned()]);
        assert_eq!(
            table.to_string(),
            "| a     | long name |\n| ----- | --------- |\n| first | 1         |\n"
        );
    }
}
