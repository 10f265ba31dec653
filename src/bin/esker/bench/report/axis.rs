//! Axes of a plot: where a value stands, and what is written beside it.

use crate::bench::figures;

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    /// By their logarithms.
    Log,
    /// Shares of all, by what is beyond them: 90 %, 99 % and 99.9 % are as far from each other.
    Nines,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    scale: Scale,
    /// Of what the scale makes of values.
    low: f64,
    high: f64,
    /// Values with what is written beside them.
    pub ticks: Vec<(f64, String)>,
    /// Values with a fainter line.
    pub minor: Vec<f64>,
}

/// The share beyond which no more is told apart.
const BEYOND_MIN: f64 = 1e-9;

impl Scale {
    fn of(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.max(1e-12).log10(),
            Scale::Nines => -(1.0 - value).max(BEYOND_MIN).log10(),
        }
    }
}

impl Axis {
    /// From 0 to `max` or a little above it, with some four ticks, each written by `text`.
    pub fn linear(max: f64, text: impl Fn(f64) -> String) -> Axis {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let rough = max / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|part| part * power);
        let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
        let count = (max / step * 0.999).ceil();
        let ticks = (0..)
            .map(f64::from)
            .take_while(|n| *n <= count)
            .map(|n| (n * step, text(n * step)))
            .collect();
        Axis { scale: Scale::Linear, low: 0.0, high: count * step, ticks, minor: Vec::new() }
    }

    /// From 0 to exactly `max`, with ticks as above.
    pub fn span(max: f64, text: impl Fn(f64) -> String) -> Axis {
        let mut axis = Axis::linear(max, text);
        if max.is_finite() && max > 0.0 {
            axis.high = max;
            axis.ticks.retain(|(value, _)| *value <= max);
        }
        axis
    }

    /// Times, in nanoseconds, from the power of ten below `min` to the one above `max`.
    pub fn times(min: f64, max: f64) -> Axis {
        let low = min.max(1.0).log10().floor();
        let high = max.max(1.0).log10().ceil().max(low + 1.0);
        let powers =
            || (0..).map(f64::from).map(move |n| low + n).take_while(move |power| *power <= high);
        let ticks = powers().map(|power| (10_f64.powf(power), whole_time(power))).collect();
        let minor = powers()
            .take_while(|power| *power < high)
            .flat_map(|power| [2.0, 5.0].map(|part| part * 10_f64.powf(power)))
            .collect();
        Axis { scale: Scale::Log, low, high, ticks, minor }
    }

    /// Shares of all operations, up to `max`.
    pub fn shares(max: f64) -> Axis {
        let all = [
            (0.0, "min"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.99999, "99.999 %"),
            (0.999_999, "99.9999 %"),
        ];
        let high = Scale::Nines.of(max).max(1.0);
        // On a long axis the median is too near to the beginning to be written beside it.
        let is_on =
            |share: f64| Scale::Nines.of(share) <= high + 1e-6 && (share != 0.5 || high < 4.0);
        let ticks = all.iter().filter(|(share, _)| is_on(*share));
        let ticks = ticks.map(|(share, text)| (*share, (*text).to_string())).collect();
        Axis { scale: Scale::Nines, low: 0.0, high, ticks, minor: Vec::new() }
    }

    /// Where a value stands: 0 is the beginning of the axis, 1 its end.
    pub fn at(&self, value: f64) -> f64 {
        ((self.scale.of(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// A power of ten of nanoseconds.
fn whole_time(power: f64) -> String {
    let text = figures::time(10_f64.powf(power) * 1.000_001);
    text.replace(".00 ", " ").replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_go_beyond_what_is_there() {
        let axis = Axis::linear(8_700.0, |value| value.to_string());
        assert_eq!(texts(&axis), ["0", "2500", "5000", "7500", "10000"]);
        assert!((axis.at(5_000.0) - 0.5).abs() < 1e-9);
        assert_eq!((axis.at(-1.0), axis.at(1e9)), (0.0, 1.0));
        for max in [0.0, f64::NAN, 1e-9, 0.3, 1.0, 99.9, 1e12] {
            let axis = Axis::linear(max, |value| value.to_string());
            assert!((3..=7).contains(&axis.ticks.len()), "{max}: {:?}", axis.ticks);
            let last = axis.ticks.last().map_or(0.0, |(value, _)| *value);
            assert!(max.is_nan() || last >= max * 0.99, "{max}: {last}");
        }
        let span = Axis::span(8_700.0, |value| value.to_string());
        assert_eq!(span.ticks.len(), 4);
        assert!((span.at(8_700.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn times_stand_by_their_powers_of_ten() {
        let axis = Axis::times(1_500.0, 2_000_000.0);
        assert_eq!(texts(&axis), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
        assert!((axis.at(1e5) - 0.5).abs() < 1e-9);
        assert_eq!(axis.minor.len(), 8);
        assert_eq!(texts(&Axis::times(0.0, 0.0)), ["1 ns", "10 ns"]);
        assert_eq!(texts(&Axis::times(1e9, 2e9)), ["1 s", "10 s"]);
    }

    #[test]
    fn shares_stand_by_what_is_beyond_them() {
        let axis = Axis::shares(0.999);
        assert_eq!(texts(&axis), ["min", "50 %", "90 %", "99 %", "99.9 %"]);
        assert!((axis.at(0.99) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(axis.at(1.0), 1.0);
    }
}
