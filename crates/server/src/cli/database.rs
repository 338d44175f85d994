//! Commands on the database: `migrate`, `outbox list`, and opening it for the others.

use std::sync::Arc;

use clap::Subcommand;
use crypto::SystemRandom;
use domain::{
    ids::{CustomerId, Id as _},
    time::SystemClock,
};
use serde_json::json;
use store::{Location, Store, inspect::Inspection};

use super::{Failure, keys, print};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Outbox {
    /// List events, oldest first, each customer's in their order. They hold ids and names of fields, no personal data
    List {
        /// Delivered ones too
        #[arg(long)]
        all: bool,
        /// Of this customer
        #[arg(long, value_name = "ID")]
        customer: Option<i64>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// `migrate`.
pub(super) async fn migrate(config: &Config, service_role: Option<&str>) -> Result<(), Failure> {
    let location = config.location();
    if let (Location::Directory(_), Some(_)) = (&location, service_role) {
        return Err(Failure::usage("--service-role is for PostgreSQL: give database.url too."));
    }
    bring_up(&location).await?;
    print(format_args!("{} has schema {}.", location.place(), store::migrate::VERSION))?;
    if let (Location::Server(url), Some(role)) = (&location, service_role) {
        store::grants::grant(url, role).await.map_err(Failure::failed)?;
        print(format_args!("The role {role} may do what the service does, and nothing else."))?;
    }
    Ok(())
}

/// Brings the schema up to date.
pub(super) async fn bring_up(location: &Location) -> Result<(), Failure> {
    match location {
        Location::Server(url) => store::migrate::postgres(url, domain::time::Clock::now(&domain::time::SystemClock))
            .await
            .map_err(Failure::failed),
        Location::Directory(dir) => {
            let dir = dir.clone();
            let migrated = tokio::task::spawn_blocking(move || store::migrate::sqlite(&dir)).await;
            migrated.map_err(Failure::failed)?.map_err(Failure::failed)
        }
    }
}

/// Refuses a database in which the service never was at work: commands make none.
pub(super) async fn existing(config: &Config) -> Result<Inspection, Failure> {
    let location = config.location();
    let inspection = store::inspect::inspect(&location).await.map_err(Failure::failed)?;
    if inspection.installed.is_none() {
        let begins = match (&location, inspection.schema) {
            (Location::Server(_), None) => "migrate",
            _ => "serve",
        };
        return Err(Failure::failed(format_args!(
            "There is nothing in {} yet: `customer-service {begins}` begins it.",
            location.place()
        )));
    }
    Ok(inspection)
}

/// How the store is opened.
pub(super) fn options(config: &Config) -> store::Options {
    store::Options { checkpoint_file: config.audit_checkpoint_file.clone(), pool_size: config.database_pool_size }
}

/// Opens the store beside a running service.
pub(super) async fn open(config: &Config) -> Result<Store, Failure> {
    let keyring = keys::load_for(config)?;
    existing(config).await?;
    let options = store::Options { pool_size: 2, ..options(config) };
    let location = config.location();
    let opened = Store::open(&location, keyring, Arc::new(SystemClock), Arc::new(SystemRandom), options);
    Box::pin(opened).await.map_err(Failure::failed)
}

/// `outbox list`.
pub(super) async fn outbox(command: Outbox, config: &Config) -> Result<(), Failure> {
    let Outbox::List { all, customer, limit, json } = command;
    let known = |id| CustomerId::new(id).ok_or_else(|| Failure::usage("There is no such customer id."));
    let customer = customer.map(known).transpose()?;
    let store = open(config).await?;
    let listed = store::outbox::list(&store, all, customer, limit).await;
    store.audit_log().close().await;
    for row in listed.map_err(Failure::failed)? {
        let id = hex::encode(row.event_id);
        if json {
            let data = serde_json::from_str::<serde_json::Value>(&row.data).unwrap_or_default();
            print(json!({
                "id": id, "customerId": row.customer.get(), "sequence": row.sequence, "type": row.kind,
                "time": row.occurred_at, "data": data, "position": row.position, "deliveredAt": row.delivered_at,
            }))?;
        } else {
            let state = if row.delivered_at.is_some() { "delivered" } else { "waiting" };
            let (at, customer, sequence, kind, data) =
                (row.occurred_at, row.customer.get(), row.sequence, row.kind, row.data);
            print(format_args!("{at}  {state}  customer/{customer} #{sequence}  {kind}  {data}  {id}"))?;
        }
    }
    Ok(())
}
