//! The order of rows in matrices that hold several projections, and how their output is taken apart.

use crate::config::Config;

/// Rows that come in groups, one a key head, each group holding the same parts in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOrder {
    /// How many groups there are.
    groups: usize,
    /// Rows that each part has in one group.
    parts: Vec<usize>,
}

impl RowOrder {
    /// `in_proj_qkvz`: for each key head its queries, keys, values and output gates.
    pub fn qkvz(config: &Config) -> RowOrder {
        let (groups, key) = (config.linear_key_heads, config.linear_key_dim);
        let value = config.linear_values() / groups;
        RowOrder { groups, parts: vec![key, key, value, value] }
    }

    /// `in_proj_ba`: for each key head its betas and decays.
    pub fn ba(config: &Config) -> RowOrder {
        let groups = config.linear_key_heads;
        let value = config.linear_value_heads / groups;
        RowOrder { groups, parts: vec![value, value] }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.groups * self.parts.iter().sum::<usize>()
    }

    /// Rows of the last part in all groups together.
    pub fn last_part(&self) -> usize {
        self.groups * self.parts.last().copied().unwrap_or(0)
    }

    /// Puts the parts together: `grouped` is what the matrix gives, `out` gets the first part of
    /// all groups, then the second of all groups, and so on. Both have [`RowOrder::rows`] floats.
    pub fn ungroup(&self, grouped: &[f32], out: &mut [f32]) {
        let a_group: usize = self.parts.iter().sum();
        let (mut from, mut to) = (0, 0);
        for &part in &self.parts {
            for group in 0..self.groups {
                let begin = group * a_group + from;
                out[to..to + part].copy_from_slice(&grouped[begin..begin + part]);
                to += part;
            }
            from += part;
        }
    }
}
