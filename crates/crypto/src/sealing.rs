//! Sealing of one record: AES-256-GCM under a random nonce, bound to its place.
//!
//! A sealed record is `version (1) | key id (4, big endian) | nonce (12) | ciphertext and tag`. The
//! additional data names customer, table, row and key id, so that a record moved to another row, or
//! relabelled with another key's id, does not open. The invariant that would break everything, one nonce
//! used twice under one key, is aws-lc's to keep: it draws each nonce itself.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + NONCE;
const NONCE: usize = 12;

/// Why a record could not be sealed or opened. It never says more about the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a sealed record, or of a version that this binary does not know.
    #[error("not a sealed record of a known version")]
    Format,
    /// Sealed under another key than the one given.
    #[error("sealed under key {0}, which is not the key at hand")]
    OtherKey(u32),
    /// Changed, moved from another row, or of another key.
    #[error("the sealed record does not belong here or was changed")]
    Forged,
    /// The library refused to seal.
    #[error("the record could not be sealed")]
    Failed,
}

/// Where a sealed record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The customer, 0 for what belongs to none.
    pub customer: i64,
    /// The table.
    pub table: &'static str,
    /// The row's id within the table.
    pub row: i64,
}

impl Context {
    fn additional_data(&self, key: u32) -> Vec<u8> {
        let mut data = Vec::with_capacity(1 + 8 + 8 + 4 + self.table.len());
        data.push(VERSION);
        data.extend_from_slice(&self.customer.to_be_bytes());
        data.extend_from_slice(&self.row.to_be_bytes());
        data.extend_from_slice(&key.to_be_bytes());
        // The only part of variable length stands last, so that two contexts never encode alike.
        data.extend_from_slice(self.table.as_bytes());
        data
    }
}

/// A key that seals records: one customer's data key, or one of the keyring's own.
///
/// aws-lc overwrites the key schedule when it is freed.
pub struct DataKey {
    id: u32,
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl DataKey {
    /// Takes 32 bytes of key, and refuses any other number.
    pub fn new(id: u32, key: &[u8]) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Format)?;
        Ok(Self { id, key })
    }

    /// The id that stands in every record sealed under this key.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Seals a record for its place.
    pub fn seal(&self, context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut text = Zeroizing::new(Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len()));
        text.extend_from_slice(plaintext);
        let aad = Aad::from(context.additional_data(self.id));
        let nonce = self.key.seal_in_place_append_tag(aad, &mut *text).map_err(|_| SealError::Failed)?;
        let mut record = Vec::with_capacity(HEADER + text.len());
        record.push(VERSION);
        record.extend_from_slice(&self.id.to_be_bytes());
        record.extend_from_slice(nonce.as_ref());
        record.extend_from_slice(&text);
        Ok(record)
    }

    /// Opens a record at its place.
    pub fn open(&self, context: &Context, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (version, rest) = record.split_first().ok_or(SealError::Format)?;
        let (id, rest) = rest.split_first_chunk::<4>().ok_or(SealError::Format)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Format)?;
        let id = u32::from_be_bytes(*id);
        if *version != VERSION {
            return Err(SealError::Format);
        }
        if id != self.id {
            return Err(SealError::OtherKey(id));
        }
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(context.additional_data(id));
        let length = self.key.open_in_place(Nonce::from(nonce), aad, &mut text).map_err(|_| SealError::Forged)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// The id of the key under which a record was sealed.
    pub fn id_in(record: &[u8]) -> Result<u32, SealError> {
        let rest = record.strip_prefix(&[VERSION]).ok_or(SealError::Format)?;
        rest.first_chunk::<4>().map(|id| u32::from_be_bytes(*id)).ok_or(SealError::Format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Context = Context { customer: 1, table: "account", row: 1001 };

    #[test]
    fn opens_only_unchanged_at_its_place_under_its_key() {
        let key = DataKey::new(7, &[1; 32]).unwrap();
        let record = key.seal(&HERE, b"Headquarters").unwrap();
        assert_eq!(key.open(&HERE, &record).unwrap().as_slice(), b"Headquarters");
        for elsewhere in
            [Context { customer: 2, ..HERE }, Context { table: "premise", ..HERE }, Context { row: 1002, ..HERE }]
        {
            assert_eq!(key.open(&elsewhere, &record), Err(SealError::Forged));
        }
        for index in 0..record.len() {
            let mut changed = record.clone();
            changed[index] ^= 1;
            assert!(key.open(&HERE, &changed).is_err(), "byte {index}");
            assert!(key.open(&HERE, &record[..index]).is_err(), "cut at {index}");
        }
        assert_eq!(DataKey::new(8, &[1; 32]).unwrap().open(&HERE, &record), Err(SealError::OtherKey(7)));
        assert_eq!(DataKey::new(7, &[2; 32]).unwrap().open(&HERE, &record), Err(SealError::Forged));
        assert_eq!(DataKey::id_in(&record), Ok(7));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let key = DataKey::new(7, &[1; 32]).unwrap();
        assert_ne!(key.seal(&HERE, b"same").unwrap(), key.seal(&HERE, b"same").unwrap());
    }
}
