//! Everything that the store promises, over every disk, memory, policy and number of readers.

mod arrivals;
mod banks;
mod buffers;
mod disks;
mod faults;
mod layouts;
mod opening;
mod policies;
mod probes;
mod sequences;
mod stage;
mod threads;
mod trunks;
