//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use model::id::{CollectionName, RecordType, TenantId, UserId};
use model::plan::Plan;
use reqwest::Url;
use secrecy::SecretString;

use crate::{DEMO_TENANT, DEMO_USER};

/// The Portal API on one machine, with real storage, real search and real files.
///
/// Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "portal-local", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve every endpoint until SIGINT or SIGTERM
    Serve(Serve),
    /// Print a token for a user of a tenant
    Token(Token),
    /// Upload a file
    ///
    /// Prints what became of its rows. The exit code is 0 if all were taken, 1 if rows or the file
    /// were not, and 2 if it could not be sent.
    Upload(Upload),
    /// Set a tenant's plan, here or on AWS
    Plan(SetPlan),
    /// Build the search index of a collection anew, here or on AWS
    Reindex(Reindex),
    /// Print the environment of functions that share a running server's data
    Env(DataDir),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to serve the API
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) addr: SocketAddr,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Where to serve DynamoDB to other programs, or `off`; if not given, 127.0.0.1:8000 or, where
    /// that is taken, any free port
    #[arg(long, value_name = "HOST:PORT|off")]
    pub(crate) dynamodb_addr: Option<DynamoDbAddr>,
    /// Keep nothing: all data is gone when the process ends
    #[arg(long)]
    pub(crate) memory: bool,
    /// Load a small catalogue into the demo tenant
    #[arg(long)]
    pub(crate) demo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// The folder that holds all data
    #[arg(long = "data-dir", value_name = "FOLDER", default_value = ".portal")]
    pub(crate) path: PathBuf,
}

/// Where DynamoDB is served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DynamoDbAddr {
    At(SocketAddr),
    Off,
}

impl FromStr for DynamoDbAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text
            .parse()
            .map_err(|_| "it is an address like 127.0.0.1:8000, or off")?;
        Ok(Self::At(address))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The tenant
    #[arg(long, value_parser = parse_tenant)]
    pub(crate) tenant: TenantId,
    /// The user
    #[arg(long, value_parser = parse_user)]
    pub(crate) user: UserId,
    /// What the user may do
    #[arg(long, value_enum, default_value_t = Role::Member)]
    pub(crate) role: Role,
    /// How long the token is valid, such as 30m, 24h or 7d
    #[arg(long, value_parser = humantime::parse_duration, default_value = "24h")]
    pub(crate) expires: Duration,
    /// The user's email address
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// The user's name
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// May do everything
    Member,
    /// May read and search
    Viewer,
}

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// The file: CSV, JSON, NDJSON or XML
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The collection that it goes to
    #[arg(long, value_parser = parse_collection)]
    pub(crate) collection: CollectionName,
    /// The type of its records
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_record_type)]
    pub(crate) record_type: RecordType,
    /// The column of a CSV that holds the names
    #[arg(long, value_name = "COLUMN")]
    pub(crate) name_column: Option<String>,
    /// The element of an XML that is a record
    #[arg(long, value_name = "TAG")]
    pub(crate) record_tag: Option<String>,
    /// What the records' source is called
    #[arg(long, value_name = "NAME")]
    pub(crate) source_name: Option<String>,
    /// Upload it again whenever it has changed, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// Where the API is
    #[arg(long, value_parser = parse_url, default_value = "http://127.0.0.1:3000")]
    pub(crate) url: String,
    /// The token to call with; if not given, one is signed with the data folder's secret
    #[arg(long, env = "PORTAL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<SecretString>,
    /// The tenant of a signed token
    #[arg(long, value_parser = parse_tenant, default_value = DEMO_TENANT)]
    pub(crate) tenant: TenantId,
    /// The user of a signed token
    #[arg(long, value_parser = parse_user, default_value = DEMO_USER)]
    pub(crate) user: UserId,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct SetPlan {
    /// The tenant
    #[arg(long, value_parser = parse_tenant)]
    pub(crate) tenant: TenantId,
    /// free, pro, scale or enterprise
    #[arg(value_parser = str::parse::<Plan>)]
    pub(crate) plan: Plan,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
pub(crate) struct Reindex {
    /// The collection
    #[arg(long, value_parser = parse_collection)]
    pub(crate) collection: CollectionName,
    /// The tenant
    #[arg(long, value_parser = parse_tenant, default_value = DEMO_TENANT)]
    pub(crate) tenant: TenantId,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// The table that a command works on.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The table's name; alone, of the account that the environment's credentials belong to
    #[arg(long)]
    pub(crate) table: Option<String>,
    /// The address of a DynamoDB engine, such as <http://127.0.0.1:8000>
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

fn parse_tenant(text: &str) -> Result<TenantId, String> {
    text.parse().map_err(|fault: model::Fault| fault.message)
}

fn parse_collection(text: &str) -> Result<CollectionName, String> {
    text.parse().map_err(|fault: model::Fault| fault.message)
}

fn parse_record_type(text: &str) -> Result<RecordType, String> {
    text.parse().map_err(|fault: model::Fault| fault.message)
}

/// The address below which the API is; whoever gives that of the API itself means the same.
fn parse_url(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            let text = url.as_str().trim_end_matches('/');
            Ok(text.strip_suffix("/api/v1").unwrap_or(text).to_owned())
        }
        _ => Err("it is an address like http://127.0.0.1:3000".to_owned()),
    }
}

fn parse_user(text: &str) -> Result<UserId, String> {
    text.parse().map_err(|fault: model::Fault| fault.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_it_does_without_a_command() {
        let cli =
            Cli::try_parse_from(["portal-local", "--memory", "--dynamodb-addr", "off"]).unwrap();
        assert!(cli.command.is_none() && cli.serve.memory);
        assert!(matches!(cli.serve.dynamodb_addr, Some(DynamoDbAddr::Off)));
        let cli = Cli::try_parse_from(["portal-local", "serve", "--addr", "127.0.0.1:0"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Serve(_))));
    }

    #[test]
    fn the_address_may_be_that_of_the_api() {
        for text in [
            "http://127.0.0.1:3000",
            "http://127.0.0.1:3000/",
            "http://127.0.0.1:3000/api/v1",
            "http://127.0.0.1:3000/api/v1/",
        ] {
            assert_eq!(parse_url(text).unwrap(), "http://127.0.0.1:3000");
        }
        let stage = "https://x.example.com/prod";
        assert_eq!(parse_url(stage).unwrap(), stage);
    }

    #[test]
    fn a_wrong_argument_is_refused() {
        for arguments in [
            &["plan", "--tenant", "t", "gold"][..],
            &["plan", "--tenant", "t#x", "pro"],
            &["token", "--tenant", "t"],
            &["token", "--tenant", "t", "--user", ""],
            &["token", "--tenant", "t", "--user", "u", "--role", "king"],
            &["token", "--tenant", "t", "--user", "u", "--expires", "soon"],
            &["reindex"],
            &["reindex", "--collection", "a/b"],
            &["upload", "--collection", "c", "--type", "t"],
            &["upload", "f", "--collection", "c"],
            &["upload", "f", "--collection", "c", "--type", "a/b"],
            &[
                "upload",
                "f",
                "--collection",
                "c",
                "--type",
                "t",
                "--url",
                "127.0.0.1:3000",
            ],
            &["--addr", "3000"],
            &["--dynamodb-addr", "on"],
        ] {
            let all = ["portal-local"].iter().chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
