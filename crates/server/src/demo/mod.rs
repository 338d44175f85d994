//! What `serve --demo` brings along; nothing here runs without it, and a build without the feature `demo` has none
//! of it.

pub mod data;
pub mod oidc;
