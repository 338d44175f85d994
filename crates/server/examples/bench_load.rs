//! Loads customers for the benchmarks: each with one account, one premise, one meter and one reading.
//!
//! `cargo run --release --example bench_load -- --customers 100000 --database-url U --keyring FILE --issuer I`
//!
//! Customer n has account 1,000,000 + n, premise 2,000,000 + n and meter 3,000,000 + n, and is linked to the
//! subject `bench-n` of the issuer. The database is migrated first and must be empty. A keyring that does
//! not exist is made.

use std::{error::Error, path::PathBuf, sync::Arc};

use clap::Parser;
use crypto::{Keyring, SystemRandom};
use domain::{
    accounts::Balance,
    customers::{CustomerEdit, CustomerName},
    ids::Id,
    input::FieldError,
    meters::{MeterStatus, MeterType},
    personal::Personal,
    preferences::Preferences,
    premises::Address,
    readings::{Dial, Quality, Register},
    status::Status,
    time::{Clock, Instant, LocalDate, SystemClock},
    values::{AccountNumber, MeterNumber, Money, Quantity},
};
use store::{
    Location, Options, Store, migrate,
    seed::{self, NewAccount, NewCustomer, NewMeter, NewPremise, NewReading, NewServicePoint, WiresCompany},
};

/// What to load, and where.
#[derive(Parser)]
struct Arguments {
    /// How many customers.
    #[arg(long, default_value_t = 100_000)]
    customers: i64,
    /// The directory of an embedded database.
    #[arg(long, conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,
    /// The URL of a PostgreSQL database.
    #[arg(long)]
    database_url: Option<String>,
    /// The keyring's file.
    #[arg(long, default_value = "keyring")]
    keyring: PathBuf,
    /// The issuer whose subjects `bench-1`, `bench-2` and so on the customers are linked to.
    #[arg(long, default_value = "")]
    issuer: String,
    /// Print the statement of `GET /api/accounts/{accountId}` instead, for pgbench.
    #[arg(long)]
    print_select: bool,
}

/// Customers written in one transaction.
const BATCH: i64 = 2_000;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a tool at the command line")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { customers, data_dir, database_url, keyring, issuer, print_select } = Arguments::parse();
    if print_select {
        println!("{}", store::accounts::SELECT);
        return Ok(());
    }
    let location = match (data_dir, database_url) {
        (Some(dir), _) => {
            migrate::sqlite(&dir)?;
            Location::Directory(dir)
        }
        (None, Some(url)) => {
            migrate::postgres(&url, domain::time::Clock::now(&domain::time::SystemClock)).await?;
            Location::Server(url)
        }
        (None, None) => return Err("give --data-dir or --database-url".into()),
    };
    if !keyring.exists() {
        write_private(&keyring, Keyring::generate(&SystemRandom, "benchmark")?.reveal())?;
    }
    let keyring: Arc<Keyring> = Arc::new(std::fs::read_to_string(&keyring)?.parse()?);
    let clock = Arc::new(SystemClock);
    let options = Options { checkpoint_file: None, pool_size: 2 };
    let store = Store::open(&location, keyring, clock, Arc::new(SystemRandom), options).await?;
    if !store.is_empty().await? {
        return Err("the database has customers already".into());
    }
    let (begun, company) = (SystemClock.now(), WiresCompany { id: 1, name: "Oncor".into(), outage_phone: None });
    let mut first = 1;
    while first <= customers {
        let last = (first + BATCH - 1).min(customers);
        let batch = (first..=last).map(|number| customer(number, &issuer));
        let batch = batch.collect::<Option<Result<Vec<_>, _>>>().ok_or("an id is out of range")?;
        let batch = batch.map_err(|e| e.message)?;
        seed::write(&store, std::slice::from_ref(&company), &batch).await?;
        first = last + 1;
    }
    let seconds = SystemClock.now().since(begun) / domain::time::SECOND;
    store.audit_log().close().await;
    println!("{customers} customers loaded in {seconds} s");
    Ok(())
}

fn write_private(file: &PathBuf, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

const FIRST_NAMES: [&str; 8] = ["Maria", "James", "Nguyen", "Olivia", "José", "Aisha", "Robert", "Chen"];
const LAST_NAMES: [&str; 8] = ["Garcia", "Smith", "Tran", "O'Brien", "Martinez", "Khan", "Williams", "Lopez"];
const STREETS: [&str; 8] = ["Main", "Oak", "Cedar", "Elm", "Pecan", "Lamar", "Travis", "Bluebonnet"];

fn pick<'a>(list: &[&'a str; 8], number: i64) -> Option<&'a str> {
    list.get(usize::try_from(number.rem_euclid(8)).ok()?).copied()
}

/// `None` when a number is out of range.
fn customer(number: i64, issuer: &str) -> Option<Result<NewCustomer, FieldError>> {
    let (first, last) = (pick(&FIRST_NAMES, number)?, pick(&LAST_NAMES, number / 8)?);
    let street = pick(&STREETS, number / 64)?;
    let (at, date) = (Instant::parse("2024-01-01T06:00:00Z")?, LocalDate::parse("2024-01-01")?);
    let reading = NewReading {
        id: Id::new(number)?,
        register: Register::Delivered,
        read_at: at,
        value: Quantity::from_thousandths(number % 100_000 * 1000)?,
        quality: Quality::Actual,
        revision: 1,
        is_current: true,
        reported_at: at,
        corrected_at: None,
    };
    let meter = NewMeter {
        id: Id::new(3_000_000 + number)?,
        number: MeterNumber::parse(&format!("B-{number:08}")).ok()?,
        kind: MeterType::Electric,
        status: MeterStatus::Active,
        dial: Dial { dials: 5, multiplier: 1 },
        installed_on: date,
        installed_at: at,
        removed_at: None,
        readings: vec![reading],
    };
    let (account, premise, point) =
        (Id::new(1_000_000 + number)?, Id::new(2_000_000 + number)?, Id::new(4_000_000 + number)?);
    let (id, cents) = (Id::new(number)?, Money::from_cents(5_000 + number % 20_000)?);
    let made = || {
        let service_point = NewServicePoint {
            id: point,
            esi_id: Personal::parse(&format!("1044372{number:010}"))?,
            wires_company: 1,
            meters: vec![meter],
        };
        let premise = NewPremise {
            id: premise,
            nickname: None,
            address: Address {
                street: Personal::parse(&format!("{} {street} Street", 100 + number % 9900))?,
                unit: None,
                city: Personal::parse("Anytown")?,
                state: Personal::parse("TX")?,
                zip: Personal::parse(&format!("{:05}", 75_001 + number % 400))?,
            },
            is_primary: true,
            status: Status::Active,
            service_start: date,
            service_end: None,
            occupancy: (at, None),
            created_at: at,
            service_points: vec![service_point],
        };
        let account = NewAccount {
            id: account,
            number: AccountNumber::parse(&format!("{:010}", 1_000_000_000 + number))?,
            nickname: None,
            status: Status::Active,
            created_at: at,
            balance: Balance {
                current_balance: Some(cents),
                due_amount: Some(cents),
                past_due_amount: Some(Money::ZERO),
                next_due_date: Some(date.plus_days(30)),
                last_payment_date: Some(date),
                last_payment_amount: Some(cents),
                balance_as_of: Some(at),
            },
            premises: vec![premise],
        };
        Ok(NewCustomer {
            id,
            edit: CustomerEdit {
                name: CustomerName::Individual { first: Personal::parse(first)?, last: Personal::parse(last)? },
                email: Some(Personal::parse(&format!("bench-{number}@example.com"))?),
                phone: Some(Personal::parse(&format!(
                    "(555) {:03}-{:04}",
                    200 + number / 10_000 % 800,
                    number % 10_000
                ))?),
            },
            status: Status::Active,
            inactive_since: None,
            created_at: at,
            links: vec![(issuer.to_owned(), format!("bench-{number}"))],
            accounts: vec![account],
            preferences: Preferences::of_newcomer(),
            payment_methods: Vec::new(),
        })
    };
    Some(made())
}
