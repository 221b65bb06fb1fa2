//! The files that a configuration names, so that a change of one can be noticed.

use std::path::{Path, PathBuf};

use crate::document::{Node, Value};
use crate::environment::Environment;
use crate::load::Document;
use crate::miner::MinerConfig;
use crate::relayer::RelayerConfig;

impl RelayerConfig {
    /// Every file that the configuration at `path` names: the values of all keys that end with `_file`, whatever they are
    /// for. Nothing is checked; a configuration that cannot be read names none.
    pub fn files_named(path: impl AsRef<Path>, environment: &Environment) -> Vec<PathBuf> {
        files_named::<Self>(path.as_ref(), environment)
    }
}

impl MinerConfig {
    /// Every file that the configuration at `path` names: the values of all keys that end with `_file`, whatever they are
    /// for. Nothing is checked; a configuration that cannot be read names none.
    pub fn files_named(path: impl AsRef<Path>, environment: &Environment) -> Vec<PathBuf> {
        files_named::<Self>(path.as_ref(), environment)
    }
}

fn files_named<S: Document>(path: &Path, environment: &Environment) -> Vec<PathBuf> {
    match std::fs::read_to_string(path) {
        Ok(text) => named_in::<S>(&text, environment),
        Err(_) => Vec::new(),
    }
}

fn named_in<S: Document>(text: &str, environment: &Environment) -> Vec<PathBuf> {
    let mut problems = Vec::new();
    let Ok(mut root) = Node::parse(text, &mut problems) else {
        return Vec::new();
    };
    root.expand(environment, &mut Vec::new(), &mut problems);
    environment.apply(S::PREFIX, &S::shape(), &mut root, &mut problems);
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
}

fn collect(node: &Node, files: &mut Vec<PathBuf>) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|item| collect(item, files)),
        Value::Map(entries) => {
            for entry in entries {
                match &entry.node.value {
                    Value::Scalar { text, .. } if entry.name.ends_with("_file") && !entry.node.is_blank() => {
                        files.push(text.trim().into());
                    }
                    _ => collect(&entry.node, files),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_wherever_it_is_named() {
        let text = "
redis: { url_file: /run/secrets/redis }
keys: { keys_file: '${FOLDER}/keys.yaml', keys_dir: /keys }
tls: { cert_file: cert.pem, key_file: key.pem }
services: { eth: { backends: { jsonrpc: { authentication: { bearer_token_file: token }, url: http://localhost } } } }
http_transport: { ca_file: }
";
        let environment = Environment::from_iter([("FOLDER", "/etc")]);
        let files = named_in::<RelayerConfig>(text, &environment);
        let expected = ["/run/secrets/redis", "/etc/keys.yaml", "cert.pem", "key.pem", "token"];
        assert_eq!(files, expected.map(PathBuf::from));
        assert!(named_in::<RelayerConfig>("[", &environment).is_empty());
    }
}
