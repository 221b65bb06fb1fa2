//! Whose keys sign.

use std::path::{Path, PathBuf};

use pocket_keys::{
    KeySet, KeyringBackend, KeyringBackendError, KeyringSource, LoadError, SigningKey, SigningKeyError, Sources,
};
use pocket_protocol::{AppAddress, ServiceId};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::args::KeyArgs;
use crate::Signatory;
use crate::keys_file::{self, KeysFileError};

/// Why nobody can sign.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No option names a key.
    #[error("no key: give --keys-file, --app-key with --keyring-backend, or --app-priv-key")]
    NoKey,
    /// A gateway's key alone does not say who pays.
    #[error("a gateway's key needs the application's: give its key, or --app-address")]
    NoApplication,
    /// An option's hex is no private key.
    #[error("--{option}: {error}")]
    Hex {
        /// The option.
        option: &'static str,
        /// What is wrong.
        error: SigningKeyError,
    },
    /// The file gives no keys.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: KeysFileError,
    },
    /// The kind of keyring.
    #[error("--keyring-backend: {0}")]
    Backend(#[from] KeyringBackendError),
    /// The keyring gives no key of that name.
    #[error(transparent)]
    Keyring(#[from] LoadError),
}

/// The options' signatory. In the local network, whose service is given, an absent one is the application of that
/// service, for which `gateway1` signs.
pub(super) fn signatory(args: &KeyArgs, localnet: Option<&ServiceId>) -> Result<Signatory, IdentityError> {
    let (application, gateway) = match &args.keys_file {
        Some(path) => from_file(path)?,
        None => (
            one_of(
                args,
                "app-priv-key",
                args.app_priv_key.as_deref(),
                args.app_key.as_deref(),
            )?,
            one_of(
                args,
                "gateway-priv-key",
                args.gateway_priv_key.as_deref(),
                args.gateway_key.as_deref(),
            )?,
        ),
    };
    let address = args.app_address.clone();
    let address = address.or_else(|| {
        application
            .as_ref()
            .map(|key| AppAddress::of_public_key(&key.public_key()))
    });
    match (application, gateway, address, localnet) {
        (_, Some(gateway), Some(address), _) => Ok(Signatory::gateway(&gateway, address)),
        (_, Some(_), None, _) => Err(IdentityError::NoApplication),
        (Some(application), None, ..) => Ok(Signatory::application(&application)),
        (None, None, None, Some(service)) => Ok(local_signatory(service)),
        (None, None, ..) => Err(IdentityError::NoKey),
    }
}

fn from_file(path: &Path) -> Result<(Option<SigningKey>, Option<SigningKey>), IdentityError> {
    let (application, gateway) = keys_file::load(path).map_err(|error| IdentityError::File {
        path: path.to_owned(),
        error,
    })?;
    Ok((Some(application), gateway))
}

fn one_of(
    args: &KeyArgs,
    option: &'static str,
    hex: Option<&str>,
    name: Option<&str>,
) -> Result<Option<SigningKey>, IdentityError> {
    match (hex, name) {
        (Some(hex), _) => SigningKey::from_hex(hex)
            .map(Some)
            .map_err(|error| IdentityError::Hex { option, error }),
        (None, Some(name)) => from_keyring(args, name).map(Some),
        (None, None) => Ok(None),
    }
}

fn from_keyring(args: &KeyArgs, name: &str) -> Result<SigningKey, IdentityError> {
    let (Some(backend), Some(folder)) = (&args.keyring_backend, &args.keyring_dir) else {
        return Err(IdentityError::NoKey);
    };
    let keyring = KeyringSource {
        backend: backend.parse::<KeyringBackend>()?,
        folder: folder.clone(),
        service: "pocket".to_owned(),
        password: args.keyring_password.clone().map(Zeroizing::new),
        names: vec![name.to_owned()],
    };
    let loaded = KeySet::load(&Sources {
        keyring: Some(keyring),
        ..Sources::default()
    });
    if let Some(error) = loaded.errors.into_iter().next() {
        return Err(error.into());
    }
    let key = loaded.keys.iter().next().map(|(_, key)| key.expose_secret());
    let key = key.ok_or(IdentityError::NoKey)?;
    Ok(SigningKey::from_bytes(key.as_ref()).expect("a key's own bytes are a key"))
}

/// Services of the local network in the order of their applications, `app1` and so on.
const LOCAL_SERVICES: [&str; 5] = ["svc-http", "svc-ws", "svc-grpc", "svc-rest", "svc-comet"];

fn local_signatory(service: &ServiceId) -> Signatory {
    let position = LOCAL_SERVICES.iter().position(|known| *known == service.as_str());
    let application = local_key(&format!("app{}", position.unwrap_or(0) + 1));
    Signatory::gateway(
        &local_key("gateway1"),
        AppAddress::of_public_key(&application.public_key()),
    )
}

/// Keys of the local network are hashes of their owners' names: everyone has them.
fn local_key(name: &str) -> SigningKey {
    let secret = Sha256::digest(format!("pocket localnet {name}"));
    SigningKey::from_bytes(&secret).expect("the local network's names make keys")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn address(byte: u8) -> AppAddress {
        AppAddress::of_public_key(&SigningKey::from_bytes(&[byte; 32]).unwrap().public_key())
    }

    fn hex(byte: u8) -> String {
        hex::encode([byte; 32])
    }

    #[test]
    fn application_signs_unless_there_is_a_gateway() {
        let mut args = KeyArgs {
            app_priv_key: Some(hex(1)),
            ..Default::default()
        };
        let alone = signatory(&args, None).unwrap();
        assert_eq!((alone.application_address(), alone.is_gateway()), (&address(1), false));
        args.gateway_priv_key = Some(hex(2));
        let with_gateway = signatory(&args, None).unwrap();
        assert_eq!(
            (with_gateway.application_address(), with_gateway.is_gateway()),
            (&address(1), true)
        );
    }

    #[test]
    fn gateway_needs_no_more_of_the_application_than_its_address() {
        let mut args = KeyArgs {
            gateway_priv_key: Some(hex(2)),
            ..Default::default()
        };
        assert!(matches!(signatory(&args, None), Err(IdentityError::NoApplication)));
        args.app_address = Some(address(1));
        assert_eq!(signatory(&args, None).unwrap().application_address(), &address(1));
    }

    #[test]
    fn keys_file_names_both() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "applications: [{}]\ngateway: [{}]",
            "01".repeat(32),
            "02".repeat(32)
        )
        .unwrap();
        let args = KeyArgs {
            keys_file: Some(file.path().to_owned()),
            ..Default::default()
        };
        let signatory = signatory(&args, None).unwrap();
        assert_eq!(
            (signatory.application_address(), signatory.is_gateway()),
            (&address(1), true)
        );
    }

    #[test]
    fn nobody_signs_without_a_key_except_on_the_local_network() {
        assert!(matches!(
            signatory(&KeyArgs::default(), None),
            Err(IdentityError::NoKey)
        ));
        let service = "svc-rest".parse().unwrap();
        let local = signatory(&KeyArgs::default(), Some(&service)).unwrap();
        let application = AppAddress::of_public_key(&local_key("app4").public_key());
        assert_eq!((local.application_address(), local.is_gateway()), (&application, true));
    }
}
