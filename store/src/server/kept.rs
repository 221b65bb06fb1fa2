use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{PrivateRedis, PrivateRedisError, ask, free_port, until};

/// Between two looks whether the server still lives.
const LOOK: Duration = Duration::from_millis(100);
/// Pause after a start in vain; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Longest that a server of an earlier life may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no Redis of one's own for good.
#[derive(Debug, thiserror::Error)]
pub enum KeptRedisError {
    /// The folder cannot be made or written to.
    #[error("{} cannot be used: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Two servers with one append-only file would destroy it.
    #[error("another process works with {}; end it first, or name another folder", .0.display())]
    InUse(PathBuf),
    /// A server of an earlier life is there and does not end.
    #[error("a redis-server of an earlier start, at {0}, does not end: {1}")]
    Orphan(String, #[source] io::Error),
    /// There is no `redis-server`, or it does not start.
    #[error(transparent)]
    Server(#[from] PrivateRedisError),
}

/// A Redis for one machine that keeps its data in a folder: a child process with an append-only file that is written
/// before an answer goes out. It listens on the loopback interface alone and wants a password. When it dies, it is
/// started again at the same place.
///
/// A process that is killed leaves its server behind. The next that is started with the same folder ends that one first.
#[derive(Debug)]
pub struct KeptRedis {
    url: String,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    // Held as long as the server may live.
    _lock: File,
}

impl KeptRedis {
    /// Starts the server with what the folder holds; the folder is made if there is none.
    pub async fn start(folder: &Path) -> Result<Self, KeptRedisError> {
        let unusable = |source| KeptRedisError::Folder {
            folder: folder.to_owned(),
            source,
        };
        let mut maker = fs::DirBuilder::new();
        maker.recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let folder = folder.canonicalize().map_err(unusable)?;
        let lock = File::create(folder.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(KeptRedisError::InUse(folder)),
            Err(fs::TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let place = folder.join("redis.url");
        if let Ok(url) = fs::read_to_string(&place) {
            end_orphan(url.trim())
                .await
                .map_err(|error| KeptRedisError::Orphan(without_password(url.trim()), error))?;
        }
        let password = password().map_err(unusable)?;
        let (server, keeper) = Keeper::start(folder, password).await?;
        let url = server.url();
        write_secret(&place, &url).map_err(unusable)?;
        let cancel = CancellationToken::new();
        Ok(Self {
            task: tokio::spawn(keeper.keep(server, cancel.clone())),
            url,
            cancel,
            _lock: lock,
        })
    }

    /// `redis://` address, with the password. It is also in the folder's file `redis.url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server when all is written, and waits until it has.
    pub async fn stop(self) {
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "looking after Redis ended badly");
        }
    }
}

/// Keeps a server alive.
struct Keeper {
    folder: PathBuf,
    port: u16,
    password: String,
}

impl Keeper {
    async fn start(folder: PathBuf, password: String) -> Result<(PrivateRedis, Self), PrivateRedisError> {
        let mut keeper = Self {
            folder,
            port: 0,
            password,
        };
        // Another process may take the port between our look and the server's: try again then.
        let mut last = io::Error::other("no free port");
        for _ in 0..5 {
            keeper.port = free_port().map_err(PrivateRedisError::of)?;
            match keeper.launch().await {
                Ok(server) => return Ok((server, keeper)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PrivateRedisError::Missing),
                Err(error) => last = error,
            }
        }
        let log = keeper.folder.join("redis.log");
        Err(PrivateRedisError::of(io::Error::other(format!(
            "{last}; its log is {}",
            log.display()
        ))))
    }

    async fn launch(&self) -> io::Result<PrivateRedis> {
        let log = self.folder.join("redis.log").display().to_string();
        let more = ["--logfile", &log, "--maxmemory-policy", "noeviction"].map(str::to_owned);
        PrivateRedis::start_guarded(self.port, &self.folder, true, &more, Some(self.password.clone())).await
    }

    async fn keep(self, mut server: PrivateRedis, cancel: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return shut_down(server).await,
                () = tokio::time::sleep(LOOK) => {}
            }
            let ended = match server.ended() {
                Ok(None) => {
                    pause = FIRST_PAUSE;
                    continue;
                }
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::error!(ended, "redis-server has ended, it is started again");
            tokio::select! {
                () = cancel.cancelled() => return,
                started = self.launch() => match started {
                    Ok(new) => server = new,
                    Err(error) => {
                        tracing::error!(%error, log = %self.folder.join("redis.log").display(), "redis-server does not start");
                        tokio::select! {
                            () = cancel.cancelled() => return,
                            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        }
                    }
                }
            }
        }
    }
}

/// Lets the server write what it has; then its end is certain.
async fn shut_down(server: PrivateRedis) {
    // It closes the connection instead of answering.
    let _ = timeout(ANSWER_TIMEOUT, ask::<()>(&server.url(), &redis::cmd("SHUTDOWN"))).await;
    drop(server);
}

/// Ends the server that was left at this address, if it still is there.
async fn end_orphan(url: &str) -> io::Result<()> {
    let Some((_, address)) = url.rsplit_once('@') else {
        return Ok(());
    };
    if TcpStream::connect(address).await.is_err() {
        return Ok(());
    }
    match timeout(ANSWER_TIMEOUT, ask::<()>(url, &redis::cmd("PING"))).await {
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
        // Not ours: nobody else knows the password.
        Ok(Err(error)) if !is_loading(&error) => return Ok(()),
        Ok(_) => {}
    }
    tracing::warn!(address, "a redis-server of an earlier start is ended");
    let _ = timeout(ANSWER_TIMEOUT, ask::<()>(url, &redis::cmd("SHUTDOWN"))).await;
    until("it still listens", async || TcpStream::connect(address).await.is_err()).await
}

fn is_loading(error: &redis::RedisError) -> bool {
    error.code() == Some("LOADING")
}

fn without_password(url: &str) -> String {
    url.rsplit_once('@').map_or(url, |(_, address)| address).to_owned()
}

fn password() -> io::Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// For the owner's eyes alone.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}
