//! Medians, percentiles and deviations of what was measured several times.

/// The value below which `share` (0 to 1) of the others lie, between two neighbours in proportion;
/// `None` of nothing.
pub(crate) fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    percentile(values, 0.5)
}

/// How far single values lie from their mean; 0 of fewer than two.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_neighbours() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        for (share, want) in [(0.0, 1.0), (0.5, 3.0), (1.0, 5.0), (0.05, 1.2), (0.95, 4.8)] {
            let found = percentile(&values, share).expect("there are values");
            assert!((found - want).abs() < 1e-12, "{share}: {found}, {want} expected");
        }
        assert_eq!(percentile(&[], 0.5), None, "of nothing");
        assert_eq!(percentile(&[7.0], 0.95), Some(7.0), "of one");
        assert_eq!(median(&[1.0, 2.0]), Some(1.5), "between two");
    }

    #[test]
    fn deviations_are_those_of_a_sample() {
        let found = deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert!((found - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12, "{found}");
        assert_eq!(deviation(&[3.0]), 0.0, "of one");
    }
}
