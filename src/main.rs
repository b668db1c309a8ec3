//! The binary: arguments and environment in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    grantkeep::cli::run(std::env::args_os(), std::env::vars_os())
}
