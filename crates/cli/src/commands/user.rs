//! `portcullis user`: help with users.yaml.

use std::io::BufRead;

use crate::mesh::Failure;
use crate::{OK, Streams};

pub fn hash(password: Option<String>, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let password = match password {
        Some(password) => password,
        None => {
            if streams.interactive {
                write!(streams.err, "password: ")?;
                streams.err.flush()?;
            }
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_string()
        }
    };
    if password.is_empty() {
        return Err(Failure::usage("the password is empty", "give one on standard input or with --password"));
    }
    writeln!(streams.out, "{}", portcullis_gateway::hash_password(&password)?)?;
    Ok(OK)
}
