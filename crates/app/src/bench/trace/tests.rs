//! Traces that are read and traces that are refused.
