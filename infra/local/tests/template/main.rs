//! What `template.yaml` promises, and that it agrees with the code, the documents and
//! `samconfig.toml`.

#[path = "../aws/mod.rs"]
mod aws;
mod common;
mod families;
mod gateway;
mod grants;
mod settings;
mod stores;
mod stream;
mod watch;
