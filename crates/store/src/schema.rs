//! The declared schema.
