//! What must not leak, and how others leaked it: a module for each class of attack, with the incidents that it comes
//! from. The attacker is a legitimate principal who may run any SQL through any command and reads every byte that comes
//! back; in `foreign_files` it is a domain that writes its own tables.
//!
//! What goes over the wire is in `raw_bytes`, who may pass which door in `doors`. docs/security-model.md has the promises.

mod foreign_files;
mod oracles;
mod side_outputs;
mod surface;
mod time;
