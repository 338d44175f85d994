//! The service as a whole: in this process behind a real listener (`support`), or as a process of its own
//! (`process`). One program, because each test program links all of the service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

mod ask;
mod clock;
mod process;
mod support;

mod audit_guard;
mod auth;
mod browser;
mod cli;
mod coverage;
mod crash;
mod demo_oidc;
mod edits;
mod enrollment;
mod examples;
mod floods;
mod found;
mod http;
mod jobs;
mod keycloak;
mod leaks;
mod listen;
mod lists;
mod memory;
mod meters;
mod moves;
mod neighbours;
mod outages;
mod people;
mod roles;
mod samples;
mod staff;
mod story;
mod tutorial;
mod walls;
