//! The rules of `serve --demo`: sample data and public passwords never meet anything real.

use std::{fmt::Write as _, fs, os::unix::fs::DirBuilderExt as _, sync::Arc};

use axum::Router;
use crypto::{Keyring, Random, SystemRandom};
use domain::{
    ids::{CustomerId, Id as _},
    time::{Clock, Instant, SystemClock, Zone},
};
use store::{Origin, Store};

use super::super::{Failure, instant, keys};
use crate::{
    auth::IssuerConfig,
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

/// The flags of `serve`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServeArgs {
    /// Bring sample customers and a built-in OpenID provider with public passwords. Never for real data
    #[arg(long)]
    demo: bool,
    /// The demonstration's business date, such as 2025-01-15T12:00:00-06:00. Tokens and new rows keep the real clock
    #[arg(long, value_name = "INSTANT", requires = "demo", value_parser = instant)]
    as_of: Option<Instant>,
    /// Let the demonstration listen on an address that other machines reach
    #[arg(long, requires = "demo")]
    demo_public: bool,
}

impl ServeArgs {
    pub(in crate::cli) fn demo(self) -> Option<Demo> {
        let Self { demo, as_of, demo_public } = self;
        demo.then_some(Demo { as_of, public: demo_public })
    }
}

/// What runs for a demonstration.
pub(in crate::cli) struct Begun {
    /// Its provider, as one more issuer.
    pub(in crate::cli) issuer: IssuerConfig,
    /// Its provider's pages.
    pub(in crate::cli) router: Router,
    /// The path at which somebody logs in to get a token.
    pub(in crate::cli) log_in: &'static str,
}

impl Demo {
    /// Refuses what must not come together. `anchor` is the database's, where there is a database.
    pub(super) fn check(&self, config: &Config, anchor: Option<Option<Instant>>) -> Result<(), Failure> {
        if !config.issuers.is_empty() {
            return Err(Failure::usage(
                "--demo brings an OpenID provider with public passwords and refuses to start beside a configured issuer. \
                 Remove `issuers`, or start without --demo.",
            ));
        }
        if !config.listen.ip().is_loopback() && !self.public {
            return Err(Failure::usage(format_args!(
                "The demonstration's passwords are public, and {} can be reached from other machines. Listen on 127.0.0.1, \
                 or say --demo-public.",
                config.listen
            )));
        }
        match (anchor, self.as_of) {
            (Some(None), _) => Err(Failure::failed(
                "This database was not made by --demo, or making it was interrupted: sample data never goes into it. Give \
                 another data directory or database; an interrupted demonstration can be deleted.",
            )),
            (Some(Some(made)), Some(asked)) if made != asked => Err(Failure::failed(format_args!(
                "This demonstration was made as of {made} and cannot be shown as of {asked}. Leave --as-of away, or give \
                 another data directory."
            ))),
            _ => Ok(()),
        }
    }

    /// The instant that stands for now in windows, charts and due dates.
    pub(in crate::cli) fn business_time(&self) -> Option<Instant> {
        self.as_of
    }

    /// The keyring, in the data directory unless one is configured: made when there is none and nothing was
    /// sealed yet.
    pub(in crate::cli) fn keyring(&self, config: &Config, sealed_before: bool) -> Result<Arc<Keyring>, Failure> {
        if config.keyring.is_some() || config.keyring_file.is_some() {
            return keys::load(config);
        }
        let file = config.data_dir.join("keyring");
        if file.exists() {
            return keys::read(&file);
        }
        if sealed_before {
            return Err(Failure::failed(format_args!(
                "The demonstration's keyring {} is gone, and nothing opens without it. Use another database, or delete this one.",
                file.display()
            )));
        }
        let failed = |e| Failure::failed(format_args!("{} cannot be made: {e}.", config.data_dir.display()));
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&config.data_dir).map_err(failed)?;
        let keyring = Keyring::generate(&SystemRandom, &SystemClock.now().to_string()).map_err(Failure::failed)?;
        keys::write(&file, keyring.reveal())?;
        keys::read(&file)
    }

    /// Makes the sample data, or grows what is there up to today, and starts the provider under `base`.
    pub(in crate::cli) async fn begin(
        &self,
        store: &Arc<Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        zone: &Zone,
        base: &str,
    ) -> Result<Begun, Failure> {
        let issuer = format!("{base}{}", oidc::PATH);
        self.prepare(store, clock.now(), zone, &issuer).await?;
        let provider = provider(issuer, store, clock, random)?;
        Ok(Begun { issuer: provider.issuer_config(), router: oidc::router(provider), log_in: oidc::LOG_IN })
    }

    /// Links the sample people to `issuer`, which changes with the address.
    async fn prepare(&self, store: &Store, now: Instant, zone: &Zone, issuer: &str) -> Result<(), Failure> {
        if store.demo_anchor().await.map_err(Failure::failed)?.is_none() {
            let anchor = self.as_of.unwrap_or(now);
            tracing::info!(%anchor, "making the sample data");
            return Box::pin(data::load(store, anchor, zone, issuer)).await.map_err(Failure::failed);
        }
        if self.as_of.is_none() {
            Box::pin(data::grow(store, now, zone)).await.map_err(Failure::failed)?;
        }
        for (name, id) in [("alice", 1), ("bob", 2), ("carol", 3)] {
            if let Some(customer) = CustomerId::new(id) {
                let linked = store.link_demo(issuer, &oidc::subject_of(name), customer).await;
                linked.map_err(Failure::failed)?;
            }
        }
        Ok(())
    }

    /// What a visitor needs, and what they must know.
    pub(in crate::cli) fn banner(&self, base: &str, management: &str) -> String {
        let mut text =
            String::from("\n  *** DEMONSTRATION ***  sample data, public passwords: never put real data in here.\n");
        if self.public {
            text.push_str("  *** It can be reached from other machines, by anybody, with these passwords. ***\n");
        }
        let mut line = |words: std::fmt::Arguments<'_>| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{words}");
        };
        line(format_args!("\n  Start here   {base}/"));
        line(format_args!("  API          {base}/api/docs"));
        line(format_args!("  OpenID       {base}{}/.well-known/openid-configuration", oidc::PATH));
        line(format_args!("  Health       {management}/health/ready   metrics at {management}/metrics"));
        if let Some(business) = self.as_of {
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
}

/// The provider, whose failed log-ins go to the audit log.
fn provider(
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

#[cfg(test)]
mod tests {
    use store::inspect::Installed;

    use super::{super::check, *};
    use crate::config::Given;

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Config::load(&Given { variables, ..Given::default() }).unwrap().0
    }

    fn installed(anchor: Option<i64>) -> Installed {
        let demo_anchor = anchor.map(Instant::from_micros);
        Installed { keys: Vec::new(), demo_anchor, created_at: Instant::from_micros(0) }
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
}
