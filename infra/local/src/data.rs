//! The data folder: the database, the secret, the lock of the one process that serves it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use api::Config;
use search::Store;

/// The data folder.
pub(crate) struct Folder {
    path: PathBuf,
}

/// Where the process that serves the folder notes the address of its DynamoDB.
const ENDPOINT: &str = "dynamodb-endpoint";

/// Where it notes the address below which it takes files.
const DOOR: &str = "api-address";

/// That this process serves the folder; given up when it ends, however it ends.
pub(crate) struct Lock {
    _file: File,
}

impl Folder {
    /// Opens the folder; makes it, for its owner alone, where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot use the data folder {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("portal.db")
    }

    /// Takes the folder for this process; `None` if another one has it. Nobody is led any more to
    /// where the last one served.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>> {
        let file = self.private("lock", OpenOptions::new().create(true).truncate(false))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", self.path.display()));
            }
        }
        for name in [ENDPOINT, DOOR] {
            let stale = self.path.join(name);
            if let Err(error) = std::fs::remove_file(&stale)
                && error.kind() != ErrorKind::NotFound
            {
                return Err(error).with_context(|| format!("cannot remove {}", stale.display()));
            }
        }
        Ok(Some(Lock { _file: file }))
    }

    /// The same, where another process is a reason to give up.
    pub(crate) fn lock(&self) -> Result<Lock> {
        match self.try_lock()? {
            Some(lock) => Ok(lock),
            None => bail!(
                "another portal-local serves the data folder {}",
                self.path.display()
            ),
        }
    }

    /// Where the process that has the folder serves DynamoDB.
    pub(crate) fn endpoint(&self) -> Result<String> {
        self.noted(ENDPOINT)
    }

    /// Below which address it takes files.
    pub(crate) fn door(&self) -> Result<String> {
        self.noted(DOOR)
    }

    fn noted(&self, name: &str) -> Result<String> {
        let noted = self.read(name)?.filter(|text| !text.is_empty());
        noted.context("another portal-local is starting in the data folder; try again")
    }

    /// Notes where this process serves DynamoDB, and where it takes files.
    pub(crate) fn note(&self, endpoint: &str, door: &str) -> Result<()> {
        for (name, address) in [(ENDPOINT, endpoint), (DOOR, door)] {
            let mut file = self.private(name, OpenOptions::new().create(true).truncate(true))?;
            writeln!(file, "{address}")
                .with_context(|| format!("cannot write to {}", self.path.display()))?;
        }
        Ok(())
    }

    /// The secret that tokens are signed with: the kept one, or a new one that is kept.
    fn secret(&self) -> Result<String> {
        const NAME: &str = "jwt-secret";
        if let Some(secret) = self.read(NAME)? {
            return Ok(secret);
        }
        let path = self.path.join(NAME);
        // Whole or not at all: whoever comes second, or after a crash, finds a complete one.
        let draft = self.path.join(format!("{NAME}.{}", std::process::id()));
        let cannot = || format!("cannot keep a secret in {}", path.display());
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .with_context(cannot)?;
        writeln!(file, "{}", random_secret()?).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft).with_context(cannot)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(cannot)
            }
            _ => self.read(NAME)?.with_context(cannot),
        }
    }

    fn private(&self, name: &str, options: &mut OpenOptions) -> Result<File> {
        let path = self.path.join(name);
        options
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.path.join(name);
        let mut text = String::new();
        match File::open(&path) {
            Ok(mut file) => {
                file.read_to_string(&mut text)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Ok(Some(text.trim().to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

fn random_secret() -> Result<String> {
    let mut bytes = [0; 32];
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret is random or it is none"
    )]
    getrandom::fill(&mut bytes).context("the operating system has no randomness")?;
    Ok(hex::encode(bytes))
}

/// The address of the search store in a folder.
pub(crate) fn packs_of(folder: &Folder) -> Result<String> {
    store_of(folder, "search")
}

/// The address of a store in a folder.
fn store_of(folder: &Folder, name: &str) -> Result<String> {
    let path = folder.path.canonicalize();
    let path = path.with_context(|| format!("cannot use {}", folder.path.display()))?;
    Store::address_of(&path.join(name)).context("the folder cannot hold a store")
}

/// The settings of a process.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) own: Own,
}

/// Which stores are this process's alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    /// That of the packs of search indexes.
    pub(crate) packs: bool,
    /// That of uploaded files.
    pub(crate) files: bool,
}

/// The settings: the environment's, with the folder's secret and stores where it has none; of this
/// process alone where there is no folder.
pub(crate) fn settings(folder: Option<&Folder>) -> Result<Settings> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment is read once, here"
    )]
    let environment = |name: &str| std::env::var(name).ok();
    let secret = match environment("JWT_SECRET") {
        Some(secret) if !secret.trim().is_empty() => secret,
        _ => match folder {
            Some(folder) => folder.secret()?,
            None => random_secret()?,
        },
    };
    let (packs, files) = match folder {
        Some(folder) => (packs_of(folder)?, store_of(folder, "uploads")?),
        None => ("memory:///".to_owned(), "memory:///".to_owned()),
    };
    let mut config = Config::read(|name| match name {
        "JWT_SECRET" => Some(secret.clone()),
        name => environment(name),
    })?;
    let own = Own {
        packs: config.search.url.is_none(),
        files: config.uploads.is_none(),
    };
    config.search.url.get_or_insert(packs);
    config.uploads.get_or_insert(files);
    Ok(Settings { config, own })
}
