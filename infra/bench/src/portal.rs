//! A `portal-local` of our own: started on a free port with a data folder of its own, and gone with
//! this process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use ureq::Agent;
use ureq::http::StatusCode;

use crate::guard::Guard;

/// Where our records are.
pub const COLLECTION: &str = "catalog";

const TENANT: &str = "t_bench";

/// What stands before the addresses of the API and of the database among the first lines.
const ADDRESS: &str = "Portal API  ";
const DATABASE: &str = "DynamoDB    ";

/// How long a start may take, and an end: the service gives running requests a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// Configuration that is ours or has to be the service's own default.
const UNSET: [&str; 8] = [
    "CORS_ALLOWED_ORIGINS",
    "JWT_AUDIENCE",
    "JWT_ISSUER",
    "JWT_SECRET",
    "JWT_SECRET_PREVIOUS",
    "TABLE_NAME",
    "UPLOAD_DOOR_URL",
    "UPLOAD_SECONDS",
];

/// A running service.
pub struct Portal {
    binary: PathBuf,
    folder: PathBuf,
    served: Served,
    token: String,
    child: Child,
    /// Ends the service and removes the folder, also if this process is killed.
    guard: Guard,
}

/// Where a service is reached.
struct Served {
    base: String,
    database: String,
}

/// A client with connections of its own, which it keeps.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    authorization: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// From the first byte sent to the last one read.
    pub took: Duration,
    body: Vec<u8>,
}

/// Memory of the service, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most so far.
    pub peak: u64,
}

impl Memory {
    /// Of a process; zero if it is gone.
    #[must_use]
    pub fn of(process: u32) -> Self {
        let path = format!("/proc/{process}/status");
        let status = fs::read_to_string(path).unwrap_or_default();
        let read = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes: Option<u64> =
                line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            kilobytes.unwrap_or(0) * 1024
        };
        Memory {
            resident: read("VmRSS:"),
            peak: read("VmHWM:"),
        }
    }
}

impl Portal {
    /// Starts the service with a new data folder and a tenant without limits.
    pub fn start(binary: &Path) -> Result<Self> {
        let binary = fs::canonicalize(binary)
            .with_context(|| format!("there is no {}", binary.display()))?;
        let folder = tempfile::Builder::new().prefix("bench-portal-").tempdir()?;
        let folder = folder.keep();
        let script = "[ -z \"$note\" ] || kill -KILL \"$note\"; rm -rf -- \"$1\"";
        let mut guard = Guard::new(script, &folder)?;
        let (child, served) = spawn(&binary, &folder, &mut guard)?;
        let mut portal = Self {
            binary,
            folder,
            served,
            token: String::new(),
            child,
            guard,
        };
        portal.tool(&["plan", "--tenant", TENANT, "enterprise"])?;
        portal.token = portal.tool(&["token", "--tenant", TENANT, "--user", "u_bench"])?;
        Ok(portal)
    }

    /// Ends the service as an operator does and starts it again; returns how long the start took
    /// until it said that it serves.
    pub fn restart(&mut self) -> Result<Duration> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "cannot send SIGTERM to {pid}");
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(asked.elapsed() < PATIENCE, "it does not end after SIGTERM");
            thread::sleep(Duration::from_millis(5));
        };
        self.guard.note("")?;
        ensure!(status.success(), "it ended with {status} after SIGTERM");
        let started = Instant::now();
        (self.child, self.served) = spawn(&self.binary, &self.folder, &mut self.guard)?;
        Ok(started.elapsed())
    }

    /// A client of the tenant.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections_per_host(1)
            // A large upload to a debug build takes its time.
            .timeout_global(Some(Duration::from_hours(1)))
            .build();
        Client {
            agent: config.into(),
            base: self.served.base.clone(),
            authorization: format!("Bearer {}", self.token),
        }
    }

    /// The address of its database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.served.database
    }

    /// Lets the most memory so far be what it has now.
    pub fn forget_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").with_context(|| format!("cannot write to {path}"))
    }

    /// What the service has in memory, as the kernel counts it; nothing where that cannot be read.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory::of(self.child.id())
    }

    /// Bytes of all files in the data folder.
    pub fn disk(&self) -> Result<u64> {
        fn size(folder: &Path) -> Result<u64> {
            let mut sum = 0;
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    sum += size(&entry.path())?;
                } else if kind.is_file() {
                    sum += entry.metadata()?.len();
                }
            }
            Ok(sum)
        }
        size(&self.folder.join("data"))
    }

    /// Runs a command of the binary on the data folder and returns what it prints.
    fn tool(&self, args: &[&str]) -> Result<String> {
        let output = command(&self.binary)
            .args(args)
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .output()?;
        if !output.status.success() {
            bail!("{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.guard.note("");
    }
}

fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for name in UNSET {
        command.env_remove(name);
    }
    command
        .env("DEFAULT_PLAN", "enterprise")
        .env("RATE_LIMIT_ENABLED", "false")
        .env("RUST_LOG", "warn,dynoxide=error")
        .stdin(Stdio::null());
    command
}

fn spawn(binary: &Path, folder: &Path, guard: &mut Guard) -> Result<(Child, Served)> {
    let log = folder.join("log");
    let mut child = command(binary)
        .args(["serve", "--addr", "127.0.0.1:0"])
        .args(["--dynamodb-addr", "127.0.0.1:0"])
        .arg("--data-dir")
        .arg(folder.join("data"))
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(&log)?)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    guard.note(&child.id().to_string())?;
    let out = child.stdout.take().context("it has no output")?;
    let (send, lines) = mpsc::channel();
    // Reads to the end, so that the service never waits for us or writes into a closed pipe.
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let mut base = None;
    let served = loop {
        let Ok(line) = lines.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let _ = child.wait();
            guard.note("")?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!("{} does not serve: {}", binary.display(), said.trim());
        };
        if let Some(address) = line.strip_prefix(ADDRESS) {
            base = Some(address.trim().to_owned());
        }
        if let (Some(base), Some(address)) = (&base, line.strip_prefix(DATABASE)) {
            break Served {
                base: base.clone(),
                database: address.trim().to_owned(),
            };
        }
    };
    Ok((child, served))
}

impl Client {
    /// Asks for a path below `/api/v1`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("Authorization", &self.authorization);
        let started = Instant::now();
        let response = request.call().with_context(|| format!("GET {path}"))?;
        read(started, response)
    }

    /// Sends JSON.
    pub fn post(&self, path: &str, body: &str) -> Result<Answer> {
        self.send(self.agent.post(self.url(path)), "application/json", body)
            .with_context(|| format!("POST {path}"))
    }

    /// Sends a change.
    pub fn patch(&self, path: &str, body: &str) -> Result<Answer> {
        self.send(self.agent.patch(self.url(path)), "application/json", body)
            .with_context(|| format!("PATCH {path}"))
    }

    /// Uploads a file as a form of one part.
    pub fn upload(&self, path: &str, name: &str, kind: &str, text: &str) -> Result<Answer> {
        const BOUNDARY: &str = "bench-5e1f0c7a93d84b26";
        let body = format!(
            "--{BOUNDARY}\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: {kind}\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
        );
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send(self.agent.post(self.url(path)), &kind, &body)
            .with_context(|| format!("POST {path}"))
    }

    /// Puts a file to an address that says itself who may do so, and which may be relative to the
    /// service's.
    pub fn put(&self, address: &str, headers: &Map<String, Value>, file: &File) -> Result<Answer> {
        let origin = self.base.trim_end_matches("/api/v1");
        let address = if address.starts_with('/') {
            format!("{origin}{address}")
        } else {
            address.to_owned()
        };
        let mut request = self.agent.put(address);
        for (name, value) in headers {
            // The client says the length itself.
            if !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value.as_str().context("a header is no text")?);
            }
        }
        let started = Instant::now();
        let response = request.send(file).context("PUT of a file")?;
        read(started, response)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        kind: &str,
        body: &str,
    ) -> Result<Answer> {
        let request = request
            .header("Authorization", &self.authorization)
            .header("Content-Type", kind);
        let started = Instant::now();
        let response = request.send(body)?;
        read(started, response)
    }
}

/// Reads an answer to its end; a connection is used again only after that.
fn read(started: Instant, response: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let status = response.status();
    let body = response
        .into_body()
        .into_with_config()
        .limit(1 << 30)
        .read_to_vec()?;
    Ok(Answer {
        status,
        took: started.elapsed(),
        body,
    })
}

impl Answer {
    /// The body of an answer that has to have this status.
    pub fn expect(&self, status: StatusCode) -> Result<Value> {
        if self.status != status {
            let text = String::from_utf8_lossy(&self.body);
            let text: String = text.chars().take(500).collect();
            bail!("{} instead of {status}: {text}", self.status);
        }
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }
}
