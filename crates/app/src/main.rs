//! The one binary, `flash-moe`; what it does lies in the library beside it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    flash_moe::main()
}
