//! `audit`: verify, show, drop, reindex, begin anew.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Subcommand;
use crypto::SystemRandom;
use domain::{
    ids::{CustomerId, Id as _},
    input::Named,
    policy::Role,
    time::{Clock as _, Instant, LocalDate, SystemClock},
};
use serde_json::json;
use store::{
    Location, Operator,
    audit::{Dropped, Filter, Outcome, Report, Shown, ShownWho, who::actor_hash},
};

use super::{Failure, database, instant, keys, print};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Verify every record and checkpoint: finds what was changed, removed, inserted or reordered
    Verify {
        /// Checkpoints kept outside the database (audit.checkpoint-file): shows cut tails and lost lanes
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
    },
    /// Drop whole months of records, behind a checkpoint that says so. On PostgreSQL the role must own the tables
    Drop {
        /// The first month to keep, UTC: everything before it goes
        #[arg(long, value_name = "YYYY-MM", value_parser = month)]
        before: LocalDate,
        /// Why; it stands in the audit log
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        /// As for `verify`: the log is verified first
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
        /// Drop although the verification finds something; of a lane no more than what stands before it
        #[arg(long)]
        despite_findings: bool,
    },
    /// Show records, newest first. Who acted is personal data: this look is recorded too
    Show(ShowArgs),
    /// Build the index anew by which a customer's records are found
    Reindex {
        /// Why; it stands in the audit log
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
    /// Say that the audit log is lost: the next start begins another one, instead of refusing
    BeginAnew {
        /// Why; it is the first record of the new log
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Why you look; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Records about this customer's data
    #[arg(long, value_name = "ID")]
    customer: Option<i64>,
    /// From this instant on
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    from: Option<Instant>,
    /// Before this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    to: Option<Instant>,
    /// By this member of staff, service or operator, as the issuer names them
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// The issuer of --subject; "system" for operators at the command line
    #[arg(long, value_name = "URL", default_value = Operator::ISSUER, requires = "subject")]
    issuer: String,
    /// In this role
    #[arg(long, value_name = "NAME", value_parser = named::<Role>)]
    role: Option<Role>,
    /// With this reason of staff
    #[arg(long, value_name = "CODE")]
    access_reason: Option<String>,
    /// That ended so; a read that was asked for and failed is refused
    #[arg(long, value_name = "NAME", value_parser = named::<Outcome>)]
    outcome: Option<Outcome>,
    /// Of this operation, such as getAccount
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// Of this request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// At most so many; the last line says when there are more
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = limit)]
    limit: usize,
    /// Every record by itself: a read that was asked for and failed has two
    #[arg(long)]
    raw: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn month(text: &str) -> Result<LocalDate, String> {
    let day = (text.len() == 7).then(|| LocalDate::parse(&format!("{text}-01"))).flatten();
    day.ok_or_else(|| "write a month, such as 2025-01".into())
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "write a number from 1 to 1000000".into())
}

fn named<N: Named>(text: &str) -> Result<N, String> {
    N::named(text).ok_or_else(|| {
        let names: Vec<&str> = N::ALL.iter().map(|(_, name)| *name).collect();
        format!("write one of {}", names.join(", "))
    })
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = (3..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("say in 3 to 200 characters why you look".into()) }
}

pub(super) async fn run(command: Audit, config: &Config, user: &str) -> Result<(), Failure> {
    match command {
        Audit::Verify { checkpoints } => verify(config, checkpoints.as_deref()).await,
        Audit::Drop { before, reason, checkpoints, despite_findings } => {
            // Months of the log are UTC's, as its partitions are.
            let before = before.start_utc();
            if before > SystemClock.now() {
                return Err(Failure::usage("--before: this month and later ones are kept."));
            }
            let operator = Operator { user, reason: &reason };
            drop_before(config, before, checkpoints.as_deref(), despite_findings, operator).await
        }
        Audit::Show(arguments) => show(config, arguments, user).await,
        Audit::Reindex { reason } => {
            let store = database::open(config).await?;
            let done = store.reindex_audit(Operator { user, reason: &reason }).await;
            store.audit_log().close().await;
            done.map_err(Failure::failed)?;
            print("The index is complete.")
        }
        Audit::BeginAnew { reason } => begin_anew(config, Operator { user, reason: &reason }).await,
    }
}

async fn verify(config: &Config, checkpoints: Option<&Path>) -> Result<(), Failure> {
    let keyring = keys::load_for(config)?;
    let lines = checkpoints.map(lines).transpose()?;
    let report = store::verify_audit(&config.location(), &keyring, lines).await.map_err(Failure::failed)?;
    show_report(&report)?;
    if !report.is_clean() {
        return Err(findings(&report));
    }
    if checkpoints.is_none() {
        print(
            "Without --checkpoints FILE it cannot be seen whether records and their checkpoints were removed together.",
        )?;
    }
    print("OK")
}

fn lines(file: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    let opened = File::open(file).map_err(|e| Failure::failed(format_args!("{}: {e}", file.display())))?;
    Ok(Box::new(BufReader::new(opened)))
}

fn show_report(report: &Report) -> Result<(), Failure> {
    print(format_args!(
        "{} records in {} lanes, {} checkpoints inside, {} outside, {} records on their way",
        report.records, report.lanes, report.checkpoints, report.outside, report.pending
    ))?;
    report.findings.iter().try_for_each(|finding| print(format_args!("FOUND  {finding}")))
}

fn findings(report: &Report) -> Failure {
    let found = report.findings.len() as u64 + report.unlisted;
    Failure::findings(format_args!("The audit log is not as it was written: {found} findings."))
}

async fn drop_before(
    config: &Config,
    before: Instant,
    checkpoints: Option<&Path>,
    despite_findings: bool,
    operator: Operator<'_>,
) -> Result<(), Failure> {
    let lines = checkpoints.map(lines).transpose()?;
    let store = database::open(config).await?;
    let done = async {
        let (report, plan) = store.plan_drop(before, lines).await.map_err(Failure::failed)?;
        show_report(&report)?;
        if !report.may_be_dropped() && !despite_findings {
            return Err(findings(&report));
        }
        store.drop_audit(&plan, operator).await.map_err(Failure::failed)
    };
    let dropped = done.await;
    store.audit_log().close().await;
    let Dropped { checkpoint, lanes, partitions, records } = dropped?;
    for partition in partitions {
        print(format_args!("dropped the partition {partition}"))?;
    }
    print(format_args!(
        "{records} records deleted one by one; {lanes} lanes now begin later, as checkpoint {checkpoint} says"
    ))
}

async fn show(config: &Config, arguments: ShowArgs, user: &str) -> Result<(), Failure> {
    let ShowArgs {
        reason,
        customer,
        from,
        to,
        subject,
        issuer,
        role,
        access_reason,
        outcome,
        action,
        request_id,
        limit,
        raw,
        json,
    } = arguments;
    let known = |id| CustomerId::new(id).ok_or_else(|| Failure::usage("There is no such customer id."));
    let customer = customer.map(known).transpose()?;
    let store = Arc::new(database::open(config).await?);
    let actor_hash = subject.map(|subject| actor_hash(store.keyring(), &issuer, &subject));
    // One more, to know whether there are more.
    let filter = Filter {
        customer,
        actor_hash,
        role,
        reason: access_reason,
        from,
        to,
        action,
        outcome,
        request_id,
        given: false,
        before: None,
        raw,
        limit: limit + 1,
    };
    let shown = store.show_audit(&filter, Operator { user, reason: &reason }).await;
    store.audit_log().close().await;
    let mut shown = shown.map_err(Failure::failed)?;
    let more = shown.len() > limit;
    shown.truncate(limit);
    if json {
        shown.iter().try_for_each(|one| print(object(one)))?;
    } else if shown.is_empty() {
        print("No record fits.")?;
    } else {
        table(&shown)?;
    }
    match shown.last().filter(|_| more) {
        None => Ok(()),
        Some(last) if json => print(json!({ "more": true, "oldest": last.record.at })),
        Some(last) => print(format_args!(
            "There are more: these are the newest {limit}, back to {}. Older ones: --to INSTANT, or a higher --limit.",
            last.record.at
        )),
    }
}

async fn begin_anew(config: &Config, operator: Operator<'_>) -> Result<(), Failure> {
    let keyring = keys::load_for(config)?;
    database::existing(config).await?;
    let location = config.location();
    if let Location::Directory(_) = location {
        // A file that is gone is made again, empty.
        database::bring_up(&location).await?;
    }
    if store::missing_audit(&location).await.map_err(Failure::failed)?.is_none() {
        return Err(Failure::failed(
            "The audit log is the one of this database: nothing is lost, so none is begun anew.",
        ));
    }
    let done = store::begin_audit_anew(&location, &keyring, &SystemClock, &SystemRandom, operator).await;
    done.map_err(Failure::failed)?;
    print("The audit log that was is given up; the next start begins another one.")
}

fn who(shown: &Shown) -> (&str, &str, String) {
    match &shown.who {
        ShownWho::Nobody => ("", "", String::new()),
        ShownWho::Erased => ("", "erased", String::new()),
        ShownWho::Known(who) => {
            (&who.issuer, &who.subject, who.network.map(|network| network.to_string()).unwrap_or_default())
        }
    }
}

const HEADINGS: [&str; 12] = [
    "AT",
    "OUTCOME",
    "ACTION",
    "STATUS",
    "CUSTOMER",
    "RESOURCE",
    "CATEGORIES",
    "ACTOR",
    "REASON",
    "NETWORK",
    "REQUEST",
    "DETAIL",
];

/// Prints entries under headings, column under column.
fn table(shown: &[Shown]) -> Result<(), Failure> {
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned)).chain(shown.iter().map(row)).collect();
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter().try_for_each(|row| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        print(cells.join("  ").trim_end())
    })
}

fn row(shown: &Shown) -> [String; HEADINGS.len()] {
    let record = &shown.record;
    let (_, subject, network) = who(shown);
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let customers = record.customer.iter().chain(&record.customers).map(|id| id.get().to_string());
    let customers = customers.collect::<Vec<_>>().join(",");
    let customer = if customers.is_empty() { customers } else { format!("customer/{customers}") };
    let categories: Vec<String> = record.categories.names().collect();
    let actor = [Some(record.actor.name()), record.role.map(Role::name)];
    let actor = actor.into_iter().flatten().collect::<Vec<_>>().join("/");
    let reason =
        [record.reason.as_deref(), record.ticket.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    [
        record.at.to_string(),
        record.outcome.name().to_owned(),
        record.action.to_string(),
        record.status.to_string(),
        dash(&customer),
        dash(record.resource.as_deref().unwrap_or_default()),
        dash(&categories.join(",")),
        format!("{actor}:{}", dash(subject)),
        dash(&reason),
        dash(&network),
        dash(&record.request_id),
        dash(record.detail.as_deref().unwrap_or_default()),
    ]
}

fn object(shown: &Shown) -> serde_json::Value {
    let record = &shown.record;
    let (issuer, subject, network) = who(shown);
    json!({
        "lane": shown.position.map(|(lane, _)| lane), "number": shown.position.map(|(_, number)| number),
        "askedNumber": shown.asked.map(|(_, number)| number),
        "at": record.at, "outcome": record.outcome.name(), "action": record.action, "status": record.status,
        "customerId": record.customer.map(|id| id.get()),
        "customerIds": record.customers.iter().map(|id| id.get()).collect::<Vec<_>>(), "resource": record.resource,
        "categories": record.categories.names().collect::<Vec<_>>(), "actor": record.actor.name(),
        "role": record.role, "reason": record.reason, "ticket": record.ticket,
        "issuer": issuer, "subject": subject, "network": network,
        "requestId": record.request_id, "detail": record.detail,
    })
}
