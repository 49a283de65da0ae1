//! Portcullis: crate under construction.
