//! Whatever is wrong is said, with what to do, and shows in the exit code: 2 for a wrong configuration or argument.

mod new_user;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const CONFIG: &str = "
listen_addr: 127.0.0.1:0
redis: { url: 'redis://127.0.0.1:1' }
pocket_node: { query_node_rpc_url: 'http://127.0.0.1:1', query_node_grpc_url: '127.0.0.1:1', grpc_insecure: true }
keys: { keys_file: KEYS }
services: { svc: { backends: { jsonrpc: { url: 'http://127.0.0.1:1' } } } }
metrics: { enabled: false }
pprof: { enabled: false }
health_check: { enabled: false }
";
const KEY: &str = "keys: [1111111111111111111111111111111111111111111111111111111111111111]";

/// A folder with a relayer's configuration and its keys.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("keys.yaml", KEY);
        folder.configure(|config| config);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn configure(&self, change: impl FnOnce(String) -> String) {
        let keys = self.path("keys.yaml").display().to_string();
        self.write("relayer.yaml", &change(CONFIG.replace("KEYS", &keys)));
    }

    fn relayer(&self) -> Output {
        run(&["relayer", "--config", self.path("relayer.yaml").to_str().unwrap()])
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-miner"));
    let ours = ["REDIS_URL", "POCKET_NODE_", "RUST_LOG", "RELAYER_", "MINER_"];
    for (name, _) in std::env::vars().filter(|(name, _)| ours.iter().any(|one| name.starts_with(one))) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Standard output and standard error.
fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}

/// Checks the exit code, and that all `words` were said.
#[track_caller]
fn assert_says(output: &Output, code: i32, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn without_arguments_the_help_is_shown() {
    assert_says(&run(&[]), 2, &["relay-miner demo", "relayer", "miner"]);
}

/// The commands below one, as its help lists them.
fn commands_of(help: &str) -> Vec<String> {
    let (_, list) = help.split_once("\nCommands:\n").unwrap_or_default();
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn help_of_every_command_has_an_example_of_it() {
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let output = run(&arguments);
        assert!(output.status.success(), "{path:?}");
        let help = String::from_utf8_lossy(&output.stdout);
        let example = format!("relay-miner {}", path.join(" "));
        let usage = help.find("Usage:").unwrap_or_default();
        let examples = &help[help[usage..].find('\n').map_or(0, |end| usage + end)..];
        assert!(
            examples.contains(example.trim_end()),
            "no example of {example:?} in its help:\n{help}"
        );
        seen += 1;
        waiting.extend(
            commands_of(&help)
                .into_iter()
                .map(|name| [path.clone(), vec![name]].concat()),
        );
    }
    assert!(seen > 8, "only {seen} commands were found");
}

#[test]
fn missing_configuration_file_is_named() {
    assert_says(
        &run(&["relayer", "--config", "/nowhere.yaml"]),
        2,
        &["/nowhere.yaml", "check the path"],
    );
    assert_says(&run(&["miner"]), 2, &["--config"]);
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let folder = Folder::new();
    folder.configure(|config| {
        config
            .replace("listen_addr", "lisen_addr")
            .replace("'redis://127.0.0.1:1'", "[1]")
    });
    assert_says(
        &folder.relayer(),
        2,
        &["lisen_addr", "did you mean \"listen_addr\"", "redis.url"],
    );
}

#[test]
fn without_a_usable_key_nothing_starts() {
    let folder = Folder::new();
    folder.write("keys.yaml", "keys: [no-key]");
    assert_says(&folder.relayer(), 1, &["no operator key could be loaded", "keys.yaml"]);
    std::fs::remove_file(folder.path("keys.yaml")).unwrap();
    assert_says(&folder.relayer(), 1, &["no operator key could be loaded", "keys.yaml"]);
}

#[test]
fn redis_address_that_cannot_be_is_told_with_its_key() {
    for (address, reason) in [
        ("redis-cluster://127.0.0.1:1/3", "a Redis Cluster has one database only"),
        ("redis-sentinel://127.0.0.1:1", "redis-sentinel://host:port/name"),
    ] {
        let folder = Folder::new();
        folder.configure(|config| config.replace("redis://127.0.0.1:1", address));
        assert_says(&folder.relayer(), 1, &["redis.url", reason]);
    }
}

#[test]
fn port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    folder.configure(|config| config.replace("127.0.0.1:0", &address));
    assert_says(&folder.relayer(), 1, &["cannot listen on", &address]);
}

#[test]
fn demo_without_redis_says_how_to_install_it() {
    let output = command(&["demo"]).env("PATH", "/nowhere").output().unwrap();
    assert_says(
        &output,
        1,
        &["redis-server is not installed", "apt-get install redis-server"],
    );
}

/// A child that is ended when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a half and reads its log until every one of `words` was in it.
fn log_tells(half: &str, config: &Path, words: &[&str]) {
    log_of(command(&[half, "--config", config.to_str().unwrap()]), words);
}

/// Runs a command and reads its log until every one of `words` was in it.
fn log_of(mut command: Command, words: &[&str]) {
    let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut missing: Vec<&str> = words.to_vec();
    for line in BufReader::new(running.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        missing.retain(|word| !line.contains(word));
        if missing.is_empty() {
            return;
        }
    }
    panic!("it ended before it said {missing:?}");
}

#[test]
fn missing_redis_and_chain_are_waited_for() {
    let folder = Folder::new();
    log_tells(
        "relayer",
        &folder.path("relayer.yaml"),
        &[
            "Redis does not answer yet",
            "no chain node answers yet",
            "serving relays",
        ],
    );
}
