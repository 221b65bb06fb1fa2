//! `relay-miner completions`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use clap_complete::Shell;

/// Write what a shell needs to complete this command's words, or its manual.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  relay-miner completions bash > /etc/bash_completion.d/relay-miner\n  relay-miner completions zsh > \"${fpath[1]}/_relay-miner\"\n  relay-miner completions fish > ~/.config/fish/completions/relay-miner.fish\n  relay-miner completions man > /usr/local/share/man/man1/relay-miner.1"
)]
pub struct Arguments {
    /// For whom
    #[arg(value_enum)]
    target: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Shell(Shell),
    Manual,
}

impl ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Shell(Shell::Bash),
            Self::Shell(Shell::Zsh),
            Self::Shell(Shell::Fish),
            Self::Shell(Shell::Elvish),
            Self::Shell(Shell::PowerShell),
            Self::Manual,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Shell(shell) => shell.to_possible_value(),
            Self::Manual => Some(PossibleValue::new("man")),
        }
    }
}

/// Writes it for `command` on standard output.
pub fn run(arguments: &Arguments, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    match arguments.target {
        Target::Shell(shell) => clap_complete::generate(shell, command, "relay-miner", &mut text),
        Target::Manual => manual(command, &mut text)?,
    }
    match io::stdout().write_all(&text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// One page with all commands, each with its options.
fn manual(command: &mut clap::Command, text: &mut Vec<u8>) -> io::Result<()> {
    command.build();
    clap_mangen::Man::new(command.clone()).render(text)?;
    let mut below: Vec<clap::Command> = shown(command);
    while let Some(next) = below.pop() {
        // The page's own heading is left out of all but the first.
        let man = clap_mangen::Man::new(next.clone());
        let name = next.get_bin_name().unwrap_or_else(|| next.get_name());
        writeln!(text, ".SH \"{}\"", name.to_uppercase())?;
        man.render_synopsis_section(text)?;
        man.render_description_section(text)?;
        man.render_options_section(text)?;
        below.extend(shown(&next));
    }
    Ok(())
}

/// Subcommands that are not hidden, the last first.
fn shown(command: &clap::Command) -> Vec<clap::Command> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let mut shown: Vec<clap::Command> = shown.filter(|command| command.get_name() != "help").cloned().collect();
    shown.reverse();
    shown
}
