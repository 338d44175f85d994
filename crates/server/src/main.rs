//! The binary `customer-service`. See [`server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::run(std::env::args_os())
}
