//! Keyed tags: HMAC-SHA-256 (RFC 2104) for look-up hashes, the audit chain, ETags and cursors.

use aws_lc_rs::hmac;

/// Bytes of a full tag.
pub const TAG_LENGTH: usize = 32;

/// A key for tags.
#[derive(Clone)]
pub struct TagKey {
    id: u32,
    key: hmac::Key,
}

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TagKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TagKey {
    /// Takes the bytes of a key.
    pub fn new(id: u32, key: &[u8]) -> Self {
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The key's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The tag of some parts. Each part is preceded by its length, so that moving a boundary between
    /// two parts gives another tag. `domain` keeps the uses of one key apart.
    pub fn tag(&self, domain: &'static str, parts: &[&[u8]]) -> [u8; TAG_LENGTH] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in std::iter::once(&domain.as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Whether `tag` begins the tag of the parts; compared in constant time.
    pub fn verify(&self, domain: &'static str, parts: &[&[u8]], tag: &[u8]) -> bool {
        let right = self.tag(domain, parts);
        let Some(right) = right.get(..tag.len()) else { return false };
        // Shorter than 96 bits is no proof.
        tag.len() >= 12 && aws_lc_rs::constant_time::verify_slices_are_equal(right, tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_domains_and_keys_count() {
        let key = TagKey::new(1, b"key");
        let tag = key.tag("a", &[b"bc", b"d"]);
        for other in [
            key.tag("a", &[b"b", b"cd"]),
            key.tag("ab", &[b"c", b"d"]),
            TagKey::new(1, b"yek").tag("a", &[b"bc", b"d"]),
        ] {
            assert_ne!(tag, other);
        }
        assert!(key.verify("a", &[b"bc", b"d"], &tag[..16]));
        assert!(!key.verify("a", &[b"bc", b"d"], &tag[..8]));
        assert!(!key.verify("a", &[b"bc", b"e"], &tag));
    }
}
