//! Cleans up when this process ends, however it ends.
//!
//! A shell waits at the other end of a pipe. The pipe closes when the guard is dropped and also when
//! this process is killed, and then the shell does what it was told.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A script that runs at the end.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Runs `script` at the end, with `argument` as `$1` and the last note as `$note`.
    pub fn new(script: &str, argument: impl AsRef<OsStr>) -> Result<Self> {
        let script = format!("note=; while read -r line; do note=$line; done; cd /; {script}");
        let child = Command::new("sh")
            .args(["-c", &script, "guard"])
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is for this process, not for what cleans up after it.
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        Ok(Self(child))
    }

    /// Tells the script something, in place of what it was told before.
    pub fn note(&mut self, text: &str) -> Result<()> {
        let pipe = self.0.stdin.as_mut().context("the guard has no pipe")?;
        writeln!(pipe, "{text}").context("the guard is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nobody is left to be told of a failure.
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_runs_when_the_guard_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("note");
        let mut guard = Guard::new("echo \"$note\" >\"$1\"", &file).unwrap();
        guard.note("first").unwrap();
        guard.note("last").unwrap();
        assert!(!file.exists());
        drop(guard);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "last\n");
    }
}
