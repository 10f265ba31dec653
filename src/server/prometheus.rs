//! The text format of Prometheus, version 0.0.4.
//!
//! INV-1: of each family the lines `HELP` and `TYPE` come once, before all of its samples.
//! INV-2: the buckets of a histogram rise, and the last, `+Inf`, is its count.

use crate::histogram::Latency;
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// What a page in this format is.
pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Encoder {
    text: String,
}

/// One family of it.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Encoder {
    /// What is only counted up.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// What goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// How long things took.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.add(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.text, name }
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a string takes all");
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Its only sample.
    pub fn is(&mut self, value: impl Display) {
        self.sample(&[], value);
    }

    /// One of its samples.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The samples of a histogram, in seconds.
    pub fn latency(&mut self, labels: &[(&str, &str)], latency: &Latency) {
        let mut count = 0;
        for (limit, below) in latency.cumulative() {
            count = below;
            // Below a power of two is at most one nanosecond less: all are whole.
            let le = match u64::try_from(limit.as_nanos()) {
                Ok(ns) if ns < u64::MAX => seconds(Duration::from_nanos(ns - 1)),
                _ => "+Inf".to_owned(),
            };
            self.line("_bucket", labels, Some(&le), below);
        }
        self.line("_sum", labels, None, seconds(latency.sum));
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, part: &str, labels: &[(&str, &str)], le: Option<&str>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(part);
        let le = le.map(|le| ("le", le));
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(le) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.add(format_args!("{separator}{name}=\"{value}\""));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        self.add(format_args!(" {value}\n"));
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a string takes all");
    }
}

/// A time in seconds, exactly.
#[must_use]
pub fn seconds(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;

    #[test]
    fn families_samples_and_escapes() {
        let mut encoder = Encoder::default();
        encoder.counter("a_total", "What \\ and\nwhy.").is(7);
        let mut family = encoder.gauge("b", "B.");
        family.sample(&[("x", "1"), ("y", "\"\\\n")], 1.5);
        family.sample(&[("x", "2")], 2);
        assert_eq!(
            encoder.finish(),
            "# HELP a_total What \\\\ and\\nwhy.\n# TYPE a_total counter\na_total 7\n\
             # HELP b B.\n# TYPE b gauge\nb{x=\"1\",y=\"\\\"\\\\\\n\"} 1.5\nb{x=\"2\"} 2\n"
        );
    }

    #[test]
    fn histograms_rise_to_their_count() {
        let histogram = Histogram::default();
        for ns in [900, 1023, 1024, 5_000_000, 3_000_000_000_000] {
            histogram.record(Duration::from_nanos(ns));
        }
        let mut encoder = Encoder::default();
        encoder.histogram("t_seconds", "T.").latency(&[("of", "x")], &histogram.snapshot());
        let text = encoder.finish();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "# TYPE t_seconds histogram");
        assert_eq!(lines[2], "t_seconds_bucket{of=\"x\",le=\"0.000001023\"} 2");
        assert_eq!(lines[3], "t_seconds_bucket{of=\"x\",le=\"0.000002047\"} 3");
        assert!(text.contains("t_seconds_bucket{of=\"x\",le=\"+Inf\"} 5\n"));
        assert!(text.contains("t_seconds_sum{of=\"x\"} 3000.005002947\n"), "{text}");
        assert!(text.ends_with("t_seconds_count{of=\"x\"} 5\n"));
        assert_eq!(seconds(Duration::ZERO), "0");
        assert_eq!(seconds(Duration::from_secs(100)), "100");
    }
}
