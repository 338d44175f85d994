//! The command line.
//!
//! Exit codes: 0 done, 1 it failed, 2 the command or its settings are wrong, 3 it was done and found something
//! wrong (`audit verify`, `doctor`, `keys check`). What commands print goes to standard output, what they have
//! to say about themselves to standard error.

mod audit;
mod backup;
mod database;
mod demo;
mod doctor;
mod help;
mod keys;
mod operator;
mod serve;

use std::{ffi::OsString, fmt::Display, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource};
use domain::time::Instant;

use crate::config::{Config, ConfigErrors, Given, Layered, SETTINGS};
pub use demo::Demo;
pub use serve::{Service, start};

/// The name of the `--config` argument.
const CONFIG: &str = "config-file";

const ABOUT: &str = "The OSSREP Customer Service: customers, accounts, premises, meters, readings and preferences of a retail \
energy provider, as a REST API.

To look at it, run `customer-service serve --demo` and paste the curl line that it prints. To operate it, make keys with \
`customer-service keys generate --out FILE`, name your OpenID provider in a configuration file (see \
docs/configuration.md), run `customer-service doctor`, then `customer-service serve`.";

const AFTER: &str =
    "Exit codes: 0 done; 1 it failed, or a token is refused (doctor token); 2 the command or its settings are wrong; 3 it was done and found \
something wrong (audit verify, doctor, keys check).

Every command takes the settings as flags, such as --data-dir or --database-url: `customer-service help settings` lists \
them. They also come from a TOML file (--config FILE) and from environment variables such as CUSTOMER_SERVICE_LISTEN; \
`customer-service config` prints what is in force and where each value came from.";

/// The service and its tools.
#[derive(Debug, Parser)]
#[command(name = "customer-service", version, about = ABOUT, after_help = AFTER, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the service. The embedded database is brought up to date; on PostgreSQL run `migrate` first
    Serve(demo::ServeArgs),
    /// Bring the database's schema up to date, or make it
    Migrate {
        /// PostgreSQL: give this role what the service needs to work under it, and take what it does not need
        #[arg(long, value_name = "NAME")]
        service_role: Option<String>,
    },
    /// Make and check the keys that stand outside the database
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Verify the audit log, or look into it
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at the events that wait to be delivered
    #[command(subcommand)]
    Outbox(database::Outbox),
    /// Print the settings in force and where each came from
    Config {
        /// Print docs/configuration.md instead
        #[arg(long)]
        reference: bool,
    },
    /// Look for what would keep the service from working well: database, keys, clock, disk, issuers
    Doctor {
        #[command(subcommand)]
        only: Option<doctor::Doctor>,
    },
    /// Copy the embedded database, beside a running service too. The keys are not in it: keep them apart
    Backup {
        /// A new or empty directory
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put a backup of the embedded database into an empty data directory
    #[command(override_usage = "customer-service restore --from <DIR> --data-dir <DIR>")]
    Restore {
        /// A directory that `backup` made
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Print the description of the API (OpenAPI 3.1, JSON)
    Openapi,
    /// Print the list of problems and field errors (Markdown)
    Problems,
    /// Explain a command, or every setting: `help settings`
    Help {
        /// The command's words, or `settings`
        topic: Vec<String>,
    },
}

/// Reads an instant of the command line.
fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| "write an instant with its offset, such as 2025-01-15T12:00:00-06:00".into())
}

/// Why a command ended otherwise than well.
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    sentence: String,
}

impl Failure {
    /// It failed: exit code 1.
    pub(crate) fn failed(error: impl Display) -> Self {
        Self { exit: 1, sentence: error.to_string() }
    }
    /// The command or its settings are wrong: exit code 2.
    pub(crate) fn usage(error: impl Display) -> Self {
        Self { exit: 2, sentence: error.to_string() }
    }
    /// Something wrong was found: exit code 3.
    pub(crate) fn findings(sentence: impl Display) -> Self {
        Self { exit: 3, sentence: sentence.to_string() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigErrors> for Failure {
    fn from(error: ConfigErrors) -> Self {
        Self::usage(error)
    }
}

/// Prints to standard output. A reader that has gone (`| head`) ends the command quietly.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(format_args!("{text}\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Failure { exit: 0, sentence: String::new() })
        }
        written => written.map_err(Failure::failed),
    }
}

/// Runs the command line `arguments` (the program's name first).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version go to standard output with 0, wrong usage to standard error with 2. Nobody is
            // there to be told when that cannot be written.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = Cli::from_arg_matches(&matches).map_err(Failure::usage).and_then(|cli| {
        if let Command::Help { topic } = &cli.command {
            return help::help(topic);
        }
        let given = given(&matches);
        let (config, layered) = Config::load(&given)?;
        obey(cli.command, config, &layered)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.sentence.is_empty() {
                // As above.
                for line in failure.sentence.lines() {
                    drop(writeln!(std::io::stderr(), "customer-service: {line}"));
                }
            }
            ExitCode::from(failure.exit)
        }
    }
}

fn obey(command: Command, config: Config, layered: &Layered) -> Result<(), Failure> {
    match command {
        Command::Config { reference: true } => print(crate::config::reference().trim_end()),
        Command::Config { reference: false } => print(crate::config::show(layered).trim_end()),
        Command::Openapi => print(crate::api::openapi::document().trim_end()),
        Command::Problems => print(crate::api::problem::catalogue().trim_end()),
        Command::Keys(keys::Keys::Generate { out }) => keys::generate(out.as_deref()),
        Command::Backup { to } => backup::backup(&config, &to),
        Command::Restore { from } => backup::restore(&config, layered, &from),
        command => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(config.worker_threads()).enable_all();
            let runtime = runtime.build().map_err(Failure::failed)?;
            // Commands speak for themselves; the log has only what went wrong.
            let level = if matches!(command, Command::Serve(_)) { &config.log_level } else { "warn" };
            let _log = crate::telemetry::log(config.log_format, level).map_err(Failure::failed)?;
            let done = runtime.block_on(Box::pin(work(command, &config)));
            // Threads of the database may still be at a statement: nobody waits for its result.
            runtime.shutdown_background();
            done
        }
    }
}

async fn work(command: Command, config: &Config) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => Box::pin(serve::serve(config, arguments.demo())).await,
        Command::Migrate { service_role } => database::migrate(config, service_role.as_deref()).await,
        Command::Keys(_) => keys::check(config).await,
        Command::Audit(command) => Box::pin(audit::run(command, config, &operator::who())).await,
        Command::Outbox(command) => Box::pin(database::outbox(command, config)).await,
        Command::Doctor { only: None } => Box::pin(doctor::doctor(config)).await,
        Command::Doctor { only: Some(doctor::Doctor::Token { file }) } => Box::pin(doctor::token(config, &file)).await,
        Command::Config { .. }
        | Command::Openapi
        | Command::Problems
        | Command::Help { .. }
        | Command::Backup { .. }
        | Command::Restore { .. } => Ok(()),
    }
}

/// The whole command line: the commands, and a flag for each setting on every one of them.
fn command() -> clap::Command {
    let settings = help::settings().into_iter().map(|argument| argument.global(true).hide(true));
    Cli::command().args(settings).mut_subcommands(help::pointing)
}

fn given(matches: &ArgMatches) -> Given {
    // Global arguments are known to the innermost command.
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let typed = |name: &str| innermost.value_source(name) == Some(ValueSource::CommandLine);
    let flags = SETTINGS.iter().filter(|setting| setting.flag && typed(&setting.name())).filter_map(|setting| {
        let name = setting.name();
        innermost.get_one::<String>(&name).map(|value| (name.clone(), value.clone()))
    });
    // Names and values that are not UTF-8 are none of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Given {
        file: innermost.get_one::<PathBuf>(CONFIG).cloned(),
        variables: variables.collect(),
        flags: flags.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_count_before_and_behind_the_command() {
        for line in [
            ["customer-service", "--listen", "127.0.0.1:1", "audit", "verify"],
            ["customer-service", "audit", "verify", "--listen", "127.0.0.1:1"],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(given(&matches).flags, [("listen".to_owned(), "127.0.0.1:1".to_owned())], "{line:?}");
        }
        let without_demo = ["customer-service", "serve", "--as-of", "2025-01-15T12:00:00-06:00"];
        assert!(command().try_get_matches_from(without_demo).is_err());
        let without_offset = ["customer-service", "serve", "--demo", "--as-of", "2025-01-15T12:00:00"];
        assert!(command().try_get_matches_from(without_offset).is_err());
    }
}
