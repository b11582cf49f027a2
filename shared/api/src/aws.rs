//! What a Lambda knows of AWS, and the table that it reaches by that.
//!
//! All of it is in a function's environment. So nothing is asked for, and the chain of files and
//! services where the SDK would look for it is not linked. Only Amazon's roots are trusted: a
//! function speaks to nobody else, and reading the machine's own roots would be the longest part
//! of its start.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{
    Config, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_types::SdkConfig;
use table::Table;

use crate::config::{BadConfig, bad};

/// The roots of Amazon Trust Services, of which the first ends in 2037.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// The table's name where `TABLE_NAME` says nothing.
const TABLE_NAME: &str = "portal";

/// What the Lambda service, or whoever plays it, puts into the environment.
#[derive(Debug)]
pub(crate) struct Aws {
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`. They hold for as long as
    /// a sandbox lives.
    credentials: Credentials,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`: another DynamoDB than the region's.
    endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_LAMBDA`, else `AWS_ENDPOINT_URL`: another Lambda than the region's.
    lambda: Option<String>,
    /// `TABLE_NAME`; `portal`.
    table: String,
    /// The trusted roots in PEM: those in the file that `AWS_CA_BUNDLE` names, else Amazon's.
    pub(crate) roots: Vec<u8>,
}

impl Aws {
    pub(crate) fn from_env() -> Result<Self, BadConfig> {
        #[expect(clippy::disallowed_methods, reason = "this is where it is read")]
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadConfig> {
        let read = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let needed = |name: &'static str| read(name).ok_or_else(|| bad(name, "is not set"));
        let region = read("AWS_REGION").or_else(|| read("AWS_DEFAULT_REGION"));
        let roots = match read("AWS_CA_BUNDLE") {
            None => AMAZON_ROOTS.to_vec(),
            Some(path) => std::fs::read(path)
                .map_err(|error| bad("AWS_CA_BUNDLE", format!("cannot be read: {error}")))?,
        };
        Ok(Self {
            region: region.ok_or_else(|| bad("AWS_REGION", "is not set"))?,
            credentials: Credentials::new(
                needed("AWS_ACCESS_KEY_ID")?,
                needed("AWS_SECRET_ACCESS_KEY")?,
                read("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            endpoint: read("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| read("AWS_ENDPOINT_URL")),
            lambda: read("AWS_ENDPOINT_URL_LAMBDA").or_else(|| read("AWS_ENDPOINT_URL")),
            table: read("TABLE_NAME").unwrap_or_else(|| TABLE_NAME.to_owned()),
            roots,
        })
    }

    /// A client that trusts the roots and nobody else. A service on this machine is reached without
    /// TLS, and needs no roots.
    fn client(&self, endpoint: Option<&str>) -> Result<SharedHttpClient, BadConfig> {
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            return Ok(Builder::new().build_http());
        }
        let trust = TrustStore::empty().with_pem_certificate(self.roots.clone());
        let tls = TlsContext::builder().with_trust_store(trust).build();
        let tls = tls.map_err(|error| bad("AWS_CA_BUNDLE", format!("cannot be used: {error}")))?;
        Ok(Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls)
            .build_https())
    }

    /// The table.
    pub(crate) fn table(&self) -> Result<Table, BadConfig> {
        let client = self.client(self.endpoint.as_deref())?;
        let mut config = table::with_retries(Config::builder())
            .behavior_version_latest()
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(client);
        config.set_endpoint_url(self.endpoint.clone());
        Ok(Table::new(Client::from_conf(config.build()), &self.table))
    }

    /// What the SDK needs to call functions.
    pub(crate) fn lambda(&self) -> Result<SdkConfig, BadConfig> {
        let credentials = SharedCredentialsProvider::new(self.credentials.clone());
        let mut config = SdkConfig::builder()
            .region(Region::new(self.region.clone()))
            .credentials_provider(credentials)
            .http_client(self.client(self.lambda.as_deref())?);
        config.set_endpoint_url(self.lambda.clone());
        Ok(config.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Aws, BadConfig> {
        Aws::read(|name| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const LEAST: [(&str, &str); 3] = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret-access-key"),
    ];

    #[test]
    fn what_is_missing_is_named() {
        for missing in 0..LEAST.len() {
            let mut settings = LEAST.to_vec();
            let (name, _) = settings.remove(missing);
            let error = read(&settings).unwrap_err();
            assert_eq!(error.to_string(), format!("{name} is not set"));
            settings.push((name, " "));
            assert!(read(&settings).is_err(), "an empty {name}");
        }
    }

    #[test]
    fn the_table_has_a_name_and_the_secret_none() {
        let aws = read(&LEAST).unwrap();
        assert_eq!(aws.table, "portal");
        assert!(!format!("{aws:?}").contains("secret-access-key"));
        let named = [&LEAST[..], &[("TABLE_NAME", "mine")]].concat();
        assert_eq!(read(&named).unwrap().table, "mine");
    }

    #[test]
    fn an_endpoint_of_dynamodb_goes_before_one_of_all_services() {
        let all = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let own = ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:2");
        let endpoint = |more: &[_]| read(&[&LEAST[..], more].concat()).unwrap().endpoint;
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[all]).as_deref(), Some(all.1));
        assert_eq!(endpoint(&[all, own]).as_deref(), Some(own.1));
    }

    #[test]
    fn a_bundle_replaces_amazons_roots() {
        let roots = read(&LEAST).unwrap().roots;
        let count = roots.split(|byte| *byte == b'\n');
        assert_eq!(
            count.filter(|line| line.starts_with(b"-----BEGIN")).count(),
            5
        );
        let missing = ("AWS_CA_BUNDLE", "/nowhere/roots.pem");
        let error = read(&[&LEAST[..], &[missing]].concat()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("AWS_CA_BUNDLE cannot be read: ")
        );
    }
}
