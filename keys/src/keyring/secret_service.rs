//! The SDK's `os` backend on a desktop: the Secret Service of GNOME Keyring, `KWallet` or `KeePassXC`.
//!
//! A collection with the application's name holds an item for each key, labelled `<name>.info`; its secret is the
//! keyring library's JSON, the same that is sealed into the files of the other backends.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::bus::{Answer, Arguments, Bus, BusError, Call, unescaped};
use super::{Found, KeyringSource, record};
use crate::{KeyFault, SigningKey};

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const COLLECTIONS: &str = "/org/freedesktop/secrets/collection/";

/// The name of a collection, by its path.
fn name_of(path: &str) -> Option<String> {
    path.strip_prefix(COLLECTIONS).map(|name| unescaped(name, '_'))
}

/// The keys of the desktop's key store.
pub(super) fn load(source: &KeyringSource) -> Found {
    load_from(Bus::session(), source)
}

fn load_from(bus: Result<Bus, BusError>, source: &KeyringSource) -> Found {
    let place = PathBuf::from(format!("keyring {} (os)", source.service));
    let opened = bus
        .and_then(|bus| Store::open(bus, &source.service))
        .map_err(|error| KeyFault::NoSecretService(error.to_string()))
        .and_then(|store| store.ok_or_else(|| missing(&source.service)));
    let mut store = match opened {
        Ok(store) => store,
        Err(fault) => return Found::nothing(place, fault),
    };
    let items = match store.items() {
        Ok(items) => items,
        Err(error) => return Found::nothing(place, KeyFault::NoSecretService(error.to_string())),
    };
    let mut found = Found::default();
    let is_named = !source.names.is_empty();
    for name in &source.names {
        if !items.iter().any(|(label, _)| label == name) {
            let fault = KeyFault::NoSecretService("it has no key of this name".to_owned());
            found.add(place.join(name), Err(fault), is_named);
        }
    }
    for (name, item) in items {
        if !is_named || source.names.contains(&name) {
            found.add(place.join(&name), store.key(&item), is_named);
        }
    }
    found
}

fn missing(service: &str) -> KeyFault {
    KeyFault::NoSecretService(format!("it has no collection {service:?}"))
}

/// A collection whose items can be read.
struct Store {
    bus: Bus,
    session: String,
    collection: String,
}

impl Store {
    /// `None` when there is no such collection.
    fn open(bus: Bus, service: &str) -> Result<Option<Self>, BusError> {
        let mut store = Self {
            bus,
            session: String::new(),
            collection: String::new(),
        };
        // Plain: what passes here passes between this user's own processes, as it does for the SDK.
        let arguments = Arguments::default().string("plain").variant("");
        let mut answer = store.call(ROOT, "org.freedesktop.Secret.Service", "OpenSession", arguments)?;
        answer.variant("s")?;
        answer.string()?;
        store.session = answer.string()?;
        let mut answer = store.property(ROOT, "org.freedesktop.Secret.Service", "Collections")?;
        answer.variant("ao")?;
        let collections = answer.paths()?;
        let is_ours = |path: &String| name_of(path).as_deref() == Some(service);
        let Some(collection) = collections.into_iter().find(is_ours) else {
            return Ok(None);
        };
        store.unlock(&collection)?;
        store.collection = collection;
        Ok(Some(store))
    }

    /// Unlocks what can be without asking somebody.
    fn unlock(&mut self, object: &str) -> Result<(), BusError> {
        let arguments = Arguments::default().paths(&[object]);
        let mut answer = self.call(ROOT, "org.freedesktop.Secret.Service", "Unlock", arguments)?;
        answer.paths()?;
        if answer.string()? == "/" {
            Ok(())
        } else {
            let why = "it is locked; unlock it in the desktop's password manager, or log in";
            Err(BusError::Refused(why.to_owned()))
        }
    }

    /// Names of keys with the paths of their items.
    fn items(&mut self) -> Result<Vec<(String, String)>, BusError> {
        let collection = self.collection.clone();
        let mut answer = self.property(&collection, "org.freedesktop.Secret.Collection", "Items")?;
        answer.variant("ao")?;
        let mut items = Vec::new();
        for item in answer.paths()? {
            let mut label = self.property(&item, "org.freedesktop.Secret.Item", "Label")?;
            label.variant("s")?;
            if let Some(name) = label.string()?.strip_suffix(".info") {
                items.push((name.to_owned(), item));
            }
        }
        items.sort();
        Ok(items)
    }

    fn key(&mut self, item: &str) -> Result<SigningKey, KeyFault> {
        let secret = self.secret(item);
        let secret = secret.map_err(|error| KeyFault::NoSecretService(error.to_string()))?;
        record::signing_key(&record::item_data(&secret)?)
    }

    fn secret(&mut self, item: &str) -> Result<Zeroizing<Vec<u8>>, BusError> {
        self.unlock(item)?;
        let arguments = Arguments::default().path(&self.session);
        let mut answer = self.call(item, "org.freedesktop.Secret.Item", "GetSecret", arguments)?;
        answer.structure();
        answer.string()?;
        answer.bytes()?;
        answer.bytes()
    }

    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<Answer, BusError> {
        let arguments = Arguments::default().string(interface).string(name);
        self.call(path, "org.freedesktop.DBus.Properties", "Get", arguments)
    }

    fn call(&mut self, path: &str, interface: &str, member: &str, arguments: Arguments) -> Result<Answer, BusError> {
        self.bus.call(&Call {
            destination: SERVICE,
            path,
            interface,
            member,
            arguments,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::KeyringBackend;

    /// What passed between this client and `dbus-daemon`, behind which a key store stood that the SDK's `os` backend had
    /// filled with three keys: a line for each side's turn.
    const RECORDED: &str = include_str!("../../tests/keyrings/secret_service.txt");

    fn source(names: &[&str]) -> KeyringSource {
        KeyringSource {
            backend: KeyringBackend::Os,
            folder: "/nonexistent".into(),
            service: "pocket-node".to_owned(),
            password: None,
            names: names.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn keys_that_the_sdk_put_into_the_desktops_store_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let store = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            for turn in RECORDED.lines() {
                let (side, bytes) = turn.split_once(' ').unwrap();
                let bytes = hex::decode(bytes).unwrap();
                if side == "server" {
                    socket.write_all(&bytes).unwrap();
                } else {
                    let mut said = vec![0; bytes.len()];
                    socket.read_exact(&mut said).unwrap();
                    assert_eq!(hex::encode(said), hex::encode(bytes));
                }
            }
        });
        let bus = Bus::at(&format!("unix:path={},guid=0", path.display()));
        let found = load_from(bus, &source(&[]));
        store.join().unwrap();
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let secrets: Vec<_> = found.keys.iter().map(|key| *key.expose_secret()).collect();
        assert_eq!(secrets, [[1; 32], [2; 32], [3; 32]]);
    }

    #[test]
    fn machine_without_a_bus_is_told_so() {
        let found = load_from(Err(BusError::NoBus), &source(&[]));
        let told = found.errors[0].to_string();
        assert!(found.keys.is_empty());
        assert!(
            told.contains("no session bus") && told.contains("pocket-node"),
            "{told}"
        );
    }

    #[test]
    fn collection_is_found_by_its_decoded_name() {
        assert_eq!(
            name_of("/org/freedesktop/secrets/collection/pocket_2dnode").unwrap(),
            "pocket-node"
        );
        assert_eq!(
            name_of("/org/freedesktop/secrets/collection/my_collection").unwrap(),
            "my_collection"
        );
        assert_eq!(name_of("/org/freedesktop/secrets/aliases/default"), None);
    }
}
