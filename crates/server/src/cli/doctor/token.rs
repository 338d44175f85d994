//! `doctor token`: why an access token counts here or does not.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use domain::time::SystemClock;

use super::super::{Failure, print};
use crate::auth::{Authenticator, Verdict};
use crate::config::Config;

/// More than any token; what is too large is told all the same.
const MOST: u64 = 1024 * 1024;

/// Exit code 0 when the service would accept the token, 1 when not.
pub(in super::super) async fn token(config: &Config, file: &Path) -> Result<(), Failure> {
    let authenticator = Authenticator::new(config.issuers.clone(), Arc::new(SystemClock)).map_err(Failure::usage)?;
    let text = read(file).map_err(|e| Failure::failed(format_args!("{}: {e}.", file.display())))?;
    let text = text.trim();
    // As copied from a header.
    let bearer = text.strip_prefix("Bearer ").unwrap_or(text).trim_start();
    let explained = authenticator.explain(bearer).await;
    for line in explained.lines {
        let word = match line.verdict {
            Verdict::Fine => "OK   ",
            Verdict::Doubt => "WARN ",
            Verdict::Refused => "FAIL ",
        };
        print(format_args!("{word} {}: {}", line.subject, line.text))?;
        if let Some(advice) = line.advice {
            print(format_args!("      {advice}"))?;
        }
    }
    match explained.refused {
        None => print("The service accepts this token."),
        Some(error) => Err(Failure::failed(format_args!("The service refuses this token ({}): {error}", error.code()))),
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(MOST).read_to_end(&mut text)?;
    } else {
        File::open(file)?.take(MOST).read_to_end(&mut text)?;
    }
    // What is no UTF-8 is no token, which is said then.
    Ok(String::from_utf8_lossy(&text).into_owned())
}
