use std::{
    io::{self, Write as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::free_port;

/// How long a new server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a private Redis did not start.
#[derive(Debug, thiserror::Error)]
pub enum PrivateRedisError {
    /// There is no `redis-server` on this machine.
    #[error("redis-server is not installed; on Debian and Ubuntu: apt-get install redis-server")]
    Missing,
    /// It could not be run, or ended at once.
    #[error("redis-server does not start: {0}")]
    Failed(#[source] io::Error),
}

impl PrivateRedisError {
    pub(crate) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Failed(error),
        }
    }
}

/// A `redis-server` of our own: a child process on a free loopback port, ended when this is dropped.
/// For demos and tests, and for a single machine that wants no Redis to look after.
#[derive(Debug)]
pub struct PrivateRedis {
    child: Child,
    port: u16,
    password: Option<String>,
}

impl PrivateRedis {
    /// Starts a server whose files lie in `folder`; with `persist` it logs every write there before it
    /// answers, so that nothing it has confirmed is lost when it is killed.
    pub async fn start(folder: &Path, persist: bool) -> Result<Self, PrivateRedisError> {
        // Another process may take the port between our look and the server's: try again then.
        let mut last = io::Error::other("no free port");
        for _ in 0..5 {
            match Self::start_on(free_port().map_err(PrivateRedisError::Failed)?, folder, persist).await {
                Ok(server) => return Ok(server),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PrivateRedisError::Missing),
                Err(error) => last = error,
            }
        }
        Err(PrivateRedisError::Failed(last))
    }

    /// Starts a server on `port`: where one that has been stopped was, to test that its clients come back.
    pub async fn start_on(port: u16, folder: &Path, persist: bool) -> io::Result<Self> {
        Self::start_with(port, folder, persist, &[]).await
    }

    /// Starts a server with arguments of its own behind ours.
    pub(super) async fn start_with(port: u16, folder: &Path, persist: bool, more: &[String]) -> io::Result<Self> {
        Self::start_guarded(port, folder, persist, more, None).await
    }

    /// The same for those alone who know the password.
    pub(super) async fn start_guarded(
        port: u16,
        folder: &Path,
        persist: bool,
        more: &[String],
        password: Option<String>,
    ) -> io::Result<Self> {
        let append = if persist { "yes" } else { "no" };
        let mut command = Command::new("redis-server");
        command
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                append,
                // By default Redis may answer up to two seconds before it writes, on a slow disk.
                "--appendfsync",
                "always",
                "--port",
                &port.to_string(),
            ])
            .arg("--dir")
            .arg(folder)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if password.is_some() {
            // Others see a process's arguments, but not what it reads.
            command.arg("-").stdin(Stdio::piped());
        }
        let mut child = command.spawn()?;
        if let (Some(password), Some(mut input)) = (&password, child.stdin.take()) {
            // A server that ended already says so below.
            let _ = writeln!(input, "requirepass {password}");
        }
        let mut server = Self { child, port, password };
        let deadline = Instant::now() + START_TIMEOUT;
        while !server.answers().await {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    /// `redis://` address.
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// The loopback port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did by itself.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Whether our own child answers: another server might have got the port before it.
    async fn answers(&self) -> bool {
        let Ok(client) = redis::Client::open(self.url()) else {
            return false;
        };
        let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
            return false;
        };
        let info: redis::RedisResult<redis::InfoDict> =
            redis::cmd("INFO").arg("server").query_async(&mut connection).await;
        info.ok().and_then(|info| info.get::<u32>("process_id")) == Some(self.child.id())
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        // Its data is ours alone: nothing is lost by ending it at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
