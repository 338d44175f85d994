//! Why a token counts here or does not, check by check, for whoever sets up an issuer.
//!
//! Nothing in the token is trusted, and what is said repeats neither the token nor whom it is about: of its claims only
//! those below are shown, each escaped and cut, and of `sub` only whether it is there. The verdict is that of
//! [`Authenticator::verify`] itself, which stops at the first check that refuses; this looks at all of them.

use std::fmt::Display;

use domain::input::Named as _;
use domain::policy::{Role, Roles};
use domain::time::Instant;

use super::jwks::Issuer;
use super::tokens::{MAX_TOKEN, Token, TokenError};
use super::{Authenticator, LEEWAY};

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against the token.
    Fine,
    /// It does not keep the token from counting, but somebody should look.
    Doubt,
    /// The token does not count.
    Refused,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it ended.
    pub verdict: Verdict,
    /// What was looked at, in a word.
    pub subject: &'static str,
    /// What was found.
    pub text: String,
    /// What to change, mostly in Keycloak.
    pub advice: Option<String>,
}

/// What all checks found.
#[derive(Debug)]
pub struct Explanation {
    /// In the order in which they are made.
    pub lines: Vec<Line>,
    /// Why the token does not count: the first reason.
    pub refused: Option<TokenError>,
}

/// The longest text of a token that is shown, in characters.
const SHOWN: usize = 120;
/// The most members of a list that are shown.
const LISTED: usize = 20;
/// Claims of the scopes `profile`, `email`, `phone` and `address` (OpenID Connect Core 1.0, section 5.4).
const PERSONAL: [&str; 10] = [
    "name",
    "given_name",
    "family_name",
    "preferred_username",
    "email",
    "email_verified",
    "phone_number",
    "address",
    "birthdate",
    "nickname",
];

/// A text of a token as it may be shown: a forged one could hold anything, control characters too.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "..." } else { "" })
}

fn listed<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.take(LISTED).map(shown).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn fine(&mut self, subject: &'static str, text: impl Display) {
        self.add(Verdict::Fine, subject, text, None);
    }
    fn doubt(&mut self, subject: &'static str, text: impl Display, advice: impl Display) {
        self.add(Verdict::Doubt, subject, text, Some(advice.to_string()));
    }
    fn refused(&mut self, subject: &'static str, error: TokenError, text: impl Display, advice: impl Display) {
        self.add(Verdict::Refused, subject, format_args!("{error} {text}"), Some(advice.to_string()));
    }
    fn add(&mut self, verdict: Verdict, subject: &'static str, text: impl Display, advice: Option<String>) {
        self.0.push(Line { verdict, subject, text: text.to_string().trim_end().to_owned(), advice });
    }
}

impl Authenticator {
    /// Explains a token (the text after `Bearer `). It fetches the keys of the token's issuer.
    pub async fn explain(&self, bearer: &str) -> Explanation {
        let mut lines = Lines::default();
        match Token::parse(bearer) {
            _ if bearer.len() > MAX_TOKEN => {
                let error = TokenError::Oversized;
                let advice =
                    "Take roles and claims out of it: in Keycloak, turn off \"Full scope allowed\" of the client.";
                lines.refused("form", error, format_args!("It has {} bytes.", bearer.len()), advice);
            }
            Err(error) => lines.refused("form", error, "", of_form(error)),
            Ok(token) => {
                let typ = token.typ.as_deref().map_or("no typ".to_owned(), |typ| format!("typ {}", shown(typ)));
                lines.fine("form", format_args!("a signed JWT, {:?}, {typ}", token.algorithm));
                let issuer = self.issuer(&token, &mut lines);
                if let Some(issuer) = issuer {
                    signature(issuer, &token, &mut lines).await;
                }
                claims(&token, self.clock.now(), &mut lines);
                if let Some(issuer) = issuer {
                    audience(issuer, &token, &mut lines);
                    roles(issuer, &token, &mut lines);
                } else {
                    lines.doubt("aud", listed(token.audiences()), "Which one is right depends on the issuer.");
                }
                personal(&token, &mut lines);
            }
        }
        Explanation { lines: lines.0, refused: self.verify(bearer).await.err() }
    }

    fn issuer(&self, token: &Token<'_>, lines: &mut Lines) -> Option<&std::sync::Arc<Issuer>> {
        let found = self.issuer_of(token);
        match (found, token.issuer()) {
            (Some(issuer), _) => lines.fine("iss", &issuer.name),
            (None, named) => {
                let said = named.map_or("It names none.".to_owned(), |named| format!("It says {}.", shown(named)));
                let known: Vec<&str> = self.issuers.iter().map(|issuer| &*issuer.name).collect();
                let advice = format!(
                    "Configured are {}: it must be the same to the last character. Keycloak writes the address by which \
                     its client reached it, unless its option `hostname` says which.",
                    known.join(", ")
                );
                lines.refused("iss", TokenError::Issuer, said, advice);
            }
        }
        found
    }
}

fn of_form(error: TokenError) -> &'static str {
    match error {
        TokenError::Algorithm => {
            "Keycloak signs refresh tokens with HS512: those are not for services. The algorithm of access tokens is \
             the client's (Advanced) or the realm's (Realm settings, Tokens): RS256 or ES256."
        }
        TokenError::Header => "No Keycloak writes such a header: the token was made by something else.",
        _ => "Give the access_token of the answer alone, as it stands after `Bearer `: three parts with dots between.",
    }
}

async fn signature(issuer: &std::sync::Arc<Issuer>, token: &Token<'_>, lines: &mut Lines) {
    let kid = token.kid.as_deref().map_or("no kid".to_owned(), |kid| format!("kid {}", shown(kid)));
    let (url, published) = (&issuer.url, issuer.published());
    match issuer.key_for(token).await {
        Err(error @ TokenError::Unavailable) => {
            let advice = "Can this machine reach jwks_url? `customer-service doctor` says what went wrong.";
            lines.refused("keys", error, format_args!("They are at {url}."), advice);
        }
        Err(error) => {
            let published = if published == 0 { issuer.published() } else { published };
            let text = format_args!("The token has {kid}; {url} publishes {published} usable keys, none of them that.");
            let advice = "Is jwks_url of the realm that iss names? Keycloak publishes its enabled keys (Realm settings, \
                          Keys); a realm that was imported anew has new ones.";
            lines.refused("keys", error, text, advice);
        }
        Ok(key) if key.algorithm != token.algorithm => {
            let text = format_args!("The key with {kid} is for {:?}.", key.algorithm);
            lines.refused("keys", TokenError::Algorithm, text, "Keycloak does not do that: the token was forged.");
        }
        Ok(key) => {
            lines.fine("keys", format_args!("{kid}, published at {url}"));
            if token.signed_by(&key.decoding) {
                lines.fine("signature", "made with that key");
            } else {
                let advice = "It was changed on its way, cut off when it was copied, or is forged.";
                lines.refused("signature", TokenError::Signature, "", advice);
            }
        }
    }
}

fn claims(token: &Token<'_>, now: Instant, lines: &mut Lines) {
    let typ = token.text("typ").map_or("no claim typ".to_owned(), shown);
    match token.check_type() {
        Ok(()) => lines.fine("typ", typ),
        Err(error) => {
            let advice = "Send access_token. Keycloak writes typ \"Bearer\" into access tokens, \"ID\" and \"Refresh\" into \
                          the others.";
            lines.refused("typ", error, format_args!("It has {typ}."), advice);
        }
    }
    let dates = ["nbf", "iat", "exp"].map(|name| match token.date(name) {
        Ok(None) => format!("no {name}"),
        Ok(Some(at)) => format!("{name} {at}"),
        Err(_) => format!("{name} is no date"),
    });
    let dates = format!("{}; it is {now} here", dates.join(", "));
    match token.check_dates(now) {
        Ok(_) => lines.fine("dates", dates),
        Err(error) => {
            let advice = match error {
                TokenError::Expired => {
                    "Ask for a new one. When new ones have expired already, one of the clocks is wrong (or the realm's \
                     Access Token Lifespan is too short)."
                }
                TokenError::NotYet => "The clock of Keycloak's machine or of this one is wrong.",
                _ => "Keycloak writes them: the token was made or changed by something else.",
            };
            let leeway = LEEWAY / domain::time::SECOND;
            lines.refused("dates", error, format_args!("{dates}; {leeway} s of difference are allowed."), advice);
        }
    }
    match token.subject() {
        Ok(_) => lines.fine("sub", "present"),
        Err(error) => {
            let advice = "Clients, the client, Client scopes: add `basic` as a default one. A realm file whose clients list \
                          `defaultClientScopes` without it makes such tokens (since Keycloak 25).";
            lines.refused("sub", error, "", advice);
        }
    }
}

fn audience(issuer: &Issuer, token: &Token<'_>, lines: &mut Lines) {
    let wanted = &issuer.audience;
    if token.audiences().any(|one| one == wanted) {
        return lines.fine("aud", shown(wanted));
    }
    let advice = format!(
        "Give the client{} a mapper of the type Audience with Included Custom Audience {wanted:?}, added to access tokens \
         (Clients, the client, Client scopes, its dedicated scope).",
        token.text("azp").map(|client| format!(" {}", shown(client))).unwrap_or_default()
    );
    let text = format_args!("It names {}, and not {wanted:?}.", listed(token.audiences()));
    lines.refused("aud", TokenError::Audience, text, advice);
}

fn roles(issuer: &Issuer, token: &Token<'_>, lines: &mut Lines) {
    let (mut counting, mut others) = (Vec::new(), Vec::new());
    for name in issuer.role_claims.iter().flat_map(|path| token.texts_at(path)) {
        match Role::named(name) {
            Some(role) if issuer.grants.intersects(Roles::of(&[role])) => counting.push(name),
            _ => others.push(name),
        }
    }
    let others = match others.as_slice() {
        [] => String::new(),
        others => format!("; these count for nothing at this issuer: {}", listed(others.iter().copied())),
    };
    if counting.is_empty() {
        let places: Vec<String> = issuer.role_claims.iter().map(|path| path.join(".")).collect();
        let granted: Vec<&str> = issuer.grants.list().map(|(_, name)| name).collect();
        let advice = format!(
            "Every operation will answer 403. This issuer may grant {} (its `roles`), in {}; the client needs the client \
             scope `roles`, and must be allowed to pass the role on (Client scopes, dedicated scope, Scope).",
            granted.join(", "),
            places.join(" or ")
        );
        lines.doubt("roles", format_args!("none counts{others}"), advice);
    } else {
        lines.fine("roles", format_args!("{}{others}", listed(counting.into_iter())));
    }
}

fn personal(token: &Token<'_>, lines: &mut Lines) {
    let found: Vec<&str> = PERSONAL.into_iter().filter(|name| token.names().any(|claim| claim == *name)).collect();
    if !found.is_empty() {
        let advice = "The service reads none of them: make the client scopes `profile`, `email`, `phone` and `address` \
                      optional, so that access tokens do without.";
        lines.doubt("personal data", format_args!("the token carries {}", found.join(", ")), advice);
    }
}
