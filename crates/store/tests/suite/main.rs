//! Everything that the store promises, over every disk, memory, policy and number of readers.

mod arrivals;
mod banks;
mod buffers;
mod disks;
mod faults;
mod guesses;
mod layouts;
mod opening;
mod passing;
mod policies;
mod probes;
mod replays;
mod sequences;
mod stage;
mod sweeps;
mod threads;
mod trunks;
