//! What the environment says, read once.

use std::path::PathBuf;
use std::time::Duration;

use auth::{JwtSecret, Verifier};
use axum::http::{HeaderValue, Uri};
use files::{Door, Files};
use model::plan::Plan;
use search::{Caches, Store};

/// How long an upload may write, where nothing is said.
const UPLOAD_TIME: Duration = Duration::from_mins(14);

/// The settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// `JWT_SECRET`: what tokens are signed with.
    pub secret: JwtSecret,
    /// `JWT_SECRET_PREVIOUS`: what they were signed with until lately.
    pub previous_secret: Option<JwtSecret>,
    /// `JWT_ISSUER`: the `iss` that tokens have to have.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: the `aud` that tokens have to have.
    pub audience: Option<String>,
    /// `DEFAULT_PLAN`: the plan of a new tenant; `free`.
    pub default_plan: Plan,
    /// `RATE_LIMIT_ENABLED`: whether requests are limited; `true`.
    pub rate_limit: bool,
    /// `UPLOAD_SECONDS`: how long an upload may write; 840. In a Lambda, less than its time-out.
    pub upload_time: Duration,
    /// `CORS_ALLOWED_ORIGINS`: a comma list of the origins whose pages may call; none.
    pub cors_origins: Vec<HeaderValue>,
    /// Where the packs of search indexes are.
    pub search: StoreConfig,
    /// `UPLOAD_STORE_URL`: where uploaded files are that are too large for a request,
    /// `s3://bucket/prefix` or `file:///folder`.
    pub uploads: Option<String>,
    /// `UPLOAD_DOOR_URL`: the address below which a `portal-local` with the same `JWT_SECRET` takes
    /// files for a store that is not S3.
    pub door: Option<String>,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name} {reason}")]
pub struct BadConfig {
    name: &'static str,
    reason: String,
}

pub(crate) fn bad(name: &'static str, reason: impl ToString) -> BadConfig {
    BadConfig {
        name,
        reason: reason.to_string(),
    }
}

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, BadConfig> {
        #[expect(clippy::disallowed_methods, reason = "this is where it is read")]
        Self::read(|name| std::env::var(name).ok())
    }

    /// The same from any source. An empty value counts as none.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadConfig> {
        let read = |name: &'static str| variable(name).filter(|value| !value.trim().is_empty());
        let secret = |name: &'static str| {
            let parse = |text: String| {
                text.parse()
                    .map_err(|error| bad(name, format!("cannot be used: {error}")))
            };
            read(name).map(parse).transpose()
        };
        let default_plan = match read("DEFAULT_PLAN") {
            None => Plan::Free,
            Some(plan) => plan
                .parse()
                .map_err(|error| bad("DEFAULT_PLAN", format!("is an {error}")))?,
        };
        let rate_limit = match read("RATE_LIMIT_ENABLED").as_deref() {
            None | Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(_) => return Err(bad("RATE_LIMIT_ENABLED", "is neither true nor false")),
        };
        let upload_time = match read("UPLOAD_SECONDS").map(|seconds| seconds.parse()) {
            None => UPLOAD_TIME,
            Some(Ok(seconds @ 1..=3600)) => Duration::from_secs(seconds),
            Some(_) => return Err(bad("UPLOAD_SECONDS", "is no number from 1 to 3600")),
        };
        let cors_origins = read("CORS_ALLOWED_ORIGINS")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty())
            .map(origin)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            secret: secret("JWT_SECRET")?.ok_or_else(|| bad("JWT_SECRET", "is not set"))?,
            previous_secret: secret("JWT_SECRET_PREVIOUS")?,
            issuer: read("JWT_ISSUER"),
            audience: read("JWT_AUDIENCE"),
            default_plan,
            rate_limit,
            upload_time,
            cors_origins,
            search: StoreConfig::read(&variable),
            uploads: read("UPLOAD_STORE_URL"),
            door: read("UPLOAD_DOOR_URL").map(door).transpose()?,
        })
    }

    /// Opens the store of uploaded files, if one is set. It is trusted by these roots, in PEM, or else
    /// by the machine's.
    pub fn open_files(&self, roots: Option<&[u8]>) -> Result<Option<Files>, BadConfig> {
        let secret = self.secret.expose().as_bytes();
        let door = self.door.as_deref().map(|base| Door::new(base, secret));
        let open = |url: &String| {
            Files::open(url, roots, door)
                .map_err(|error| bad("UPLOAD_STORE_URL", format!("cannot be used: {error}")))
        };
        self.uploads.as_ref().map(open).transpose()
    }

    /// What verifies tokens under these settings.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(
            &self.secret,
            self.previous_secret.as_ref(),
            self.issuer.clone(),
            self.audience.clone(),
        )
    }
}

/// The search store's settings.
#[derive(Debug, Clone, Default)]
pub struct StoreConfig {
    /// `SEARCH_STORE_URL`: `s3://bucket/prefix` or `file:///folder`. Several processes may share
    /// either.
    pub url: Option<String>,
    /// `SEARCH_CACHE_DIR`: a folder of this process alone for what was read of a store on the
    /// network.
    pub cache_dir: Option<PathBuf>,
}

impl StoreConfig {
    /// Reads the environment.
    #[must_use]
    pub fn from_env() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is where it is read")]
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name| variable(name).filter(|value: &String| !value.trim().is_empty());
        Self {
            url: read("SEARCH_STORE_URL"),
            cache_dir: read("SEARCH_CACHE_DIR").map(PathBuf::from),
        }
    }

    /// Opens the store, with at most so many bytes of it on the disk. A store on the network is
    /// trusted by these roots, in PEM, or else by the machine's.
    pub fn open(&self, disk: u64, roots: Option<&[u8]>) -> Result<Store, BadConfig> {
        const NAME: &str = "SEARCH_STORE_URL";
        let url = self.url.as_deref().ok_or_else(|| bad(NAME, "is not set"))?;
        let caches = Caches {
            disk: self.cache_dir.clone().map(|folder| (folder, disk)),
            ..Caches::default()
        };
        Store::open(url, caches, roots)
            .map_err(|error| bad(NAME, format!("cannot be used: {error}")))
    }
}

/// Checks the address of a server; files' addresses are signed below it.
fn door(url: String) -> Result<String, BadConfig> {
    let is_address = url.parse::<Uri>().is_ok_and(|uri| {
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        scheme && uri.host().is_some() && uri.query().is_none()
    });
    if !is_address {
        let why = format!("is '{url}', which is no address like http://127.0.0.1:3000");
        return Err(bad("UPLOAD_DOOR_URL", why));
    }
    Ok(url)
}

/// An origin is `scheme://host[:port]`; a star would let any page call with a stolen token.
fn origin(text: &str) -> Result<HeaderValue, BadConfig> {
    let wrong = || {
        bad(
            "CORS_ALLOWED_ORIGINS",
            format!("holds '{text}', which is no origin"),
        )
    };
    let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
    if !matches!(scheme, "http" | "https") || host.is_empty() || host.contains(['/', '*', ' ']) {
        return Err(wrong());
    }
    HeaderValue::from_str(text).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, String> {
        let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        Config::read(|name| {
            settings
                .iter()
                .chain([&secret])
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_but_a_secret_is_needed() {
        let config = read(&[]).unwrap();
        assert_eq!(config.default_plan, Plan::Free);
        assert!(config.rate_limit);
        assert!(config.cors_origins.is_empty());
    }

    #[test]
    fn origins_are_listed_with_commas() {
        let config = read(&[(
            "CORS_ALLOWED_ORIGINS",
            "https://a.example, http://localhost:5173,",
        )]);
        assert_eq!(
            config.unwrap().cors_origins,
            ["https://a.example", "http://localhost:5173"]
        );
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (name, value) in [
            ("JWT_SECRET", "short"),
            ("JWT_SECRET", ""),
            ("JWT_SECRET_PREVIOUS", "short"),
            ("DEFAULT_PLAN", "gold"),
            ("RATE_LIMIT_ENABLED", "maybe"),
            ("UPLOAD_SECONDS", "0"),
            ("UPLOAD_SECONDS", "soon"),
            ("CORS_ALLOWED_ORIGINS", "*"),
            ("CORS_ALLOWED_ORIGINS", "a.example"),
            ("CORS_ALLOWED_ORIGINS", "https://a.example/"),
            ("UPLOAD_DOOR_URL", "127.0.0.1:3000"),
            ("UPLOAD_DOOR_URL", "http://"),
            ("UPLOAD_DOOR_URL", "http://a.example?x"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
            assert!(!error.contains("short"), "{error}");
        }
    }
}
