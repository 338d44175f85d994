//! The OSSREP Customer Service: REST API, identity, demonstration data, command line.
//!
//! `app` holds the use cases; `api` and `cli` call them, and nothing else calls the store.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
mod html;
pub mod listen;
pub mod management;
pub mod telemetry;
