//! `portal-local env`: prints what other processes need to share the data of a running server.

use anyhow::{Context, Result, bail};

use crate::TABLE;
use crate::cli::DataDir;
use crate::data::{Folder, settings};

pub(crate) fn env(args: &DataDir) -> Result<()> {
    let folder = Folder::open(&args.path)?;
    if folder.try_lock()?.is_some() {
        bail!(
            "nobody serves the data folder {}; start portal-local first",
            args.path.display()
        );
    }
    let config = settings(Some(&folder))?.config;
    let packs = config.search.url.context("there is no search store")?;
    let files = config.uploads.context("there is no store of files")?;
    for (name, value) in [
        ("TABLE_NAME", TABLE),
        ("JWT_SECRET", config.secret.expose()),
        ("SEARCH_STORE_URL", &packs),
        ("UPLOAD_STORE_URL", &files),
        ("UPLOAD_DOOR_URL", &folder.door()?),
        ("AWS_ENDPOINT_URL_DYNAMODB", &folder.endpoint()?),
        ("AWS_REGION", "eu-central-1"),
        // The engine takes any.
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ] {
        println!("export {name}={}", quoted(value));
    }
    Ok(())
}

/// A value that a shell takes as it is.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_value_as_it_is() {
        for value in [
            "plain",
            "it's",
            "$(touch x) `y` \"z\" \\ !",
            "two\nlines",
            "",
        ] {
            let echo = format!("printf %s {}", quoted(value));
            let out = std::process::Command::new("sh")
                .args(["-c", &echo])
                .output();
            assert_eq!(out.unwrap().stdout, value.as_bytes());
        }
    }
}
