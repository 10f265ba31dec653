//! Plots of lines, as SVG that stands in a page: colours are the page's (`c1` to `c8`, see page.css), so that they
//! follow it into the dark.

use super::axis::Axis;
use super::markup::escape;
use std::fmt::{self, Write as _};

/// A line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Shown where one points at it.
    pub name: String,
    /// Which of the colours, from 0 on.
    pub colour: usize,
    /// One of several of the same, behind the others.
    pub is_faint: bool,
    pub points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows, for who does not see it.
    pub label: String,
    pub width: f64,
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

/// How many colours there are.
pub const COLOURS: usize = 8;

/// What is left free around the plot, for what is written there.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;

impl Chart {
    /// As SVG.
    pub fn render(&self) -> String {
        let mut to = String::new();
        self.write(&mut to).expect("a string takes all");
        to
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        let (width, height) = (self.width, self.height);
        let label = escape(&self.label);
        writeln!(to, r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">"#)?;
        self.write_grid(to)?;
        // The faint ones lie behind.
        for line in self.lines.iter().filter(|line| line.is_faint) {
            self.write_line(line, to)?;
        }
        for line in self.lines.iter().filter(|line| !line.is_faint) {
            self.write_line(line, to)?;
        }
        writeln!(to, "</svg>")
    }

    fn write_grid(&self, to: &mut String) -> fmt::Result {
        let (left, right) = (LEFT, self.width - RIGHT);
        let (top, bottom) = (TOP, self.height - BOTTOM);
        for value in &self.y.minor {
            let y = self.y_of(*value);
            writeln!(to, r#"<path class="minor" d="M{left} {y:.1}H{right}"/>"#)?;
        }
        for (value, text) in &self.y.ticks {
            let (y, text) = (self.y_of(*value), escape(text));
            writeln!(to, r#"<path class="grid" d="M{left} {y:.1}H{right}"/>"#)?;
            writeln!(
                to,
                r#"<text class="y" x="{:.1}" y="{:.1}">{text}</text>"#,
                left - 7.0,
                y + 3.5
            )?;
        }
        for (at, (value, text)) in self.x.ticks.iter().enumerate() {
            let (x, text) = (self.x_of(*value), escape(text));
            let is_end = x > right - 24.0;
            let class = if at == 0 && x < left + 1.0 {
                "x first"
            } else if is_end {
                "x last"
            } else {
                "x"
            };
            writeln!(to, r#"<path class="minor" d="M{x:.1} {top}V{bottom}"/>"#)?;
            writeln!(
                to,
                r#"<text class="{class}" x="{x:.1}" y="{:.1}">{text}</text>"#,
                self.height - 6.0
            )?;
        }
        Ok(())
    }

    fn write_line(&self, line: &Line, to: &mut String) -> fmt::Result {
        if line.points.is_empty() {
            return Ok(());
        }
        let faint = if line.is_faint { " faint" } else { "" };
        write!(to, r#"<path class="line c{}{faint}" d=""#, line.colour % COLOURS + 1)?;
        for (at, (x, y)) in line.points.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            write!(to, "{step}{:.1} {:.1}", self.x_of(*x), self.y_of(*y))?;
        }
        writeln!(to, r#""><title>{}</title></path>"#, escape(&line.name))
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.at(value) * (self.width - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        self.height - BOTTOM - self.y.at(value) * (self.height - TOP - BOTTOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_where_their_values_are() {
        let line = |is_faint| Line {
            name: "<a & b>".to_string(),
            colour: 9,
            is_faint,
            points: vec![(0.0, 0.0), (5.0, 10.0), (10.0, 5.0)],
        };
        let chart = Chart {
            label: "\"x\"".to_string(),
            width: 166.0,
            height: 132.0,
            x: Axis::linear(10.0, |value| value.to_string()),
            y: Axis::linear(10.0, |value| value.to_string()),
            lines: vec![line(false), line(true)],
        };
        let svg = chart.render();
        // 100 by 100 within the margins; y grows upwards.
        assert!(
            svg.contains(r#"<path class="line c2" d="M54.0 110.0L104.0 10.0L154.0 60.0">"#),
            "{svg}"
        );
        assert!(svg.contains("<title>&lt;a &amp; b&gt;</title>"), "{svg}");
        assert!(svg.contains(r#"aria-label="&quot;x&quot;""#), "{svg}");
        let (faint, strong) = (svg.find("c2 faint"), svg.find("c2\""));
        assert!(faint < strong && faint.is_some(), "{svg}");
    }
}
