//! What holds for the whole API: every route of every family, through every layer.

#[path = "../aws/mod.rs"]
mod aws;
mod callers;
mod common;
mod declared;
mod requests;
mod routes;
mod tenants;
