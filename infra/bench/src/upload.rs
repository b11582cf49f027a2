//! Uploads: how many rows a second, beside the same items written bare and PostgreSQL; the memory that
//! files of each format need; the parsers alone; and what a table in AWS would charge.

mod bare;
mod files;
mod memory;
mod speed;
mod units;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::files::Files;
use crate::catalogue::Catalogue;
use crate::parsing;

/// What is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// A built portal-local
    #[arg(
        long,
        value_name = "PATH",
        default_value = "target/measure/portal-local"
    )]
    pub binary: PathBuf,
    /// Rows of the file whose speed is measured
    #[arg(long, default_value_t = 75_000)]
    pub rows: u64,
    /// How often the speed is measured
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// What determines the rows
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also measure the memory that a file of 1 GB needs
    #[arg(long)]
    pub large: bool,
    /// Only a part
    #[arg(long = "only", value_enum)]
    pub parts: Vec<Part>,
}

/// How many products the parsers read: about 50 MB.
const PARSED: u64 = 85_000;

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Rows a second
    Speed,
    /// Memory over that of the idle service
    Memory,
    /// The parsers alone
    Parsing,
    /// Write units
    Units,
}

/// Measures and prints table after table.
pub fn run(options: &Options) -> Result<()> {
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    let files = Files::new(options.seed);
    if wanted(Part::Speed) {
        println!("{}", speed::run(options, &files)?);
    }
    if wanted(Part::Memory) {
        println!("{}", memory::run(options, &files)?);
    }
    if wanted(Part::Parsing) {
        let products = Catalogue::new(options.seed, PARSED);
        println!("{}", parsing::run(&products)?);
    }
    if wanted(Part::Units) {
        println!("{}", units::run(&files)?);
    }
    Ok(())
}
