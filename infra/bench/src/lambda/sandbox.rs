//! A sandbox: a function's process, and the Runtime API that it asks for its events.
//!
//! One thread waits at the sockets, reads them and answers. There is nothing between it and them,
//! so that the times are the function's.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::process::{Process, Variable};
use super::request::Request;

/// Where a function asks for its events, and below which it answers them.
const EVENTS: &str = "/2018-06-01/runtime/invocation";

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// How often it is looked whether a silent process is still there.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How long a function may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running sandbox.
pub(crate) struct Sandbox {
    pub(crate) process: Process,
    listener: TcpListener,
    connections: BTreeMap<u64, Connection>,
    accepted: u64,
    invoked: u64,
    /// The request for the next event, while it waits.
    asked: Option<Asked>,
}

struct Connection {
    stream: TcpStream,
    open: bool,
    came: Vec<u8>,
    /// When the last of it came.
    at: Instant,
}

#[derive(Clone, Copy)]
struct Asked {
    connection: u64,
    at: Instant,
}

struct Heard {
    request: Request,
    connection: u64,
    at: Instant,
}

impl Sandbox {
    /// Starts a binary.
    pub(crate) fn start(binary: &Path, variables: &[Variable]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let process = Process::start(binary, listener.local_addr()?, variables)?;
        Ok(Self {
            process,
            listener,
            connections: BTreeMap::new(),
            accepted: 0,
            invoked: 0,
            asked: None,
        })
    }

    /// Waits until the function asks for its next event; returns how long after its start it did.
    pub(crate) fn ready(&mut self) -> Result<Duration> {
        let asked = self.asked()?;
        Ok(asked.at.duration_since(self.process.started()))
    }

    /// Hands the function an event; returns how long it took until the whole answer was there, and
    /// the answer.
    pub(crate) fn invoke(&mut self, event: &[u8]) -> Result<(Duration, Vec<u8>)> {
        let asked = self.asked()?;
        self.asked = None;
        self.invoked += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.invoked);
        let head = format!(
            "HTTP/1.1 200 OK\r\n\
             Content-Type: application/json\r\n\
             Content-Length: {}\r\n\
             Lambda-Runtime-Aws-Request-Id: {id}\r\n\
             Lambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: \
             arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\
             Lambda-Runtime-Trace-Id: Root=1-00000000-000000000000000000000000;Sampled=0\r\n\r\n",
            event.len(),
            super::now().timestamp_millis() + 60_000,
        );
        let message = [head.as_bytes(), event].concat();
        let sent = Instant::now();
        self.send(asked.connection, &message)?;
        loop {
            let heard = self.hear()?;
            if heard.asks() {
                // By another connection it overtakes the answer.
                self.asked = Some(heard.into());
                continue;
            }
            self.send(heard.connection, ACCEPTED)?;
            if heard.request.path != format!("{EVENTS}/{id}/response") {
                return Err(heard.unexpected());
            }
            return Ok((heard.at.duration_since(sent), heard.request.body));
        }
    }

    fn asked(&mut self) -> Result<Asked> {
        if let Some(asked) = self.asked {
            return Ok(asked);
        }
        let heard = self.hear()?;
        if !heard.asks() {
            return Err(heard.unexpected());
        }
        let asked = heard.into();
        self.asked = Some(asked);
        Ok(asked)
    }

    /// Waits for a whole request.
    fn hear(&mut self) -> Result<Heard> {
        let since = Instant::now();
        loop {
            for (&number, connection) in &mut self.connections {
                if let Some(request) = Request::take(&mut connection.came)? {
                    return Ok(Heard {
                        request,
                        connection: number,
                        at: connection.at,
                    });
                }
            }
            if !self.wait()? {
                self.process.check()?;
            }
            ensure!(since.elapsed() < PATIENCE, "the function is silent");
        }
    }

    /// Waits for something to read and reads it; says whether there was something in time.
    fn wait(&mut self) -> Result<bool> {
        let ready: Vec<bool> = {
            let streams = self
                .connections
                .values()
                .map(|connection| &connection.stream);
            let mut sockets = vec![PollFd::new(&self.listener, PollFlags::IN)];
            sockets.extend(streams.map(|stream| PollFd::new(stream, PollFlags::IN)));
            if retry_on_intr(|| poll(&mut sockets, Some(&TICK)))? == 0 {
                return Ok(false);
            }
            let ready = sockets.iter().map(|socket| !socket.revents().is_empty());
            ready.collect()
        };
        for (connection, &ready) in self.connections.values_mut().zip(&ready[1..]) {
            if ready {
                connection.read();
            }
        }
        self.connections.retain(|_, connection| connection.open);
        if ready[0] {
            let (stream, _) = self.listener.accept()?;
            stream.set_nodelay(true)?;
            let connection = Connection {
                stream,
                open: true,
                came: Vec::new(),
                at: Instant::now(),
            };
            self.connections.insert(self.accepted, connection);
            self.accepted += 1;
        }
        Ok(true)
    }

    fn send(&mut self, connection: u64, message: &[u8]) -> Result<()> {
        let connection = self.connections.get_mut(&connection);
        let connection = connection.context("the function has hung up")?;
        connection.stream.write_all(message)?;
        Ok(())
    }
}

impl Connection {
    /// Reads once, which does not wait where something has come.
    fn read(&mut self) {
        let mut bytes = [0; 8_192];
        match self.stream.read(&mut bytes) {
            Ok(0) | Err(_) => self.open = false,
            Ok(count) => {
                self.at = Instant::now();
                self.came.extend_from_slice(&bytes[..count]);
            }
        }
    }
}

impl Heard {
    /// Whether this asks for the next event.
    fn asks(&self) -> bool {
        self.request.method == "GET" && self.request.path == format!("{EVENTS}/next")
    }

    fn unexpected(&self) -> Error {
        let Request { method, path, body } = &self.request;
        let body = String::from_utf8_lossy(body);
        anyhow!("the function sent {method} {path}: {body}")
    }
}

impl From<Heard> for Asked {
    fn from(heard: Heard) -> Self {
        Self {
            connection: heard.connection,
            at: heard.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_ends_is_not_waited_for() {
        let mut sandbox = Sandbox::start(Path::new("/bin/false"), &[]).unwrap();
        let error = sandbox.ready().unwrap_err().to_string();
        assert!(error.starts_with("the process ended"), "{error}");
    }
}
