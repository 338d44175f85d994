//! Who signed a request: bearer tokens of configured issuers, verified and cached.
//!
//! Every issuer has its own audience, its own JWKS address (the address at which clients see an issuer is
//! often not the one at which we reach it: Keycloak issue 29783) and its own list of roles that it may
//! grant. A role counts only when it comes from an issuer that may grant it: a `csr` role in a token of
//! the customers' realm gives nothing.
//!
//! This is the one place that makes an [`Identity`]. Tokens and subjects are never logged.

mod explain;
mod jwks;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use domain::input::Named as _;
use domain::policy::{Identity, Role, Roles};
use domain::time::{Clock, Instant, SECOND};
use futures_util::future::join_all;
use reqwest::Url;

pub use explain::{Explanation, Line, Verdict};
use jwks::{Issuer, Key};
use tokens::Token;
pub use tokens::{LEEWAY, MAX_TOKEN, TokenError};

/// The most verified tokens that are remembered: some 3 MB.
const CACHED_TOKENS: usize = 8192;

/// One issuer of access tokens, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The exact value of `iss`.
    pub issuer: String,
    /// The value that `aud` must hold.
    pub audience: String,
    /// Where the issuer's keys are (a JSON Web Key Set).
    pub jwks_url: String,
    /// The roles that this issuer may grant.
    pub roles: Vec<String>,
    /// The claims that hold roles, as paths with dots; `<audience>` stands for the audience. Empty means
    /// Keycloak's: `realm_access.roles` and `resource_access.<audience>.roles`. A path that starts with
    /// `http` is one name (`https://example.org/roles`).
    #[serde(default)]
    pub role_claims: Vec<String>,
    /// Lets issuer and keys be plain `http` on other machines. For closed test networks only: whoever sits
    /// on the wire can then sign tokens.
    #[serde(default)]
    pub insecure_http: bool,
    /// For how many seconds the last keys go on counting when the issuer suddenly publishes none.
    #[serde(default = "hour")]
    pub keys_grace_seconds: u32,
    /// The public client as which people log in on `/api/docs` (authorization code with PKCE); without, that
    /// page offers no log-in at this issuer.
    #[serde(default)]
    pub docs_client: Option<String>,
}

/// An hour in seconds.
pub(crate) fn hour() -> u32 {
    3600
}

/// An issuer at which people can log in on `/api/docs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The exact value of `iss`, under which its discovery document is.
    pub issuer: String,
    /// The public client.
    pub client: String,
}

/// Why the issuers cannot be used as configured; each stops the start-up.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No issuer at all: nobody could sign in.
    #[error("No issuer is configured: name at least one OpenID provider, or start with --demo.")]
    NoIssuer,
    /// The same `iss` twice.
    #[error("The issuer {0} is configured twice.")]
    Twice(String),
    /// A member is empty.
    #[error("The issuer {issuer:?} has an empty {member}.")]
    Empty {
        /// The configured issuer.
        issuer: String,
        /// The member of [`IssuerConfig`].
        member: &'static str,
    },
    /// No URL that we can use.
    #[error("{0:?} is not an http or https URL without credentials and fragment.")]
    Url(String),
    /// Plain http to another machine.
    #[error("{0:?} is plain http on another machine: use https, or set insecure_http for a closed test network.")]
    PlainHttp(String),
    /// A role that does not exist.
    #[error("The issuer {issuer} lists the role {role:?}, which does not exist; roles are: {known}.")]
    Role {
        /// The configured issuer.
        issuer: String,
        /// The text that names no role.
        role: String,
        /// The names of all roles.
        known: String,
    },
    /// The HTTP client cannot be made.
    #[error("The HTTP client for the issuers' keys cannot be made: {0}.")]
    Client(#[from] reqwest::Error),
}

/// A verified token.
struct Verified {
    identity: Arc<Identity>,
    /// `exp` plus the leeway.
    until: Instant,
    /// The key that signed it; the token counts only while its issuer publishes the key.
    key: Arc<Key>,
}

/// Verifies bearer tokens. One per process; cheap to ask again for the same token.
pub struct Authenticator {
    issuers: Vec<Arc<Issuer>>,
    sign_ins: Vec<SignIn>,
    clock: Arc<dyn Clock>,
    /// By SHA-256, so that the cache holds no token that somebody could use.
    cache: quick_cache::sync::Cache<[u8; digest::SHA256_OUTPUT_LEN], Arc<Verified>>,
}

impl Authenticator {
    /// An authenticator for these issuers. It fetches nothing yet: the service starts while an issuer is
    /// down. Spawn [`Authenticator::keep_fresh`] beside it, once the listener of a built-in issuer is bound.
    ///
    /// # Errors
    /// [`ConfigError`] says which setting is wrong.
    pub fn new(issuers: Vec<IssuerConfig>, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        if issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        let mut client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(5))
            // A redirect could lead the fetch to a plain or inner address.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1);
        if issuers.iter().all(|issuer| issuer.jwks_url.starts_with("http://")) {
            // Reading the machine's trust store costs start-up time and memory; nobody needs it here.
            client = client.tls_certs_only([]);
        }
        let client = client.build()?;
        let sign_in = |config: &IssuerConfig| {
            let client = config.docs_client.clone().filter(|client| !client.is_empty());
            client.map(|client| SignIn { issuer: config.issuer.clone(), client })
        };
        let sign_ins = issuers.iter().filter_map(sign_in).collect();
        let mut made: Vec<Arc<Issuer>> = Vec::with_capacity(issuers.len());
        for config in issuers {
            if made.iter().any(|issuer| *issuer.name == *config.issuer) {
                return Err(ConfigError::Twice(config.issuer));
            }
            made.push(Arc::new(config.into_issuer(client.clone(), Arc::clone(&clock))?));
        }
        Ok(Self { issuers: made, sign_ins, clock, cache: quick_cache::sync::Cache::new(CACHED_TOKENS) })
    }

    /// Who signed this token (the text after `Bearer `).
    ///
    /// # Errors
    /// [`TokenError`]: 401, or 503 for [`TokenError::Unavailable`].
    pub async fn verify(&self, bearer: &str) -> Result<Arc<Identity>, TokenError> {
        if bearer.len() > MAX_TOKEN {
            return Err(TokenError::Oversized);
        }
        let hash = digest::digest(&digest::SHA256, bearer.as_bytes());
        let hash = hash.as_ref().try_into().map_err(|_| TokenError::Malformed)?;
        if let Some(known) = self.cache.get(&hash) {
            if known.until > self.clock.now() && !known.key.is_withdrawn() {
                return Ok(Arc::clone(&known.identity));
            }
            self.cache.remove(&hash);
        }
        // Boxed, so that the future of the common case stays small.
        let verified = Box::pin(self.examine(bearer)).await?;
        let identity = Arc::clone(&verified.identity);
        self.cache.insert(hash, Arc::new(verified));
        Ok(identity)
    }

    async fn examine(&self, bearer: &str) -> Result<Verified, TokenError> {
        let token = Token::parse(bearer)?;
        let issuer = self.issuer_of(&token).ok_or(TokenError::Issuer)?;
        let key = issuer.key_for(&token).await?;
        if key.algorithm != token.algorithm {
            return Err(TokenError::Algorithm);
        }
        if !token.signed_by(&key.decoding) {
            return Err(TokenError::Signature);
        }
        let proof = token.check(&issuer.audience, self.clock.now())?;
        let named: Vec<Role> =
            issuer.role_claims.iter().flat_map(|path| token.texts_at(path)).filter_map(Role::named).collect();
        let roles = Roles::of(&named).intersection(issuer.grants);
        #[expect(clippy::disallowed_methods, reason = "this is the authentication step")]
        let identity = Identity::verified(Arc::clone(&issuer.name), proof.subject.to_owned(), roles);
        Ok(Verified { identity: Arc::new(identity), until: proof.until, key })
    }

    fn issuer_of(&self, token: &Token<'_>) -> Option<&Arc<Issuer>> {
        let name = token.issuer()?;
        self.issuers.iter().find(|issuer| *issuer.name == *name)
    }

    /// Fetches the keys of every issuer now and every 5 minutes, for ever; after failures more often.
    pub async fn keep_fresh(&self) {
        join_all(self.issuers.iter().map(|issuer| issuer.keep_fresh())).await;
    }

    /// The issuers at which people can log in on `/api/docs`.
    pub fn sign_ins(&self) -> &[SignIn] {
        &self.sign_ins
    }

    /// Each issuer, and whether its keys were ever fetched: without, its tokens get 503.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, bool)> {
        self.issuers.iter().map(|issuer| (&*issuer.name, issuer.has_keys()))
    }

    /// Issuers whose keys could not be fetched when that was last tried; the last ones go on counting.
    pub fn unreachable(&self) -> usize {
        self.issuers.iter().filter(|issuer| issuer.is_failing()).count()
    }

    /// Issuers that publish no usable key now, whether their last ones still count or not.
    pub fn publishing_none(&self) -> usize {
        self.issuers.iter().filter(|issuer| issuer.publishes_none()).count()
    }
}

impl IssuerConfig {
    fn into_issuer(self, client: reqwest::Client, clock: Arc<dyn Clock>) -> Result<Issuer, ConfigError> {
        let Self { issuer, audience, jwks_url, roles, role_claims, insecure_http, keys_grace_seconds, docs_client: _ } =
            self;
        let empty = [
            ("issuer", issuer.is_empty()),
            ("audience", audience.is_empty()),
            ("jwks_url", jwks_url.is_empty()),
            ("list of roles", roles.is_empty()),
        ];
        if let Some((member, _)) = empty.into_iter().find(|(_, empty)| *empty) {
            return Err(ConfigError::Empty { issuer, member });
        }
        usable_url(&issuer, insecure_http)?;
        let url = usable_url(&jwks_url, insecure_http)?;
        let grants = roles
            .into_iter()
            .map(|role| Role::named(&role).ok_or(role))
            .collect::<Result<Vec<Role>, String>>()
            .map_err(|role| {
                let known: Vec<&str> = Role::ALL.iter().map(|(_, name)| *name).collect();
                ConfigError::Role { issuer: issuer.clone(), role, known: known.join(", ") }
            })?;
        let role_claims = if role_claims.is_empty() {
            vec!["realm_access.roles".to_owned(), "resource_access.<audience>.roles".to_owned()]
        } else {
            role_claims
        };
        // Split first, so that dots in the audience do no harm.
        let paths = role_claims.iter().map(|path| match path {
            name if name.starts_with("http") => vec![name.clone()],
            path => path.split('.').map(|name| name.replace("<audience>", &audience)).collect(),
        });
        let paths = paths.collect();
        let grace = i64::from(keys_grace_seconds) * SECOND;
        Ok(Issuer::new((issuer.into(), audience), (Roles::of(&grants), paths), (url, client), grace, clock))
    }
}

fn usable_url(text: &str, insecure_http: bool) -> Result<Url, ConfigError> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    let url = url.ok_or_else(|| ConfigError::Url(text.to_owned()))?;
    if url.scheme() == "http" && !insecure_http && !is_loopback(&url) {
        return Err(ConfigError::PlainHttp(text.to_owned()));
    }
    Ok(url)
}

/// Whether a URL names this machine: `localhost`, 127.0.0.0/8 or `::1`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::SystemClock;

    fn config() -> IssuerConfig {
        let (issuer, audience) = ("https://id.example/realms/ossrep".to_owned(), "customer-service".to_owned());
        let (jwks_url, roles) = (format!("{issuer}/certs"), vec!["customer".to_owned()]);
        let (role_claims, insecure_http, keys_grace_seconds, docs_client) = (Vec::new(), false, hour(), None);
        IssuerConfig { issuer, audience, jwks_url, roles, role_claims, insecure_http, keys_grace_seconds, docs_client }
    }

    #[test]
    fn wrong_settings_are_refused_with_a_sentence() {
        type Change = fn(&mut IssuerConfig);
        let cases: [(Change, &str); 8] = [
            (|c| c.issuer.clear(), "empty issuer"),
            (|c| c.audience.clear(), "empty audience"),
            (|c| c.roles.clear(), "empty list of roles"),
            (|c| c.roles.push("root".into()), "\"root\""),
            (|c| c.jwks_url = "http://id.example/certs".into(), "plain http"),
            (|c| c.issuer = "http://id.example".into(), "plain http"),
            (|c| c.jwks_url = "file:///etc/keys".into(), "not an http"),
            (|c| c.jwks_url = "https://u:p@id.example/certs".into(), "not an http"),
        ];
        for (change, expected) in cases {
            let mut config = config();
            change(&mut config);
            let shown = format!("{config:?}");
            let error = Authenticator::new(vec![config], Arc::new(SystemClock)).err().map(|e| e.to_string());
            assert!(error.unwrap_or_default().contains(expected), "{shown}: {expected}");
        }
        assert!(Authenticator::new(vec![config()], Arc::new(SystemClock)).is_ok());
        let twice = Authenticator::new(vec![config(), config()], Arc::new(SystemClock)).err();
        assert!(matches!(twice, Some(ConfigError::Twice(_))));
        assert!(matches!(Authenticator::new(vec![], Arc::new(SystemClock)).err(), Some(ConfigError::NoIssuer)));
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for (url, fine) in [
            ("http://localhost:8080/x", true),
            ("http://127.0.0.1/x", true),
            ("http://127.9.9.9/x", true),
            ("http://[::1]:1/x", true),
            ("http://localhost.example/x", false),
            ("http://127.0.0.1.example/x", false),
            ("http://10.0.0.1/x", false),
            ("http://[::2]/x", false),
        ] {
            assert_eq!(usable_url(url, false).is_ok(), fine, "{url}");
            assert!(usable_url(url, true).is_ok(), "{url}");
        }
    }
}
