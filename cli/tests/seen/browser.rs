//! A browser without a window.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::fleet::run;

/// Programs that will do; `make tools` installs the first.
const BROWSERS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];
/// Milliseconds of the page's own time: enough for a few refreshes, and over as soon as nothing is waited for.
const PAGE_TIME: &str = "7000";

/// A page after its script has run for a while.
pub struct Seen {
    /// The document as it then is, as markup.
    pub document: String,
    /// What was written to the console: errors, and violations of the page's policy.
    pub console: Vec<String>,
}

/// Whether pages can be opened.
pub fn is_there() -> bool {
    browser().is_some()
}

/// Opens a page.
pub async fn open(url: &str) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser().expect("it was asked whether there is one"));
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--virtual-time-budget={PAGE_TIME}"))
        .args(["--dump-dom", url])
        .stdin(Stdio::null());
    let output = run(command).await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    Seen {
        document: String::from_utf8(output.stdout).unwrap(),
        console: log
            .lines()
            .filter(|line| line.contains(":CONSOLE"))
            .map(str::to_owned)
            .collect(),
    }
}

/// The browser to run; `None` where the environment says that there is to be none.
fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BROWSER") {
        return (named != "none").then(|| named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = |name: &&str| {
        let mut programs = std::env::split_paths(&path).map(|place| place.join(name));
        programs.find(|program| program.is_file())
    };
    let found = BROWSERS.iter().find_map(in_path);
    Some(found.expect("no browser: `make tools` installs one; BROWSER names another, BROWSER=none does without"))
}

impl Seen {
    /// The text of the row with this key in the table under this heading, its cells apart by `|`.
    pub fn row(&self, title: &str, key: &str) -> Option<String> {
        let (_, table) = self.document.split_once(&format!("<h2>{title}</h2>"))?;
        let (table, _) = table.split_once("</section>")?;
        let (_, row) = table.split_once(&format!("data-key=\"{key}\">"))?;
        let (row, _) = row.split_once("</tr>")?;
        let cells = row.split("</td>").map(|cell| {
            let mut text = String::new();
            let mut is_markup = false;
            for letter in cell.chars() {
                match letter {
                    '<' => is_markup = true,
                    '>' => is_markup = false,
                    letter if !is_markup => text.push(letter),
                    _ => {}
                }
            }
            text
        });
        Some(cells.collect::<Vec<_>>().join("|"))
    }
}

#[tokio::test]
async fn console_is_heard() {
    if !is_there() {
        return;
    }
    let page = "data:text/html,<title>t</title><script>console.error('out loud');document.title='ran'</script>";
    let seen = open(page).await;
    assert!(seen.document.contains("<title>ran</title>"), "{}", seen.document);
    assert!(
        seen.console.iter().any(|line| line.contains("out loud")),
        "{:?}",
        seen.console
    );
}
