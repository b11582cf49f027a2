//! What a function may do in AWS is what it does: each function is played through all that it has
//! to do with the table and the packs, and its role in `template.yaml` grants that and no more.

#[path = "../aws/mod.rs"]
mod aws;
mod background;
mod grants;
mod searching;
mod serving;
mod stage;
mod uploading;
