//! The binary: arguments and environment in, exit code out.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A request makes some hundred small allocations, and what one thread makes another often frees: docs/performance.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    grantkeep::cli::run(std::env::args_os(), std::env::vars_os())
}
