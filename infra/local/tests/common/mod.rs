//! The built `portal-local` as a process, and calls to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_portal-local");

/// The binary with an environment of its own.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env_clear()
        .env("RUST_LOG", "error")
        .env("RATE_LIMIT_ENABLED", "false")
        .stdin(Stdio::null());
    command
}

/// A running server.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) api: String,
    pub(crate) token: String,
    pub(crate) lines: Vec<String>,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        let data = data.to_str().expect("a path");
        let arguments = [
            "--addr",
            "127.0.0.1:0",
            "--dynamodb-addr",
            "off",
            "--data-dir",
            data,
        ];
        Self::run(command(&arguments))
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = output.read_line(&mut line).expect("a line");
            assert!(read > 0, "it ended before it served: {lines:?}");
            lines.push(line.trim_end().to_owned());
            if line.contains("/quickstart") {
                break;
            }
        }
        let after = |start: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(start));
            line.expect("a line of the welcome").trim().to_owned()
        };
        Self {
            child,
            api: after("Portal API"),
            token: after("export TOKEN="),
            lines,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}{path}", self.api))
            .header("Authorization", format!("Bearer {}", self.token))
            .call()
            .expect("an answer");
        answer.body_mut().read_json().expect("JSON")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = ureq::post(format!("{}{path}", self.api))
            .header("Authorization", format!("Bearer {}", self.token))
            .send_json(body)
            .expect("an answer");
        answer.body_mut().read_json().expect("JSON")
    }

    pub(crate) fn upload(&self, collection: &str, csv: &str) -> Option<Value> {
        upload(&self.api, &self.token, collection, csv)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let killed = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(killed.expect("kill").success());
    }

    /// Ends it by a signal and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().expect("its end").code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }
}

/// A test that fails leaves no server behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file as the body of an upload, whose boundary is `b`.
pub(crate) fn form(csv: &str) -> String {
    format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n\
         {csv}\r\n--b--\r\n"
    )
}

/// The answer to an upload, if it was taken.
pub(crate) fn upload(api: &str, token: &str, collection: &str, csv: &str) -> Option<Value> {
    send_file(api, token, collection, csv).ok()
}

/// The same, with what came instead.
pub(crate) fn send_file(
    api: &str,
    token: &str,
    collection: &str,
    csv: &str,
) -> Result<Value, ureq::Error> {
    let body = form(csv);
    let mut answer = ureq::post(format!("{api}/portal/upload/{collection}/product/upload"))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "multipart/form-data; boundary=b")
        .send(body.as_bytes())?;
    assert_eq!(answer.status().as_u16(), 201);
    answer.body_mut().read_json()
}
