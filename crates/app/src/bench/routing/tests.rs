//! Routes made up and mapped.
