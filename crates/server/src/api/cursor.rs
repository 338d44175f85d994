//! Cursors: opaque, and bound by a MAC to caller, operation and filters. A cursor of another list, or of
//! somebody else, is no cursor.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crypto::TagKey;
use store::Caller;

/// Bytes of the tag that goes into a cursor.
const TAG: usize = 16;

/// What a cursor is bound to.
#[derive(Debug)]
pub(super) struct Binding<'a> {
    pub(super) key: &'a TagKey,
    pub(super) caller: &'a Caller,
    pub(super) resource: &'a str,
    pub(super) filters: &'a str,
}

impl Binding<'_> {
    fn tag(&self, position: &[u8]) -> [u8; crypto::TAG_LENGTH] {
        let caller = self.caller.identity();
        let bound = [caller.issuer(), caller.subject(), self.caller.action(), self.resource, self.filters];
        let [issuer, subject, action, resource, filters] = bound.map(str::as_bytes);
        self.key.tag("cursor", &[issuer, subject, action, resource, filters, position])
    }

    /// Writes a position as a cursor.
    pub(super) fn encode(&self, position: &[i64]) -> String {
        let mut bytes: Vec<u8> = position.iter().flat_map(|n| n.to_be_bytes()).collect();
        let tag = self.tag(&bytes);
        bytes.extend(tag.iter().take(TAG));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a position of `N` numbers; `None` when the cursor is not one of ours for this binding.
    pub(super) fn decode<const N: usize>(&self, cursor: &str) -> Option<[i64; N]> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (position, tag) = bytes.split_at_checked(N * 8)?;
        let right = self.tag(position);
        let right = right.get(..TAG)?;
        if aws_lc_rs::constant_time::verify_slices_are_equal(right, tag).is_err() {
            return None;
        }
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(position.chunks_exact(8)) {
            *number = i64::from_be_bytes(bytes.try_into().ok()?);
        }
        Some(numbers)
    }
}
