//! Every published layout binds, to the right bytes; whatever does not hold together is refused by name.

#[path = "bind_weights/checkpoint.rs"]
mod checkpoint;
#[path = "bind_weights/contents.rs"]
mod contents;
#[path = "bind_weights/inspection.rs"]
mod inspection;
#[path = "bind_weights/layouts.rs"]
mod layouts;
#[path = "bind_weights/published.rs"]
mod published;
#[path = "bind_weights/refusals.rs"]
mod refusals;
