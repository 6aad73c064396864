//! Whether looking ahead pays here: decided by trying both in turn while the model decodes. What is computed does not depend on it.

use std::time::Duration;

/// When records are read on a guess of the next layer's router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookAhead {
    Off,
    On,
    /// As long as it makes decoding faster.
    #[default]
    Auto,
}

/// Passes of one kind before those of the other: what one kind leaves in memory then hardly
/// matters to the other.
const BLOCK: usize = 8;
/// Passes in which both are tried.
const TRIAL: usize = 6 * BLOCK;
/// Passes between two trials: the subject of a text changes, and with it what is found in memory.
const PERIOD: usize = 1024;
/// A gain below this is noise.
const GAIN: f64 = 1.03;

/// Counts passes of decoding and how long they took.
#[derive(Clone, Debug)]
pub(crate) struct Governor {
    choice: LookAhead,
    pass: usize,
    /// Of the trial under way, without and with.
    times: [Vec<Duration>; 2],
    pays: bool,
}

impl Governor {
    pub(crate) fn new(choice: LookAhead) -> Governor {
        Governor { choice, pass: 0, times: [Vec::new(), Vec::new()], pays: false }
    }

    /// Whether the next pass of decoding looks ahead.
    pub(crate) fn is_on(&self) -> bool {
        match self.choice {
            LookAhead::Off => false,
            LookAhead::On => true,
            LookAhead::Auto => match self.pass % PERIOD {
                // Off, on, on, off, off, on: a cache that fills meanwhile favours neither.
                pass if pass < TRIAL => (pass / BLOCK).div_ceil(2) % 2 == 1,
                _ => self.pays,
            },
        }
    }

    /// A pass of decoding took that long.
    pub(crate) fn took(&mut self, time: Duration) {
        let pass = self.pass % PERIOD;
        if pass < TRIAL {
            self.times[usize::from(self.is_on())].push(time);
        }
        self.pass += 1;
        if pass + 1 == TRIAL {
            let [without, with] = std::mem::take(&mut self.times).map(median);
            self.pays = without.as_secs_f64() > with.as_secs_f64() * GAIN;
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a governor does for so many passes, of which those that look ahead take `with` ms.
    fn run(governor: &mut Governor, passes: usize, without: u64, with: u64) -> Vec<bool> {
        let one = |_| {
            let on = governor.is_on();
            governor.took(Duration::from_millis(if on { with } else { without }));
            on
        };
        (0..passes).map(one).collect()
    }

    #[test]
    fn what_is_faster_stays() {
        for (without, with, pays) in [(100, 80, true), (100, 98, false), (80, 100, false)] {
            let mut governor = Governor::new(LookAhead::Auto);
            let trial = run(&mut governor, TRIAL, without, with);
            assert_eq!(trial.iter().filter(|on| **on).count(), TRIAL / 2, "half of the trial");
            assert!(!trial[0] && trial[BLOCK], "in blocks");
            let rest = run(&mut governor, PERIOD - TRIAL, without, with);
            assert!(rest.iter().all(|on| *on == pays), "{without} ms without, {with} with");
        }
    }

    #[test]
    fn it_is_tried_again() {
        let mut governor = Governor::new(LookAhead::Auto);
        run(&mut governor, PERIOD, 100, 80);
        run(&mut governor, TRIAL, 80, 100);
        assert!(!governor.is_on(), "it does not pay any more");
    }

    #[test]
    fn one_slow_pass_decides_nothing() {
        let mut governor = Governor::new(LookAhead::Auto);
        governor.took(Duration::from_secs(60));
        run(&mut governor, TRIAL - 1, 100, 100);
        assert!(!governor.is_on(), "the median is what counts");
    }

    #[test]
    fn whoever_was_told_does_not_try() {
        for (choice, on) in [(LookAhead::On, true), (LookAhead::Off, false)] {
            let mut governor = Governor::new(choice);
            assert!(run(&mut governor, PERIOD, 80, 100).iter().all(|was| *was == on), "{choice:?}");
        }
    }
}
