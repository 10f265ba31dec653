//! Rows of figures, with names.

/// A table: its columns have names, its cells are numbers as they are written.
#[derive(Debug, Default, PartialEq)]
pub struct Csv {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    /// Adds a column to the one row that there is.
    pub fn push(&mut self, name: &str, value: f64) {
        let text = match value.abs() {
            0.0 => "0".to_string(),
            100.0.. => format!("{value:.0}"),
            10.0.. => format!("{value:.1}"),
            1.0.. => format!("{value:.2}"),
            _ => format!("{value:.3}"),
        };
        self.push_text(name, text);
    }

    /// The same of a count, which stays exact.
    pub fn push_count(&mut self, name: &str, value: u64) {
        self.push_text(name, value.to_string());
    }

    fn push_text(&mut self, name: &str, text: String) {
        assert!(!self.names.iter().any(|other| other == name), "{name} is there twice");
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        self.names.push(name.to_string());
        self.rows[0].push(text);
    }

    /// Puts the rows of `other` below those of this one; both have the same columns.
    pub fn append(&mut self, other: Csv) {
        assert_eq!(self.names, other.names, "all points have the same columns");
        self.rows.extend(other.rows);
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// The cells of a column.
    pub fn column(&self, name: &str) -> impl Iterator<Item = &str> {
        let at = self.names.iter().position(|other| other == name);
        let at = at.unwrap_or_else(|| panic!("no column {name} among {:?}", self.names));
        self.rows.iter().map(move |row| row[at].as_str())
    }

    pub fn to_text(&self) -> String {
        let lines = std::iter::once(&self.names).chain(&self.rows);
        lines.map(|cells| cells.join(",") + "\n").collect()
    }

    /// What [`Csv::to_text`] wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Csv, String> {
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_string).collect());
        let names: Vec<String> = lines.next().ok_or("there is no line with the names")?;
        let rows: Vec<Vec<String>> = lines.collect();
        if rows.is_empty() {
            return Err("there is no line with figures".to_string());
        }
        for cells in &rows {
            if cells.len() != names.len() {
                return Err(format!("{} cells for {} names", cells.len(), names.len()));
            }
            if let Some(cell) = cells.iter().find(|cell| cell.parse::<f64>().is_err()) {
                return Err(format!("`{cell}` is no number"));
            }
        }
        Ok(Csv { names, rows })
    }
}
