//! `help`: a command's own options, and all settings in one place. Every command takes every setting, so that the
//! help of each would drown in them.

use std::path::PathBuf;

use clap::{Arg, Command};

use super::{CONFIG, Failure, command, print};
use crate::config::{SETTINGS, Setting};

/// The flags of the settings.
pub(super) fn settings() -> Vec<Arg> {
    let file = Arg::new(CONFIG).long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    let file = file.help("The configuration file (TOML)");
    let flag = |setting: &Setting| {
        let default = setting.default.filter(|default| !default.is_empty());
        let default = default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let flag = Arg::new(setting.name()).long(setting.name()).value_name(setting.kind.placeholder());
        flag.help(format!("{}{default}", setting.help))
    };
    std::iter::once(file).chain(SETTINGS.iter().filter(|setting| setting.flag).map(flag)).collect()
}

/// Points from the help of a command, and of those below it, to the settings.
pub(super) fn pointing(command: Command) -> Command {
    let command = if command.has_subcommands() { command.mut_subcommands(pointing) } else { command };
    command.after_help("Settings such as --data-dir are flags of every command: see `customer-service help settings`.")
}

/// `help`.
pub(super) fn help(topic: &[String]) -> Result<(), Failure> {
    if topic == ["settings"] {
        return print(all_settings().render_help().to_string().trim_end());
    }
    let mut found = command();
    found.build();
    for word in topic {
        let Some(inner) = found.find_subcommand(word) else {
            let known = found.get_subcommands().map(|known| known.get_name().to_owned());
            let known = known.chain(["settings".to_owned()]).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format_args!("There is no help on {word:?}. There is on: {known}.")));
        };
        found = inner.clone();
    }
    print(found.render_long_help().to_string().trim_end())
}

fn all_settings() -> Command {
    let without: Vec<&str> = SETTINGS.iter().filter(|setting| !setting.flag).map(|setting| setting.path).collect();
    Command::new("settings")
        .disable_help_flag(true)
        .max_term_width(100)
        .next_line_help(true)
        .help_template("{before-help}{options}{after-help}")
        .before_help(
            "Settings are flags of every command, and stand in a TOML file or the environment as well: --database-url is \
             `url` in [database], or CUSTOMER_SERVICE_DATABASE_URL. A flag wins over the environment, the environment over \
             the file. `customer-service config` prints what is in force.",
        )
        .after_help(format!("\nOnly in the file and the environment: {}.", without.join(", ")))
        .args(settings())
}
