//! The order in which records are probed: at random, and none twice before all had their turn.

use crate::Bank;

/// Records of some banks in a random order.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Bank and record of each.
    order: Vec<(usize, usize)>,
    next: usize,
    /// Whether it begins again at its end.
    again: bool,
}

impl Sequence {
    /// All records, over and over; the same for the same seed.
    pub fn new(banks: &[Bank], seed: u64) -> Sequence {
        let records = |(bank, of): (usize, &Bank)| (0..of.records()).map(move |n| (bank, n));
        let mut order: Vec<(usize, usize)> = banks.iter().enumerate().flat_map(records).collect();
        let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
        for end in (1..order.len()).rev() {
            // splitmix64
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            order.swap(end, (mixed ^ (mixed >> 31)) as usize % (end + 1));
        }
        Sequence { order, next: 0, again: true }
    }

    /// The records divided among `parts` sequences, each of which ends once.
    pub fn divide(self, parts: usize) -> Vec<Sequence> {
        let part = |n| {
            let order = self.order.iter().copied().skip(n).step_by(parts).collect();
            Sequence { order, next: 0, again: false }
        };
        (0..parts).map(part).collect()
    }

    /// Cut so that it goes through `bytes` of records, or all there are, and at least one.
    pub(super) fn shorten(&mut self, banks: &[Bank], mut bytes: u64) {
        let fits = self.order.iter().take_while(|&&(bank, _)| {
            let fits = bytes > 0;
            bytes = bytes.saturating_sub(banks[bank].record_bytes());
            fits
        });
        let records = fits.count();
        self.order.truncate(records);
    }

    /// What it goes through, in its order.
    pub fn records(&self) -> &[(usize, usize)] {
        &self.order
    }
}

impl Iterator for Sequence {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        if self.next == self.order.len() && self.again {
            self.next = 0;
        }
        let record = self.order.get(self.next).copied();
        self.next += 1;
        record
    }
}
