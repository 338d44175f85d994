//! Randomness is a parameter, so that tests can seed it.

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct RandomError;

/// Where random bytes come from.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomError`] when the source fails; nothing may then be made from `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The cryptographic generator of aws-lc, seeded by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        #[expect(clippy::disallowed_methods, reason = "the one place where the system's randomness is drawn")]
        aws_lc_rs::rand::fill(bytes).map_err(|_| RandomError)
    }
}
