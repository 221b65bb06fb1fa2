//! What an audit found, for people and programs.

use std::fmt;

use pocket_protocol::Height;
use pocket_store::SessionRecord;
use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was compared is the same.
    Agrees,
    /// It cannot be compared: something is not there any more, or not yet.
    CannotTell,
    /// It is not the same.
    Differs,
}

impl Verdict {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::CannotTell => "cannot tell",
            Self::Differs => "DIFFERS",
        }
    }
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was compared; one of a few.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, and what was expected.
    pub text: String,
}

/// A relay in the tree that could not be proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenLeaf {
    /// Where it lies, in hex.
    pub path: String,
    /// SHA-256 of the relay, in hex.
    pub relay_hash: String,
    /// Name of the first rule that it breaks.
    pub rule: &'static str,
    /// What was expected and what was found.
    pub text: String,
}

/// What an audit of a supplier's part in a session found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The session's id.
    pub session: String,
    /// The operator.
    pub supplier: String,
    /// The service.
    pub service: String,
    /// The application.
    pub application: String,
    /// First block of the session.
    pub start_height: i64,
    /// Last block of the session.
    pub end_height: i64,
    /// Where the miner has it on its way.
    pub state: &'static str,
    /// Why the miner ended it there, if it did.
    pub reason: Option<String>,
    /// The chain's newest block at the time of the audit.
    pub height: i64,
    /// What its relays are worth, before caps and shares.
    pub worth_upokt: Option<u128>,
    /// All comparisons, in the order of a relay's way.
    pub checks: Vec<Check>,
    /// The first relays that could not be proven.
    pub broken_leaves: Vec<BrokenLeaf>,
}

impl Report {
    pub(super) fn new(record: &SessionRecord, height: Height) -> Self {
        Self {
            session: record.session.to_string(),
            supplier: record.supplier.to_string(),
            service: record.service.to_string(),
            application: record.application.to_string(),
            start_height: record.start.0,
            end_height: record.end.0,
            state: record.state.as_str(),
            reason: record.reason.clone(),
            height: height.0,
            worth_upokt: None,
            checks: Vec::new(),
            broken_leaves: Vec::new(),
        }
    }

    /// The worst of all checks.
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.checks.iter().map(|check| check.verdict);
        verdicts.max().unwrap_or(Verdict::CannotTell)
    }

    pub(super) fn add(&mut self, name: &'static str, verdict: Verdict, text: impl Into<String>) {
        let text = text.into();
        self.checks.push(Check { name, verdict, text });
    }

    pub(super) fn agrees(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(name, Verdict::Agrees, text);
    }

    pub(super) fn differs(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(name, Verdict::Differs, text);
    }

    pub(super) fn cannot_tell(&mut self, name: &'static str, reason: impl fmt::Display) {
        self.add(name, Verdict::CannotTell, reason.to_string());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "session      {}", self.session)?;
        writeln!(f, "supplier     {}", self.supplier)?;
        writeln!(f, "service      {}", self.service)?;
        writeln!(f, "application  {}", self.application)?;
        let (start, end, now) = (self.start_height, self.end_height, self.height);
        writeln!(f, "blocks       {start} to {end}, now at {now}")?;
        writeln!(f, "state        {}", self.state)?;
        if let Some(reason) = &self.reason {
            writeln!(f, "reason       {reason}")?;
        }
        if let Some(worth) = self.worth_upokt {
            writeln!(f, "worth        {worth} upokt, before caps and shares")?;
        }
        writeln!(f)?;
        for Check { name, verdict, text } in &self.checks {
            writeln!(f, "{:<11}  {name:<12}  {text}", verdict.as_str())?;
        }
        if !self.broken_leaves.is_empty() {
            writeln!(f, "\nrelays that cannot be proven, the first of them:")?;
        }
        for leaf in &self.broken_leaves {
            writeln!(f, "  relay {} at {}: {}", leaf.relay_hash, leaf.path, leaf.text)?;
        }
        write!(f, "\nin all: {}", self.verdict().as_str())
    }
}
