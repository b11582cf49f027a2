//! The single table: one module an entity, its keys and its queries together.
//!
//! Storage verbs are exact: `create` fails if the thing exists, `find` returns an `Option`,
//! `revoke` says whether it did. Reads are consistent. What a condition decides comes back as a
//! value of the verb's own; [`Error`] is only for what should not happen.
//!
//! Every partition key begins with `TENANT#<tenant>#` and says what the partition holds, so that
//! one tenant's items cannot be reached with another's name and a role can be confined to a kind
//! of item. The exceptions are the lookup of a key by its hash, `KEYHASH#<sha256>`, what is
//! everybody's, `OPEN#...`, and what is left of deleted collections, `GONE#...`.
//!
//! | partition | sort key | item |
//! |---|---|---|
//! | `TENANT#t#SUMMARY` | `TENANT` | [`tenant`] |
//! | | `QUICKSTART` | [`quickstart`] |
//! | | `CAPS` | [`cap`] |
//! | | `COLL#<name>` | [`collection`] |
//! | | `COUNT#<number>#<shard>`, `COUNT#<number>#<shard>#<generation>` | [`collection`] |
//! | | `SEARCHES#<period>#<shard>` | [`search`] |
//! | `TENANT#t#USERS` | `USER#<user>` | [`user`] |
//! | `TENANT#t#KEYS` | `KEY#<id>`, `COUNT` | [`key`] |
//! | `TENANT#t#CALLS` | `<sha256>` | [`idempotency`] |
//! | `TENANT#t#LIMIT` | `WINDOW` | [`limit`] |
//! | `TENANT#t#OPEN` | `<period>#<number>#<shard>` | [`open`] |
//! | `TENANT#t#AGENTS` | `<period>#<shard>#<agent>`, `NAMES#<day>` | [`agents`] |
//! | `TENANT#t#USAGE` | `<period>#<key>` | [`usage`] |
//! | `TENANT#t#MARKERS` | `<collection>#<number>#<generation>#...` | [`marker`] |
//! | `TENANT#t#BATCH#<upload>#<part>` | `<token>` | [`marker`] |
//! | `TENANT#t#RECORDS#<number>#<generation>#<shard>` | `<id>` | [`record`] |
//! | `TENANT#t#SCHEMAS` | `<collection>#<record type>` | [`schema`] |
//! | `TENANT#t#SCHEMA#<collection>#<record type>` | `<number>#<version>` | [`schema`] |
//! | `TENANT#t#UPLOADS` | `<upload>` | [`upload`] |
//! | `TENANT#t#UPLOAD#<upload>` | `LEASE`, `ERRORS#<part>#<number>` | [`upload`] |
//! | `KEYHASH#<sha256>` | `KEYHASH` | [`key`] |
//! | `OPEN#COLLECTIONS` | `<collection>#<tenant>` | [`directory`] |
//! | `OPEN#LIMIT#<address>` | `WINDOW` | [`limit`] |
//! | `GONE#COLLECTIONS` | `<tenant>#<collection>#<number>` | [`gone`] |

pub mod agents;
pub mod cap;
pub mod collection;
pub mod daily;
pub mod directory;
mod erase;
mod error;
pub mod gone;
pub mod idempotency;
pub mod index;
mod item;
pub mod key;
pub mod limit;
pub mod marker;
pub mod open;
pub mod quickstart;
pub mod record;
pub mod replace;
mod retry;
pub mod schema;
pub mod search;
pub mod summary;
pub mod tenant;
pub mod upload;
pub mod usage;
pub mod user;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Config, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

pub use error::Error;
pub use retry::back_off;

/// What every verb returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

/// How often the SDK tries a call that was throttled or not answered.
const ATTEMPTS: u32 = 5;

impl Table {
    /// The table called `name`, reached through `client`.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }

    /// The table called `name` of a DynamoDB engine on this machine, which takes any credentials.
    #[must_use]
    pub fn at_endpoint(endpoint: &str, name: impl Into<String>) -> Self {
        Self::new(Client::from_conf(local_config(endpoint).build()), name)
    }

    /// Connects by reading an item that is not there, whatever the answer: the first request then
    /// need not.
    pub async fn connect(&self) {
        let nothing = item::Key::new("TENANT##SUMMARY", tenant::SK);
        let _ = tokio::time::timeout(CONNECTING, self.get(&nothing)).await;
    }

    /// Creates the table if there is none; for engines on this machine. In AWS the template does.
    pub async fn create(&self) -> Result<()> {
        let key = |name: &str, kind| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
        };
        let attribute = |name: &str| {
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
        };
        let created = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key("pk", KeyType::Hash)?)
            .key_schema(key("sk", KeyType::Range)?)
            .attribute_definitions(attribute("pk")?)
            .attribute_definitions(attribute("sk")?)
            .send()
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(aws_sdk_dynamodb::operation::create_table::CreateTableError::is_resource_in_use_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// A client's settings with how often a call is tried and how long it may take.
#[must_use]
pub fn with_retries(
    config: aws_sdk_dynamodb::config::Builder,
) -> aws_sdk_dynamodb::config::Builder {
    config
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts())
}

/// A client's settings for a DynamoDB engine on this machine.
#[must_use]
pub fn local_config(endpoint: &str) -> aws_sdk_dynamodb::config::Builder {
    with_retries(Config::builder())
        .behavior_version_latest()
        .region(Region::from_static("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
}

/// A call that hangs is given up, tried again, and in the end answered for.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(25))
        .build()
}
