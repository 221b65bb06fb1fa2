//! Errors as an operator reads them: what is wrong, then what to do.

use std::fmt::Write as _;
use std::process::ExitCode;

use pocket_config::ConfigError;
use pocket_query::QueryError;

/// Wrong use: a configuration or an argument.
const EXIT_USAGE: u8 = 2;

/// The text for standard error.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors already end with the text of their cause.
        if !text.contains(&cause) {
            let _ = write!(text, "\n  because: {cause}");
        }
    }
    if let Some(remedy) = remedy(error) {
        let _ = write!(text, "\n  {remedy}");
    }
    text
}

/// 2 for what only the operator's files can mend, 1 for the rest.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let usage = error.chain().any(|cause| cause.is::<ConfigError>());
    if usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
}

fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| match cause.downcast_ref::<QueryError>()? {
        QueryError::WrongChain { .. } => {
            Some("set pocket_node.chain_id to the chain you mean, or take it out to use the node's")
        }
        QueryError::Unavailable(_) => {
            Some("look at pocket_node.query_node_rpc_url, query_node_grpc_url and grpc_insecure: is the node there?")
        }
        _ => None,
    })
}
