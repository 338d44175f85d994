//! What neighbouring services fetch and report, and who looked.

mod fetch;
mod history;
mod reports;
