//! A program of ours as a child process that can be killed, paused and started again.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(20);

/// What to run. Starts of one process append to the same log.
pub struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not started yet.
    pub fn new(program: PathBuf, arguments: Vec<String>, log: PathBuf) -> Self {
        Self {
            program,
            arguments,
            log,
            child: None,
        }
    }

    /// Starts it, with these variables in its environment besides ours.
    pub fn start(&mut self, environment: &[(&str, &str)], more: &[String]) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .args(more)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Ends it as the system does when memory runs out: it is told nothing.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        if let Some(mut child) = self.child.take()
            && timeout(DRAIN, child.wait()).await.is_err()
        {
            child.kill().await?;
        }
        Ok(())
    }

    /// Holds it where it stands.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// What it ended with, if it ended by itself.
    pub fn ended(&mut self) -> anyhow::Result<Option<String>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        Ok(child.try_wait()?.map(|status| status.to_string()))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match self.child.as_ref().and_then(Child::id) {
            Some(id) => send(id, signal),
            None => Ok(()),
        }
    }
}

/// Sends a signal to a child of ours.
pub fn send(id: u32, signal: Signal) -> anyhow::Result<()> {
    let id = Pid::from_raw(i32::try_from(id)?).context("a process id is never 0")?;
    Ok(kill_process(id, signal)?)
}
