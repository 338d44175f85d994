//! In place of the demonstration in a build without it: nothing here can be called.

use std::sync::Arc;

use axum::Router;
use crypto::{Keyring, Random};
use domain::time::{Clock, Instant, Zone};
use store::Store;

use super::super::Failure;
use crate::{auth::IssuerConfig, config::Config};

/// Has no value.
#[derive(Debug, Clone, Copy)]
pub enum Demo {}

/// The flags of `serve`: none.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServeArgs {}

impl ServeArgs {
    pub(in crate::cli) fn demo(self) -> Option<Demo> {
        None
    }
}

/// What runs for a demonstration.
pub(in crate::cli) struct Begun {
    pub(in crate::cli) issuer: IssuerConfig,
    pub(in crate::cli) router: Router,
    pub(in crate::cli) log_in: &'static str,
}

impl Demo {
    pub(super) fn check(&self, _: &Config, _: Option<Option<Instant>>) -> Result<(), Failure> {
        match *self {}
    }
    pub(in crate::cli) fn business_time(&self) -> Option<Instant> {
        match *self {}
    }
    pub(in crate::cli) fn keyring(&self, _: &Config, _: bool) -> Result<Arc<Keyring>, Failure> {
        match *self {}
    }
    pub(in crate::cli) async fn begin(
        &self,
        _: &Arc<Store>,
        _: Arc<dyn Clock>,
        _: Arc<dyn Random>,
        _: &Zone,
        _: &str,
    ) -> Result<Begun, Failure> {
        match *self {}
    }
    pub(in crate::cli) fn banner(&self, _: &str, _: &str) -> String {
        match *self {}
    }
}
