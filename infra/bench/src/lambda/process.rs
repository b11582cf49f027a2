//! The process of a function, in the environment that Lambda gives it, and what the kernel counts.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::portal::Memory;

/// A variable of the environment.
pub(crate) type Variable = (&'static str, OsString);

/// What each function gets. The secret is the one that the events' token is signed with.
const ENVIRONMENT: [(&str, &str); 17] = [
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("AWS_SESSION_TOKEN", "bench"),
    ("JWT_SECRET", "test-secret-test-secret-test-secret!"),
    ("LANG", "en_US.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("RATE_LIMIT_ENABLED", "false"),
    ("TABLE_NAME", super::TABLE),
    ("TZ", ":UTC"),
];

/// How much of the log is shown.
const TAIL: u64 = 4_000;

/// A running process. It ends when this is dropped; if ours is killed, it finds nobody to ask for
/// events and ends too.
pub(crate) struct Process {
    child: Child,
    log: File,
    started: Instant,
}

impl Process {
    /// Starts a binary that asks for its events at an address, with variables besides.
    pub(crate) fn start(binary: &Path, api: SocketAddr, variables: &[Variable]) -> Result<Self> {
        let log = tempfile::tempfile()?;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(ENVIRONMENT)
            .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        for (name, value) in variables {
            command.env(name, value);
        }
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self {
            child,
            log,
            started,
        })
    }

    /// Just before it was there.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the process ended with {status}"),
        }
    }

    /// The time that its threads have spent on a processor. Those that have ended are missing; the
    /// threads of a function's pool live for longer than a measurement takes.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        // The kernel adds up a thread's time when it leaves the processor, which it does right
        // after it has asked for an event.
        thread::sleep(Duration::from_millis(1));
        let mut nanoseconds = 0;
        for task in fs::read_dir(self.tasks())? {
            let times = fs::read_to_string(task?.path().join("schedstat"))?;
            let time = times.split(' ').next().unwrap_or_default();
            let time: u64 = time.parse().context("the kernel counts no times")?;
            nanoseconds += time;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> Result<u32> {
        let count = fs::read_dir(self.tasks())?.count();
        Ok(u32::try_from(count)?)
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        Memory::of(self.child.id()).peak
    }

    /// The last of what it said.
    pub(crate) fn said(&mut self) -> io::Result<String> {
        let end = self.log.seek(SeekFrom::End(0))?;
        self.log.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
        let mut said = Vec::new();
        self.log.read_to_end(&mut said)?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    fn tasks(&self) -> String {
        format!("/proc/{}/task", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
