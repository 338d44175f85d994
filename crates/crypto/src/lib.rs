//! Keys, sealing and look-up hashes. All cryptography is aws-lc's; this crate decides which key seals
//! what, under which additional data, and how keys are named, wrapped and replaced.

mod check;
mod keyring;
mod random;
mod sealing;
mod tag;

pub use check::{KeyCheck, OtherKeys};
pub use keyring::{Generated, KeyError, Keyring, Purpose};
pub use random::{Random, RandomError, SystemRandom};
pub use sealing::{Context, DataKey, SealError};
pub use tag::{TAG_LENGTH, TagKey};
