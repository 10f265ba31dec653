//! How far the files with large values are from what `space_amp_max` allows.

/// The part of what is allowed beyond what lives from which on garbage is collected at once, and
/// that from which on who writes large values is slowed. Between the two collections have all the
/// disk gives; who overtakes them there is faster than they can be.
const DANGER_PART: f64 = 0.5;
const SLOW_PART: f64 = 0.75;

/// What these files take, and what of it lives.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Space {
    /// What they take, in bytes, but for the slack that is allowed whatever lives.
    pub taken_bytes: u64,
    /// Of the values in them, those that live, in bytes.
    pub live_bytes: u64,
    /// `Options::space_amp_max`.
    pub amp_max: f64,
}

impl Space {
    /// The part of what is allowed beyond what lives that is used up: 1 is all of it.
    fn part(&self) -> f64 {
        let garbage = self.taken_bytes.saturating_sub(self.live_bytes);
        let allowed = self.live_bytes as f64 * (self.amp_max - 1.0);
        if garbage == 0 { 0.0 } else { garbage as f64 / allowed }
    }

    /// Whether there is so much garbage that `space_amp_max` would not be kept with what may
    /// come: half of what that allows beside what lives is kept free.
    #[must_use]
    pub fn is_in_danger(&self) -> bool {
        self.part() > DANGER_PART
    }

    /// Whether `space_amp_max` is reached, so that writers have to wait.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.part() > 1.0
    }

    /// How far it has come from where writers of large values are slowed (0) to where all stop (1, and no
    /// more); `None` where nobody is slowed.
    #[must_use]
    pub fn severity(&self) -> Option<f64> {
        let severity = (self.part() - SLOW_PART) / (1.0 - SLOW_PART);
        (severity >= 0.0).then_some(severity.min(1.0))
    }
}
