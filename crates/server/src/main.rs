//! The binary `customer-service`. See [`server::cli`].

use std::process::ExitCode;

/// Faster than the system's with the many small blocks of requests, and gives back what a large one needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    server::cli::run(std::env::args_os())
}
