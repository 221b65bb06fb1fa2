//! A folder with a YAML or JSON file per key: `operator_address` and `private_key_hex`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::secret_text::SecretText;
use crate::{KeyFault, KeyProvider, LoadError, SigningKey, yaml};

#[derive(Deserialize)]
struct KeyFile {
    #[serde(default)]
    operator_address: String,
    #[serde(default)]
    private_key_hex: SecretText,
}

/// The keys of every `.yaml`, `.yml` and `.json` file in the folder, in the order of their names.
/// Other files and folders in it are left alone.
pub(crate) fn load(folder: &Path) -> (Vec<SigningKey>, Vec<LoadError>) {
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    let paths = files(folder).unwrap_or_else(|error| {
        errors.push(LoadError {
            provider: KeyProvider::KeysDirectory,
            path: folder.to_owned(),
            fault: error.into(),
        });
        Vec::new()
    });
    for path in paths {
        match yaml::read(&path).and_then(|file| read(&file)) {
            Ok(key) => keys.push(key),
            Err(fault) => errors.push(LoadError {
                provider: KeyProvider::KeysDirectory,
                path,
                fault,
            }),
        }
    }
    (keys, errors)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let known = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|it| extension.eq_ignore_ascii_case(it))
        });
        if known && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The address must be that of the key: a supplier whose relays were signed by another key would
/// answer relays that nobody accepts.
fn read(file: &KeyFile) -> Result<SigningKey, KeyFault> {
    if file.operator_address.is_empty() {
        return Err(KeyFault::Missing("operator_address"));
    }
    if file.private_key_hex.expose().is_empty() {
        return Err(KeyFault::Missing("private_key_hex"));
    }
    let key = SigningKey::from_hex(file.private_key_hex.expose())?;
    if key.address().as_str() != file.operator_address {
        return Err(KeyFault::AddressMismatch {
            declared: file.operator_address.clone(),
            derived: key.address().clone(),
        });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_file(address: &str, hex: &str) -> String {
        format!("operator_address: {address}\nprivate_key_hex: \"{hex}\"\n")
    }

    #[test]
    fn every_key_file_is_read_and_each_fault_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let hex = "07".repeat(32);
        let key = SigningKey::from_hex(&hex).unwrap();
        let address = key.address().as_str();
        write("a.yaml", &key_file(address, &hex));
        write("b.YML", &key_file(address, &format!("0x{hex}")));
        write(
            "c.json",
            &format!("{{\"operator_address\":\"{address}\",\"private_key_hex\":\"{hex}\"}}"),
        );
        write("d.yaml", &key_file(address, &"08".repeat(32)));
        write("e.yaml", "private_key_hex: 07");
        write("f.yaml", &key_file(address, "07"));
        write("notes.txt", "not a key");
        std::fs::create_dir(folder.path().join("more.yaml")).unwrap();

        let (keys, errors) = load(folder.path());
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|it| it.address() == key.address()));
        let names: Vec<_> = errors.iter().map(|error| error.path.file_name().unwrap()).collect();
        assert_eq!(names, ["d.yaml", "e.yaml", "f.yaml"]);
        assert!(matches!(errors[0].fault, KeyFault::AddressMismatch { .. }));
        assert!(matches!(errors[1].fault, KeyFault::Missing("operator_address")));
        assert!(matches!(errors[2].fault, KeyFault::Key(_)));
    }

    #[test]
    fn missing_folder_is_an_error_of_the_folder() {
        let (keys, errors) = load(Path::new("/nonexistent/keys"));
        assert!(keys.is_empty());
        assert!(matches!(
            errors[..],
            [LoadError {
                fault: KeyFault::Read(_),
                ..
            }]
        ));
    }
}
