//! `serve`: putting the service together, running it, and ending it in order.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::Router;
use crypto::SystemRandom;
use domain::time::{SystemClock, Zone};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::{Location, Store, supervise::Supervisor};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{
    Demo, Failure, database,
    demo::{self, Begun},
    keys, print,
};
use crate::{
    api,
    app::{self, App},
    auth::Authenticator,
    config::Config,
    listen::{self, Connections, Limits},
    management::{self, Management},
    telemetry::{Metrics, Sources},
};

/// Open files that are not connections of clients: databases, issuers, the log, the management listener.
const OTHER_FILES: u64 = 256;

/// The file in the data directory whose lock says that a service runs there.
pub(super) const LOCK: &str = "serve.lock";

/// Connections to the management listener: a prober and a scraper or two.
const MANAGEMENT_CONNECTIONS: usize = 64;

/// A service that is ready and listens; [`Service::run`] answers.
pub struct Service {
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where health and metrics listen.
    pub management_address: SocketAddr,
    /// What a demonstration says about itself.
    pub banner: Option<String>,
    listener: TcpListener,
    management: TcpListener,
    router: Router,
    management_router: Router,
    limits: Limits,
    connections: Arc<Connections>,
    tasks: Supervisor,
    ending: Arc<AtomicBool>,
    store: Arc<Store>,
    authenticator: Arc<Authenticator>,
    app: Arc<App>,
    // Held to the end.
    lock: Option<std::fs::File>,
}

/// `serve`.
pub(super) async fn serve(config: &Config, demo: Option<Demo>) -> Result<(), Failure> {
    let end = stop_signal()?;
    let service = Box::pin(start(config, demo)).await?;
    let (api, management) = (service.address, service.management_address);
    tracing::info!(%api, %management, version = env!("CARGO_PKG_VERSION"), "ready");
    if let Some(banner) = &service.banner {
        // Whoever started it need not read on: a service does not end because nobody listens.
        drop(print(banner));
    }
    service.run(end).await;
    Ok(())
}

/// Opens everything. What is wrong is found before anything is changed, as far as that can be.
pub async fn start(config: &Config, demo: Option<Demo>) -> Result<Service, Failure> {
    let location = config.location();
    let zone = Zone::named(&config.zone).ok_or_else(|| Failure::usage("zone is no IANA time zone."))?;
    let inspection = store::inspect::inspect(&location).await.map_err(Failure::failed)?;
    let installed = inspection.installed.as_ref();
    demo::check(demo.as_ref(), config, installed)?;
    let keyring = match &demo {
        Some(demo) => demo.keyring(config, installed.is_some())?,
        None => keys::load(config)?,
    };
    if let Some(installed) = installed {
        keyring.compare(&installed.keys).map_err(Failure::failed)?;
    }
    let mut lock = match &location {
        Location::Directory(dir) => Some(alone(dir)?),
        Location::Server(_) => None,
    };
    let (listener, address) = bind("listen", config.listen).await?;
    let (management, management_address) = bind("management.listen", config.management_listen).await?;
    let base = demo::base_url(address);
    if demo.is_none() {
        // Only to refuse wrong issuers before the database is touched.
        Authenticator::new(config.issuers.clone(), Arc::new(SystemClock)).map_err(Failure::usage)?;
    }
    match (&location, &demo) {
        (Location::Directory(dir), _) => {
            if store::main_file_is_gone(dir) {
                let way = "put it back, or move the audit log away";
                return Err(Failure::failed(format_args!(
                    "The database of {} is gone, its audit log is there: {way}.",
                    dir.display()
                )));
            }
            if store::audit_file_is_gone(dir).map_err(Failure::failed)? {
                let way = "put it back, or say that it is lost: `customer-service audit begin-anew --reason TEXT`";
                return Err(Failure::failed(format_args!("The audit log of {} is gone: {way}.", dir.display())));
            }
            database::bring_up(&location).await?;
        }
        (Location::Server(_), Some(_)) => {
            tracing::warn!("the demonstration brings the PostgreSQL schema up to date by itself");
            database::bring_up(&location).await?;
        }
        // A role of its own owns the tables there: see `migrate`.
        (Location::Server(_), None) => {}
    }
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let opened = Store::open(&location, keyring, clock.clone(), random.clone(), database::options(config));
    let store = Arc::new(Box::pin(opened).await.map_err(Failure::failed)?);
    if let Some(lock) = &mut lock {
        store.files().note(lock).map_err(Failure::failed)?;
    }
    let mut issuers = config.issuers.clone();
    let (mut provider, mut links) = (Router::new(), api::Links::default());
    if let Some(demo) = &demo {
        let Begun { issuer, router, log_in } = demo.begin(&store, clock.clone(), random.clone(), &zone, &base).await?;
        issuers.push(issuer);
        provider = router;
        links = api::Links { log_in: Some(log_in), management: Some(demo::base_url(management_address)) };
    }
    let authenticator = Arc::new(Authenticator::new(issuers, clock.clone()).map_err(Failure::usage)?);
    let metrics = Arc::new(Metrics::default());
    let connections = Arc::new(Connections::default());
    let tasks = Supervisor::default();
    metrics.watch(Sources {
        store: Arc::downgrade(&store),
        authenticator: Arc::downgrade(&authenticator),
        connections: Arc::clone(&connections),
        tasks: tasks.clone(),
    });
    let app = App::new(app::Parts {
        store: Arc::clone(&store),
        authenticator: Arc::clone(&authenticator),
        clock,
        random,
        business_time: demo.as_ref().and_then(Demo::business_time),
        zone,
        limits: app::Rates {
            caller_per_second: config.limits_requests_per_second,
            caller_burst: config.limits_burst,
            failures_per_minute: config.limits_failed_logins_per_minute,
        },
        metrics: Arc::clone(&metrics),
        access_reasons: config.access_reasons.iter().map(|reason| reason.as_str().into()).collect(),
        approval: config.enrollment_approval,
        cors_origins: config.http_cors_origins.clone(),
        proxies: config.proxies(),
    });
    let provider = api::open_to_pages_of(provider, &app, demo::origins(config, address));
    let router = api::router(Arc::clone(&app)).merge(provider).merge(api::index(&app, links));
    let banner = demo.map(|demo| demo.banner(&base, &demo::base_url(management_address)));
    let limits = Limits {
        connections: places(config.http_max_connections),
        header: config.header_timeout(),
        idle: config.idle_timeout(),
        drain: config.drain(),
    };
    let ending = Arc::new(AtomicBool::new(false));
    let management_router = management::router(Management {
        store: Arc::clone(&store),
        metrics,
        tasks: tasks.clone(),
        ending: Arc::clone(&ending),
    });
    Ok(Service {
        address,
        management_address,
        banner,
        listener,
        management,
        router,
        management_router,
        limits,
        connections,
        tasks,
        ending,
        store,
        authenticator,
        app,
        lock,
    })
}

/// How many clients may be connected, so that files are left for everything else: who watches the service must reach it
/// while it is full.
fn places(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // What the system lets us have; most give less at first.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    let places = places_within(wanted, files);
    if places < wanted {
        tracing::warn!(wanted, places, "the limit of open files (ulimit -n) leaves fewer connections than configured");
    }
    places
}

fn places_within(wanted: usize, files: Option<u64>) -> usize {
    let room = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// The embedded database is for one process: the lock ends with it, however it ends.
fn alone(dir: &std::path::Path) -> Result<std::fs::File, Failure> {
    let path = dir.join(LOCK);
    let failed = |e: &dyn std::fmt::Display| Failure::failed(format_args!("{}: {e}.", path.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed(&e))?;
    // Not truncated: it may be another one's, and holds what `doctor` reads.
    let open = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|e| failed(&e))?;
    file.try_lock().map_err(|_| failed(&"another `serve` works on this data directory"))?;
    Ok(file)
}

async fn bind(setting: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |e| Failure::failed(format_args!("{setting}: {address} cannot be listened on: {e}."));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

impl Service {
    /// Answers until `end` resolves, lets requests at work finish, and closes the audit log behind them. Health
    /// and metrics answer to the last.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let Self {
            listener,
            management,
            router,
            management_router,
            limits,
            connections,
            tasks,
            ending,
            store,
            authenticator,
            app,
            lock,
            ..
        } = self;
        // These go on to the last, and are cut off then.
        let (_never, end_of_tasks) = watch::channel(false);
        let keys = tokio::spawn(tasks.clone().keep("keys", end_of_tasks.clone(), move || {
            let authenticator = Arc::clone(&authenticator);
            async move { authenticator.keep_fresh().await }
        }));
        let watched = Arc::clone(&store);
        let files = tokio::spawn(tasks.clone().keep("files", end_of_tasks.clone(), move || {
            let store = Arc::clone(&watched);
            async move { management::watch_files(&store).await }
        }));
        let waiting = Arc::clone(&app);
        let parked = tokio::spawn(tasks.clone().keep("parked", end_of_tasks.clone(), move || {
            let app = Arc::clone(&waiting);
            async move { app::readings::keep_parked(&app).await }
        }));
        let jobs = tokio::spawn(tasks.keep("jobs", end_of_tasks, move || {
            let app = Arc::clone(&app);
            async move { app::jobs::run(&app).await }
        }));
        let (last, ended) = oneshot::channel::<()>();
        let few = Limits { connections: MANAGEMENT_CONNECTIONS, drain: std::time::Duration::from_secs(1), ..limits };
        let health: JoinHandle<()> =
            tokio::spawn(listen::serve(management, management_router, few, Arc::default(), async {
                // The sender's end counts as well.
                drop(ended.await);
            }));
        let end = async {
            end.await;
            ending.store(true, Ordering::Relaxed);
        };
        listen::serve(listener, router, limits, connections, end).await;
        tracing::info!("no more requests; closing the audit log");
        keys.abort();
        files.abort();
        // A job at work is rolled back, and another process, or the next start, does it.
        jobs.abort();
        parked.abort();
        store.audit_log().close().await;
        drop(last);
        if let Err(failed) = health.await {
            tracing::error!(error = %failed, "the management listener failed");
        }
        drop(lock);
        tracing::info!("ended");
    }
}

/// Resolves at the first SIGTERM or SIGINT. A second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let (asked, end) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut one = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        one().await;
        tracing::info!("asked to end: taking no more connections, finishing what is at work");
        drop(asked);
        one().await;
        tracing::warn!("asked again: ending at once");
        std::process::exit(1);
    });
    Ok(async move { drop(end.await) })
}

#[cfg(test)]
mod tests {
    use super::places_within;

    #[test]
    fn files_are_left_for_more_than_connections() {
        assert_eq!(places_within(4096, Some(1_048_576)), 4096);
        assert_eq!(places_within(4096, Some(1024)), 768);
        assert_eq!(places_within(4096, Some(100)), 1);
        assert_eq!(places_within(4096, None), 4096);
    }
}
