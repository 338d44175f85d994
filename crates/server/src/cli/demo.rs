//! `serve --demo`, where this build has it: without the feature `demo` there is no value of [`Demo`], and what
//! remains is that a demonstration's database is refused.

#[cfg(feature = "demo")]
mod brought;
#[cfg(not(feature = "demo"))]
#[path = "demo/left_out.rs"]
mod brought;

use std::net::SocketAddr;

use store::inspect::Installed;

use super::Failure;
use crate::config::Config;

pub use brought::Demo;
pub(super) use brought::{Begun, ServeArgs};

/// Refuses what must not come together, before anything is changed.
pub(super) fn check(demo: Option<&Demo>, config: &Config, installed: Option<&Installed>) -> Result<(), Failure> {
    let anchor = installed.and_then(|installed| installed.demo_anchor);
    match demo {
        Some(demo) => demo.check(config, installed.map(|_| anchor)),
        None if anchor.is_some() => Err(Failure::failed(
            "This database was made by --demo and holds sample data: it never serves without --demo. Give another data \
             directory or database.",
        )),
        None => Ok(()),
    }
}

/// The address under which this machine reaches a listener.
pub(super) fn base_url(address: SocketAddr) -> String {
    let mut local = address;
    if address.ip().is_unspecified() {
        local.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{local}")
}

/// Whose pages may ask a demonstration's provider: those of the configured origins, and this service's own under
/// both names of this machine.
pub(super) fn origins(config: &Config, address: SocketAddr) -> Vec<String> {
    let own = [base_url(address), format!("http://localhost:{}", address.port())];
    config.http_cors_origins.iter().cloned().chain(own).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_address_is_one_that_works() {
        for (listen, base) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:81", "http://127.0.0.1:81"),
            ("[::]:82", "http://[::1]:82"),
        ] {
            assert_eq!(super::base_url(listen.parse().unwrap()), base);
        }
    }
}
