//! Repacking: cut off and gone on, begun anew, refused; and what a check finds afterwards.

mod checked;
mod disagreements;
mod refused;
mod resumed;
mod setup;
