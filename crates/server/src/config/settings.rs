//! The one list of settings. Reading them, `config`, the flags and `docs/configuration.md` come from it.

use super::kind::Kind;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its place in the TOML file, with dots. Everything else follows from it.
    pub path: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// The value when nobody says otherwise, as the environment would spell it.
    pub default: Option<&'static str>,
    /// Whether there is a flag for it.
    pub flag: bool,
    /// Whether its value is shown to nobody.
    pub secret: bool,
    /// What it means.
    pub help: &'static str,
}

impl Setting {
    /// The name within the program and, after `--`, of the flag: `management.listen` is `management-listen`.
    pub fn name(&self) -> String {
        self.path.replace('.', "-")
    }
    /// The environment variable: `management.listen` is `CUSTOMER_SERVICE_MANAGEMENT_LISTEN`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name().replace('-', "_").to_ascii_uppercase())
    }
}

/// How every environment variable of ours begins.
pub const PREFIX: &str = "CUSTOMER_SERVICE_";

const fn setting(path: &'static str, kind: Kind, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { path, kind, default, flag: true, secret: false, help }
}

/// Every setting.
pub static SETTINGS: &[Setting] = &[
    setting("listen", Kind::Address, Some("127.0.0.1:8080"), "Where the API and the portal listen."),
    setting(
        "management.listen",
        Kind::Address,
        Some("127.0.0.1:9000"),
        "Where health and metrics listen. They need no token: keep this address inside.",
    ),
    setting(
        "data-dir",
        Kind::Path,
        Some("data"),
        "The directory of the embedded database. Not used with database.url, except for the keyring of a demonstration.",
    ),
    Setting {
        secret: true,
        ..setting(
            "database.url",
            Kind::Text,
            None,
            "A PostgreSQL server, as postgres://USER:PASSWORD@HOST/DATABASE?sslmode=require, in place of the embedded database. On a shared machine prefer file or environment: flags are visible to its other users.",
        )
    },
    setting(
        "database.pool-size",
        Kind::Whole(1, 1000),
        Some("16"),
        "Connections for changes on PostgreSQL. Two more carry the reads, two the audit log.",
    ),
    setting(
        "keyring-file",
        Kind::Path,
        None,
        "The file with the keys, readable by the service alone. `customer-service keys generate` makes one.",
    ),
    Setting {
        flag: false,
        secret: true,
        ..setting("keyring", Kind::Text, None, "The text of the keyring itself, in place of keyring-file.")
    },
    Setting {
        flag: false,
        ..setting(
            "issuers",
            Kind::Issuers,
            None,
            "The OpenID providers whose tokens count. Each table has `issuer` (the exact `iss`), `audience`, `jwks_url`, `roles` (those it may grant), and optionally `role_claims`, `insecure_http`, `docs_client` (the public client as which people log in on /api/docs) and `keys_grace_seconds` (how long its last keys count when it suddenly publishes none; 3600).",
        )
    },
    setting("zone", Kind::Zone, Some("America/Chicago"), "The zone in which the market counts its days (IANA name)."),
    setting(
        "access.reasons",
        Kind::Codes,
        Some(
            "customer-request,enrollment,billing-inquiry,move,meter-inquiry,complaint,privacy-request,fraud-check,audit",
        ),
        "The reasons that staff may give for opening a customer's data (header X-Access-Reason).",
    ),
    setting(
        "enrollment.approval",
        Kind::Choice(&["staff", "automatic"]),
        Some("staff"),
        "Who approves enrolments: staff, one by one, or the service itself when one is submitted. One whose place is promised to somebody else waits for staff either way.",
    ),
    setting(
        "http.cors-origins",
        Kind::Origins,
        Some(""),
        "Origins of other sites whose scripts may call the API, such as https://portal.example. None by default.",
    ),
    setting(
        "http.trusted-proxies",
        Kind::Networks,
        Some(""),
        "Addresses or networks (10.0.0.0/8) of the gateways in front. Only they are believed about the client's address.",
    ),
    setting(
        "http.forwarded-header",
        Kind::Choice(&["x-forwarded-for", "forwarded"]),
        Some("x-forwarded-for"),
        "The one header in which the gateways name the client, read from the right. They must set it, or add to it, on every request.",
    ),
    setting(
        "http.max-connections",
        Kind::Whole(1, 100_000),
        Some("4096"),
        "Open connections at most; further ones are closed at once.",
    ),
    setting(
        "http.header-timeout-seconds",
        Kind::Whole(1, 300),
        Some("10"),
        "How long a client may take to send the head of a request.",
    ),
    setting(
        "http.idle-timeout-seconds",
        Kind::Whole(1, 3600),
        Some("60"),
        "After how long a connection on which no byte moves in either direction is closed.",
    ),
    setting(
        "http.drain-seconds",
        Kind::Whole(0, 600),
        Some("10"),
        "How long requests at work may take to end after SIGTERM or SIGINT.",
    ),
    setting(
        "limits.requests-per-second",
        Kind::Whole(1, 1_000_000),
        Some("50"),
        "Requests a second of one caller, on average; more get 429.",
    ),
    setting(
        "limits.burst",
        Kind::Whole(1, 1_000_000),
        Some("100"),
        "Requests that one caller may send at once before the average counts.",
    ),
    setting(
        "limits.failed-logins-per-minute",
        Kind::Whole(1, 1_000_000),
        Some("30"),
        "Failed authentications a minute from one address; more get 429.",
    ),
    setting(
        "runtime.worker-threads",
        Kind::Whole(0, 1024),
        Some("0"),
        "Threads that answer requests. 0 stands for half of the machine's cores, at least one: database, log and long work have threads of their own.",
    ),
    setting(
        "audit.checkpoint-file",
        Kind::Path,
        None,
        "A file outside the database to which each checkpoint of the audit log is appended. Put it where the service's database account cannot reach.",
    ),
    setting("log.format", Kind::Choice(&["text", "json"]), Some("text"), "How the log on standard error is written."),
    setting(
        "log.level",
        Kind::Levels,
        Some("info"),
        "How much is logged: off, error, warn, info, debug or trace; by module as in info,server=debug.",
    ),
];

/// The setting at a place in the TOML file.
pub fn at(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

/// The known word that is written most alike, for "did you mean".
pub fn nearest(word: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    known.into_iter().min_by_key(|candidate| strsim::levenshtein(word, candidate))
}

/// `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Generated by `customer-service config --reference`; a test compares. -->\n\n\
         Every setting has a default, and can be given in a TOML file, by an environment variable, or by a flag; the\n\
         later of these wins. The file is named by `--config FILE` or `CUSTOMER_SERVICE_CONFIG`; without either there\n\
         is none. `customer-service config` prints what is in force and where each value came from, secrets masked.\n\
         Unknown, unusable and contradictory settings stop the start-up with exit code 2, each named.\n\n\
         A dot in a setting's name is a table in the file: `management.listen` is `listen` in `[management]`. The\n\
         environment variable is the name in capitals after `CUSTOMER_SERVICE_`, dots and hyphens as underscores:\n\
         `CUSTOMER_SERVICE_MANAGEMENT_LISTEN`. The flag is the name with hyphens: `--management-listen`. Lists are\n\
         TOML arrays in the file, and separated by commas elsewhere; `issuers` is a JSON array in the environment.\n\n\
         `--demo`, `--as-of` and `--demo-public` are flags of `serve` alone: a forgotten line in a file or environment\n\
         must not turn a service into a demonstration.\n\n\
         | Setting | Value | Default | Flag | Meaning |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let default = match setting.default {
            None | Some("") => "none".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let flag = if setting.flag { "yes" } else { "no" };
        let secret = if setting.secret { " Secret." } else { "" };
        let (path, kind, help) = (setting.path, setting.kind.describe(), setting.help);
        text.push_str(&format!("| `{path}` | {kind} | {default} | {flag} | {help}{secret} |\n"));
    }
    text.push_str(
        "\n## A file\n\n\
         ```toml\n\
         listen = \"0.0.0.0:8080\"\n\
         keyring-file = \"/etc/customer-service/keyring\"\n\n\
         [database]\n\
         url = \"postgres://customer_service@db.example/customer_service?sslmode=require\"\n\n\
         [audit]\n\
         checkpoint-file = \"/var/log/customer-service/checkpoints.jsonl\"\n\n\
         [[issuers]]\n\
         issuer = \"https://id.example/realms/ossrep\"\n\
         audience = \"customer-service\"\n\
         jwks_url = \"https://id.example/realms/ossrep/protocol/openid-connect/certs\"\n\
         roles = [\"customer\"]\n\n\
         [[issuers]]\n\
         issuer = \"https://id.example/realms/ossrep-internal\"\n\
         audience = \"customer-service\"\n\
         jwks_url = \"https://id.example/realms/ossrep-internal/protocol/openid-connect/certs\"\n\
         roles = [\"csr\", \"supervisor\", \"admin\", \"readonly\", \"billing\", \"meter\", \"market\", \"notifications\"]\n\
         ```\n\n\
         `jwks_url` is the address at which the service reaches the provider; it may differ from `issuer`, which is\n\
         what tokens say.\n",
    );
    text
}
