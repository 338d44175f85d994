//! What `serve --demo` brings along; nothing here runs without it.

pub mod data;
pub mod oidc;
