//! Every departure from the house rules that was argued for, in one table.

use super::Exception;

/// Sorted by rule. An entry that nothing needs any more is a finding.
pub(super) const ALL: [Exception; 0] = [];
