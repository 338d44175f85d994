//! The rules of `serve --demo`: sample data and public passwords never meet anything real.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use crypto::{Random, SystemRandom};
use domain::{
    ids::{CustomerId, Id as _},
    time::{Clock, Instant, Zone},
};
use store::{Origin, Store, inspect::Installed};

use super::Failure;
use crate::{
    config::Config,
    demo::{data, oidc},
    listen::PeerAddress,
};

/// What `serve` was told about the demonstration.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    /// The fixed business date.
    pub as_of: Option<Instant>,
    /// Other machines may reach it.
    pub public: bool,
}

/// Refuses what must not come together, before anything is changed.
pub(super) fn check(demo: Option<&Demo>, config: &Config, installed: Option<&Installed>) -> Result<(), Failure> {
    let refuse = |sentence: String| Err(Failure::failed(sentence));
    let anchor = installed.and_then(|installed| installed.demo_anchor);
    let Some(demo) = demo else {
        return match anchor {
            Some(_) => refuse(
                "This database was made by --demo and holds sample data: it never serves without --demo. Give another data \
                 directory or database."
                    .into(),
            ),
            None => Ok(()),
        };
    };
    if !config.issuers.is_empty() {
        return Err(Failure::usage(
            "--demo brings an OpenID provider with public passwords and refuses to start beside a configured issuer. Remove \
             `issuers`, or start without --demo.",
        ));
    }
    if !config.listen.ip().is_loopback() && !demo.public {
        return Err(Failure::usage(format_args!(
            "The demonstration's passwords are public, and {} can be reached from other machines. Listen on 127.0.0.1, or \
             say --demo-public.",
            config.listen
        )));
    }
    match (installed, anchor, demo.as_of) {
        (Some(_), None, _) => refuse(
            "This database was not made by --demo, or making it was interrupted: sample data never goes into it. Give \
             another data directory or database; an interrupted demonstration can be deleted."
                .into(),
        ),
        (_, Some(made), Some(asked)) if made != asked => refuse(format!(
            "This demonstration was made as of {made} and cannot be shown as of {asked}. Leave --as-of away, or give another \
             data directory."
        )),
        _ => Ok(()),
    }
}

/// Makes the sample data, or grows what is there up to today, and links the sample people to `issuer`, which
/// changes with the address.
pub(super) async fn prepare(
    demo: &Demo,
    store: &Store,
    now: Instant,
    zone: &Zone,
    issuer: &str,
) -> Result<(), Failure> {
    match store.demo_anchor().await.map_err(Failure::failed)? {
        None => {
            let anchor = demo.as_of.unwrap_or(now);
            tracing::info!(%anchor, "making the sample data");
            Box::pin(data::load(store, anchor, zone, issuer)).await.map_err(Failure::failed)
        }
        Some(_) => {
            if demo.as_of.is_none() {
                Box::pin(data::grow(store, now, zone)).await.map_err(Failure::failed)?;
            }
            let people = [("alice", 1), ("bob", 2), ("carol", 3)];
            for (name, id) in people {
                if let Some(customer) = CustomerId::new(id) {
                    let linked = store.link_demo(issuer, &oidc::subject_of(name), customer).await;
                    linked.map_err(Failure::failed)?;
                }
            }
            Ok(())
        }
    }
}

/// The address under which this machine reaches the listener.
pub(super) fn base_url(address: SocketAddr) -> String {
    let mut local = address;
    if address.ip().is_unspecified() {
        local.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{local}")
}

/// The provider, whose failed log-ins go to the audit log.
pub(super) fn provider(
    issuer: String,
    store: &Arc<Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Arc<oidc::Provider>, Failure> {
    let audited = Arc::clone(store);
    let on_failed_login = move |failed: &oidc::FailedLogin<'_>| {
        let peer = failed.request.extensions.get::<PeerAddress>();
        let mut id = [0; 10];
        let drawn = SystemRandom.fill(&mut id).map(|()| hex::encode(id));
        let origin = Origin { request_id: drawn.unwrap_or_default(), address: peer.map(|peer| peer.0.ip()) };
        audited.unauthenticated(&origin, "demo.login", 401);
    };
    let provider = oidc::Provider::new(issuer, clock, random).map_err(Failure::failed)?;
    Ok(Arc::new(provider.on_failed_login(Box::new(on_failed_login))))
}

/// What a visitor needs, and what they must know.
pub(super) fn banner(base: &str, management: &str, demo: &Demo, business: Option<Instant>) -> String {
    let mut text =
        String::from("\n  *** DEMONSTRATION ***  sample data, public passwords: never put real data in here.\n");
    if demo.public {
        text.push_str("  *** It can be reached from other machines, by anybody, with these passwords. ***\n");
    }
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{words}");
    };
    line(format_args!("\n  API          {base}/api            described at {base}/api/openapi.json"));
    line(format_args!("  OpenID       {base}{}", oidc::PATH));
    line(format_args!("  Health       {management}/health/ready   metrics at {management}/metrics"));
    if let Some(business) = business {
        line(format_args!("  As of        {business}"));
    }
    line(format_args!("\n  Log-ins (the password is the name)"));
    for user in &oidc::USERS {
        line(format_args!("    {:<8}{}", user.name, user.about));
    }
    line(format_args!("    billing, meter, market, notifications: services, by client credentials\n"));
    line(format_args!("  Try it:\n"));
    line(format_args!(
        "curl -s -H \"Authorization: Bearer $(curl -s -d grant_type=password -d client_id=demo -d username=alice \
         -d password=alice {base}{}/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\" {base}/api/customer",
        oidc::PATH
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Given;

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Config::load(&Given { variables, ..Given::default() }).unwrap().0
    }

    fn installed(anchor: Option<i64>) -> Installed {
        let demo_anchor = anchor.map(Instant::from_micros);
        Installed { key_fingerprint: vec![1], demo_anchor, created_at: Instant::from_micros(0) }
    }

    #[test]
    fn the_demonstration_meets_nothing_real() {
        let (plain, issuer) =
            (config(&[]), r#"[{"issuer":"https://id.example","audience":"a","jwks_url":"https://k","roles":["csr"]}]"#);
        let real = config(&[("CUSTOMER_SERVICE_ISSUERS", issuer)]);
        let open = config(&[("CUSTOMER_SERVICE_LISTEN", "0.0.0.0:8080")]);
        let demo = |as_of: Option<i64>, public| Demo { as_of: as_of.map(Instant::from_micros), public };
        let (sample, other) = (installed(Some(7)), installed(None));
        let today = demo(None, false);
        for (demo, config, installed, refused) in [
            (None, &plain, None, None),
            (None, &plain, Some(&other), None),
            (None, &plain, Some(&sample), Some("never serves without --demo")),
            (Some(&today), &plain, None, None),
            (Some(&today), &plain, Some(&sample), None),
            (Some(&today), &plain, Some(&other), Some("not made by --demo")),
            (Some(&today), &real, None, Some("configured issuer")),
            (Some(&today), &open, None, Some("--demo-public")),
            (Some(&demo(None, true)), &open, None, None),
            (Some(&demo(Some(7), false)), &plain, Some(&sample), None),
            (Some(&demo(Some(8), false)), &plain, Some(&sample), Some("cannot be shown as of")),
        ] {
            let sentence = check(demo, config, installed).err().map(|failure| failure.to_string());
            match refused {
                None => assert_eq!(sentence, None, "{demo:?} {installed:?}"),
                Some(part) => assert!(sentence.as_deref().is_some_and(|s| s.contains(part)), "{demo:?}: {sentence:?}"),
            }
        }
    }

    #[test]
    fn the_address_is_one_that_works() {
        for (listen, base) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:81", "http://127.0.0.1:81"),
            ("[::]:82", "http://[::1]:82"),
        ] {
            assert_eq!(base_url(listen.parse().unwrap()), base);
        }
    }
}
