//! Medians, percentiles and means.

/// The value below which `share` of the samples are (nearest rank); `None` without samples.
pub(super) fn percentile(samples: &[f64], share: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank within the samples"
    )]
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).or(sorted.last()).copied()
}

/// Two digits behind the point.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Median and range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Of any number of samples but none.
    pub(super) fn of(samples: &[f64]) -> anyhow::Result<Self> {
        let at = |share| percentile(samples, share).ok_or_else(|| anyhow::anyhow!("nothing was measured"));
        Ok(Self { median: at(0.5)?, min: at(0.0)?, max: at(1.0)? })
    }

    /// Of the quotients of what belongs together.
    pub(super) fn of_ratios(ours: &[f64], others: &[f64]) -> anyhow::Result<Self> {
        let ratios: Vec<f64> = ours.iter().zip(others).map(|(ours, other)| ours / other).collect();
        Self::of(&ratios)
    }

    /// `median [min–max] unit`.
    pub(super) fn text(&self, digits: usize, unit: &str) -> String {
        let space = if unit.is_empty() { "" } else { " " };
        format!("{:.digits$} [{:.digits$}–{:.digits$}]{space}{unit}", self.median, self.min, self.max)
    }
}

/// Mean of samples that scatter more than what is looked for, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub(super) mean: f64,
    /// Standard error of the mean.
    pub(super) error: f64,
}

impl Mean {
    /// Of two samples at least.
    pub(super) fn of(samples: &[f64]) -> anyhow::Result<Self> {
        anyhow::ensure!(samples.len() > 1, "too little was measured");
        let count = f64::from(u32::try_from(samples.len())?);
        let mean = samples.iter().sum::<f64>() / count;
        let squares = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>();
        Ok(Self { mean, error: (squares / (count - 1.0) / count).sqrt() })
    }

    /// `mean ± two standard errors unit`, which is where the true mean lies 19 times of 20.
    pub(super) fn text(&self, unit: &str) -> String {
        format!("{:.3} ± {:.3} {unit}", self.mean, 2.0 * self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_range() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread.text(1, "ms"), "2.0 [1.0–3.0] ms");
        assert_eq!(Spread::of_ratios(&[4.0, 9.0], &[2.0, 3.0]).unwrap().text(0, ""), "2 [2–3]");
        assert!(Spread::of(&[]).is_err());
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.5), Some(50.0));
        assert_eq!(percentile(&samples, 0.99), Some(99.0));
        assert_eq!(percentile(&[3.0], 0.99), Some(3.0));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(rounded(1.005_1), 1.01);
    }

    #[test]
    fn a_mean_has_its_error() {
        let mean = Mean::of(&[1.0, 3.0, 1.0, 3.0]).unwrap();
        assert_eq!(mean.text("ms"), "2.000 ± 1.155 ms");
        assert!(Mean::of(&[1.0]).is_err());
    }
}
