//! Which checkpoints of a sequence still lie on the way that it went.

/// The cuts of a sequence. A checkpoint is good as long as no cut after it went below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage {
    epoch: u64,
    /// (epoch of the cut, position it went back to), both ascending: a cut that a later one went
    /// below is not needed any more.
    cuts: Vec<(u64, usize)>,
}

impl Lineage {
    /// How many cuts there were.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence went back to `position`.
    pub(crate) fn cut(&mut self, position: usize) {
        self.epoch += 1;
        while self.cuts.last().is_some_and(|&(_, low)| low >= position) {
            self.cuts.pop();
        }
        self.cuts.push((self.epoch, position));
    }

    /// Whether what lay below `position` at `epoch` is still there.
    pub(crate) fn holds(&self, epoch: u64, position: usize) -> bool {
        // The first cut after the epoch is the lowest of all that came after it.
        let later = self.cuts.iter().find(|&&(cut, _)| cut > epoch);
        later.is_none_or(|&(_, low)| low >= position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by remembering every cut.
    #[derive(Default)]
    struct Naive(Vec<usize>);

    impl Naive {
        fn holds(&self, epoch: u64, position: usize) -> bool {
            let after = usize::try_from(epoch).expect("small");
            self.0[after..].iter().all(|low| *low >= position)
        }
    }

    #[test]
    fn a_cut_below_a_mark_ends_it() {
        let mut lineage = Lineage::default();
        let early = (lineage.epoch(), 10);
        lineage.cut(20);
        let late = (lineage.epoch(), 20);
        assert!(lineage.holds(early.0, early.1), "the cut stayed above it");
        lineage.cut(15);
        assert!(lineage.holds(early.0, early.1), "still above");
        assert!(!lineage.holds(late.0, late.1), "15 is below 20");
        lineage.cut(30);
        assert!(!lineage.holds(late.0, late.1), "growing again does not bring it back");
    }

    #[test]
    fn agrees_with_remembering_every_cut() {
        let mut seed = 1_u64;
        let mut next = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((seed >> 33) % n).expect("small")
        };
        for _ in 0..200 {
            let (mut lineage, mut naive) = (Lineage::default(), Naive::default());
            for _ in 0..30 {
                let position = next(12);
                lineage.cut(position);
                naive.0.push(position);
                for epoch in 0..=lineage.epoch() {
                    for position in 0..12 {
                        let found = lineage.holds(epoch, position);
                        let wanted = naive.holds(epoch, position);
                        assert_eq!(found, wanted, "{:?}, epoch {epoch}, {position}", naive.0);
                    }
                }
            }
        }
    }
}
