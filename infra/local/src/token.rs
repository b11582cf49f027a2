//! `portal-local token`: prints a token.

use anyhow::{Context, Result};
use api::{Clock, Config};
use auth::{Grant, mint};
use chrono::TimeDelta;

use crate::cli::{Role, Token};
use crate::data::{Folder, settings};

pub(crate) fn token(args: Token) -> Result<()> {
    let folder = Folder::open(&args.data.path)?;
    let config = settings(Some(&folder))?.config;
    let now = Clock::System.now();
    let expires = TimeDelta::from_std(args.expires)
        .ok()
        .and_then(|expires| now.checked_add_signed(expires))
        .context("--expires is too long")?;
    let grant = Grant {
        tenant: &args.tenant,
        user: &args.user,
        role: match args.role {
            Role::Member => auth::Role::Member,
            Role::Viewer => auth::Role::Viewer,
        },
        email: args.email.as_deref(),
        name: args.name.as_deref(),
        issued_at: now,
        expires_at: expires,
    };
    println!("{}", sign(&config, &grant)?);
    Ok(())
}

pub(crate) fn sign(config: &Config, grant: &Grant) -> Result<String> {
    mint(&config.secret, grant).context("cannot sign a token")
}
