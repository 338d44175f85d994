//! What a bearer token must say before it counts: its form, its header and its claims (RFC 7515,
//! RFC 7519, RFC 9068).
//!
//! The order is deliberate: form and header first (cheap, nothing trusted), then the signature, then the
//! claims. Before the signature only `iss` and `kid` are read, to choose the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::time::{Instant, SECOND};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

/// The largest token in bytes. Keycloak's with dozens of roles stay below 4 KiB.
pub const MAX_TOKEN: usize = 8 * 1024;

/// How far the issuer's clock and ours may differ, in microseconds: one second of skew breaks log-ins
/// (Keycloak issue 8966).
pub const LEEWAY: i64 = 10 * SECOND;

/// The longest `sub` in characters (OpenID Connect Core 1.0, section 2).
const MAX_SUBJECT: usize = 255;

/// The last second that a date claim may name: 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// Why a token does not count. The sentences are for whoever integrates a client; they never repeat a
/// part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`MAX_TOKEN`] bytes.
    #[error("The access token is larger than 8 KiB.")]
    Oversized,
    /// No three base64url parts with JSON objects in the first two.
    #[error("The access token is not a signed JWT.")]
    Malformed,
    /// The header brings a key, a place of keys or an extension (`jwk`, `jku`, `x5u`, `x5c`, `crit`).
    #[error("The access token's header holds a member that is not accepted (jwk, jku, x5u, x5c or crit).")]
    Header,
    /// `alg` is not RS256, ES256 or EdDSA, or not the algorithm of the key.
    #[error("The access token's algorithm is not accepted; use RS256, ES256 or EdDSA with a key of its kind.")]
    Algorithm,
    /// `iss` names no configured issuer.
    #[error("The access token's issuer is not trusted here.")]
    Issuer,
    /// The issuer publishes no such key.
    #[error("The access token is signed with a key that its issuer does not publish.")]
    Key,
    /// The signature does not fit.
    #[error("The access token's signature is wrong.")]
    Signature,
    /// Neither header `typ` nor claim `typ` says access token: ID, refresh and log-out tokens end here.
    #[error("This is not an access token; send the access token, not the ID or refresh token.")]
    Type,
    /// `aud` does not hold the configured audience.
    #[error("The access token is not meant for this service (its aud does not name it).")]
    Audience,
    /// `sub` is absent, empty or too long. Keycloak leaves it out when a client lacks the client scope
    /// `basic` (Keycloak issues 31082, 34306).
    #[error("The access token names no subject; in Keycloak, give the client the scope \"basic\".")]
    Subject,
    /// `exp` has passed.
    #[error("The access token has expired.")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("The access token is not valid yet.")]
    NotYet,
    /// `exp` is absent, or a date claim is not a date.
    #[error("The access token's exp, nbf or iat is missing or not a date.")]
    Dates,
    /// The issuer's keys were never fetched and cannot be fetched now: 503, not 401.
    #[error("The issuer's keys cannot be fetched at the moment.")]
    Unavailable,
}

impl TokenError {
    /// The stable code, for problem details and for the audit log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Oversized => "token-too-large",
            Self::Malformed => "token-malformed",
            Self::Header => "token-header",
            Self::Algorithm => "token-algorithm",
            Self::Issuer => "token-issuer",
            Self::Key => "token-key",
            Self::Signature => "token-signature",
            Self::Type => "token-type",
            Self::Audience => "token-audience",
            Self::Subject => "token-subject",
            Self::Expired => "token-expired",
            Self::NotYet => "token-not-yet-valid",
            Self::Dates => "token-dates",
            Self::Unavailable => "issuer-unavailable",
        }
    }
}

/// The header members that matter. serde refuses a member that stands there twice.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    jwk: bool,
    #[serde(default, deserialize_with = "present")]
    jku: bool,
    #[serde(default, deserialize_with = "present")]
    x5u: bool,
    #[serde(default, deserialize_with = "present")]
    x5c: bool,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// Notes that a member is there, whatever it holds, null included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A token taken apart. Nothing in it is trusted before [`Token::signed_by`] said so.
pub(super) struct Token<'a> {
    signed: &'a str,
    signature: &'a str,
    /// The type that the header names.
    pub(super) typ: Option<String>,
    /// The key that the header names.
    pub(super) kid: Option<String>,
    /// The algorithm that the header names.
    pub(super) algorithm: Algorithm,
    claims: Value,
}

/// What the claims prove.
pub(super) struct Proof<'a> {
    /// `sub`
    pub(super) subject: &'a str,
    /// `exp` plus the leeway.
    pub(super) until: Instant,
}

impl<'a> Token<'a> {
    /// Takes a token apart and refuses headers that nobody should send.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        let Header { alg, typ, kid, jwk, jku, x5u, x5c, crit } = header;
        if jwk || jku || x5u || x5c || crit {
            return Err(TokenError::Header);
        }
        let algorithm = match alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            // `none` and HMAC too: a public key must never serve as a secret (RFC 8725, section 2.1).
            _ => return Err(TokenError::Algorithm),
        };
        let claims: Value = serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)?;
        if !claims.is_object() {
            return Err(TokenError::Malformed);
        }
        Ok(Self { signed, signature, typ, kid, algorithm, claims })
    }

    /// The issuer that the token claims.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Whether `key` made the signature.
    pub(super) fn signed_by(&self, key: &jsonwebtoken::DecodingKey) -> bool {
        let verified = jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm);
        verified.unwrap_or(false)
    }

    /// Checks the claims of a token whose signature holds.
    pub(super) fn check(&self, audience: &str, now: Instant) -> Result<Proof<'_>, TokenError> {
        self.check_type()?;
        let until = self.check_dates(now)?;
        if !self.audiences().any(|one| one == audience) {
            return Err(TokenError::Audience);
        }
        Ok(Proof { subject: self.subject()?, until })
    }

    /// For whom the token is meant.
    pub(super) fn audiences(&self) -> impl Iterator<Item = &str> {
        let audiences = match self.claims.get("aud") {
            Some(Value::Array(several)) => several.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        audiences.iter().filter_map(Value::as_str)
    }

    /// Whom the token is about.
    pub(super) fn subject(&self) -> Result<&str, TokenError> {
        let subject = self.claims.get("sub").and_then(Value::as_str).ok_or(TokenError::Subject)?;
        if subject.is_empty() || subject.chars().count() > MAX_SUBJECT {
            return Err(TokenError::Subject);
        }
        Ok(subject)
    }

    /// The names of all claims.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.claims.as_object().into_iter().flat_map(|claims| claims.keys().map(String::as_str))
    }

    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// RFC 9068, section 2.1 wants the header `typ` `at+jwt`. Keycloak writes `JWT` into the headers of
    /// access and ID tokens alike and tells them apart by the claim `typ`.
    pub(super) fn check_type(&self) -> Result<(), TokenError> {
        // Media types are compared without case, and `application/` may be left out (RFC 7515, 4.1.9).
        let header = self.typ.as_deref().map(str::to_ascii_lowercase);
        let (access, plain) = match header.as_deref() {
            Some("at+jwt" | "application/at+jwt") => (true, true),
            None | Some("jwt" | "application/jwt") => (false, true),
            Some(_) => (false, false),
        };
        let right = match self.claims.get("typ") {
            None => access,
            Some(claim) => plain && claim.as_str() == Some("Bearer"),
        };
        if right { Ok(()) } else { Err(TokenError::Type) }
    }

    /// Until when the token counts.
    pub(super) fn check_dates(&self, now: Instant) -> Result<Instant, TokenError> {
        let until = self.date("exp")?.ok_or(TokenError::Dates)?.plus(LEEWAY);
        if until <= now {
            return Err(TokenError::Expired);
        }
        for name in ["nbf", "iat"] {
            if self.date(name)?.is_some_and(|at| at > now.plus(LEEWAY)) {
                return Err(TokenError::NotYet);
            }
        }
        Ok(until)
    }

    /// A `NumericDate`: seconds, perhaps with a fraction (RFC 7519, section 2), which is dropped.
    pub(super) fn date(&self, name: &str) -> Result<Option<Instant>, TokenError> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        // The cast saturates, and the range is checked below.
        let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
        match seconds {
            Some(seconds) if (0..=LAST_SECOND).contains(&seconds) => Ok(Some(Instant::from_micros(seconds * SECOND))),
            _ => Err(TokenError::Dates),
        }
    }

    /// The texts of the list at a path of claims.
    pub(super) fn texts_at<'t>(&'t self, path: &[String]) -> impl Iterator<Item = &'t str> {
        let found = path.iter().try_fold(&self.claims, |value, name| value.get(name.as_str()));
        found.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}
