//! What memory and disk allow when nothing else takes time, and what can be expected of that.

/// Bytes that some tokens need, whoever moves them and however well.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work {
    pub(crate) tokens: f64,
    /// Weights that every pass reads.
    pub(crate) trunk_bytes: f64,
    /// Recurrent states read and written, keys and values read.
    pub(crate) state_bytes: f64,
    /// Experts that were used.
    pub(crate) expert_bytes: f64,
    /// Those of them that were not in memory.
    pub(crate) missed_bytes: f64,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speeds {
    pub(crate) ram: f64,
    /// `None` where nothing could be read.
    pub(crate) disk: Option<f64>,
}

/// Tokens a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// A layer's reads begin when its router has spoken: the trunk is read before or after them,
    /// only experts that are there already meanwhile.
    pub(crate) bound: f64,
    /// All reads overlap with everything.
    pub(crate) ideal: f64,
}

impl Work {
    /// `None` where there is nothing to divide by, or bytes are missed and no disk was measured.
    pub(crate) fn bounds(&self, speeds: &Speeds) -> Option<Bounds> {
        let disk_seconds = match (self.missed_bytes > 0.0, speeds.disk) {
            (false, _) => 0.0,
            (true, Some(disk)) if disk > 0.0 => self.missed_bytes / disk,
            (true, _) => return None,
        };
        let ram_seconds = |bytes: f64| bytes / speeds.ram;
        let resident = self.trunk_bytes + self.state_bytes;
        let bound = ram_seconds(resident) + disk_seconds.max(ram_seconds(self.expert_bytes));
        let ideal = disk_seconds.max(ram_seconds(resident + self.expert_bytes));
        let rate = |seconds: f64| {
            let rate = self.tokens / seconds;
            (rate > 0.0 && rate.is_finite()).then_some(rate)
        };
        Some(Bounds { bound: rate(bound)?, ideal: rate(ideal)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEEDS: Speeds = Speeds { ram: 20e9, disk: Some(2e9) };

    fn work() -> Work {
        Work {
            tokens: 1.0,
            trunk_bytes: 3e9,
            state_bytes: 1e9,
            expert_bytes: 4e9,
            missed_bytes: 1e9,
        }
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found / wanted - 1.0).abs() < 1e-12
    }

    #[test]
    fn reads_that_take_longer_than_the_experts_in_memory() {
        // 4 GB at 20 GB/s are 0.2 s, 1 GB at 2 GB/s is 0.5 s, 4 GB of experts at 20 GB/s are 0.2 s.
        let Bounds { bound, ideal } = work().bounds(&SPEEDS).expect("all is known");
        assert!(near(bound, 1.0 / 0.7), "0.2 s and then the longer of 0.5 s and 0.2 s: {bound}");
        assert!(near(ideal, 1.0 / 0.5), "the longer of 0.5 s and 0.4 s: {ideal}");
    }

    #[test]
    fn without_reads_memory_alone_counts() {
        let all_hit = Work { missed_bytes: 0.0, ..work() };
        let blind = Speeds { disk: None, ..SPEEDS };
        for speeds in [SPEEDS, blind] {
            let Bounds { bound, ideal } = all_hit.bounds(&speeds).expect("no disk is needed");
            assert!(near(bound, 1.0 / 0.4) && near(ideal, bound), "8 GB at 20 GB/s: {bound}");
        }
        assert_eq!(work().bounds(&blind), None, "reads from a disk that nobody knows");
    }

    #[test]
    fn several_tokens_share_what_a_pass_reads_once() {
        let pass = Work { tokens: 512.0, ..work() };
        let bound = pass.bounds(&SPEEDS).expect("all is known").bound;
        assert!(near(bound, 512.0 / 0.7), "{bound}");
        assert_eq!(Work::default().bounds(&SPEEDS), None, "nothing was done");
    }
}
