//! `portcullis login`: a token of an identity provider, for a person at a terminal.

use std::path::Path;

use portcullis_oidc::{DeviceLogin, OidcError};

use crate::args::LoginArgs;
use crate::mesh::{Failure, configuration};
use crate::output::printable;
use crate::{OK, Streams};

pub async fn run(mesh: &Path, args: LoginArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let issuer = match args.issuer {
        Some(issuer) => issuer,
        None => only_issuer(mesh)?,
    };
    let login = DeviceLogin::begin(&issuer, &args.client_id, &args.scope).await.map_err(failed)?;
    // Both are the identity provider's, and meant for a terminal.
    let (page, code) = (printable(login.page()), printable(login.user_code()));
    writeln!(streams.err, "open {page}\nand log in; the page is to show the code {code}")?;
    streams.err.flush()?;
    writeln!(streams.out, "{}", printable(&login.token().await.map_err(failed)?))?;
    Ok(OK)
}

fn only_issuer(mesh: &Path) -> Result<String, Failure> {
    let issuers = configuration(mesh)?.identity.issuers;
    match issuers.as_slice() {
        [one] => Ok(one.issuer.clone()),
        _ => Err(Failure::usage(
            format!("portcullis.toml has {} issuers, and there must be one to log in at", issuers.len()),
            "name it with --issuer URL",
        )),
    }
}

fn failed(error: OidcError) -> Failure {
    Failure::failed(error.to_string())
}
