//! The walk on real input: against the oracle, against itself in every other arrangement, and on disks that fail.

mod batches;
mod cuts;
mod failing_disk;
mod kv_types;
mod naive;
mod oracle;
mod reference;
mod repacked;
mod routes;
mod same_bytes;
mod setup;
mod snapshots;
mod synthetic;
mod tiny_layouts;
mod traces;
