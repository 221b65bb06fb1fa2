//! What the options say that the backend shall get.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::args::CallArgs;
use crate::call::BLOCK_NUMBER;
use crate::{BackendCall, Mode, Payload};

/// Options that fit no call.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// An option of another mode.
    #[error("--{option} only applies to {mode}")]
    OtherMode {
        /// The option.
        option: &'static str,
        /// The mode that has it.
        mode: Mode,
    },
    /// There is no place for the number of batches.
    #[error("--payload must be a JSON object to carry --batches")]
    NotAnObject,
    /// The message is no hex.
    #[error("--message: {0}")]
    Hex(#[from] hex::FromHexError),
    /// A message over a WebSocket is all there is.
    #[error("--{0} has no meaning over a WebSocket")]
    OverSocket(&'static str),
}

impl CallArgs {
    /// What relays carry.
    pub(super) fn payload(&self, mode: Mode) -> Result<Payload, CallError> {
        let of_other_mode = [
            ("batches", self.batches > 0, Mode::Stream),
            ("messages", self.messages.is_some(), Mode::WebSocket),
            ("message", self.message.is_some(), Mode::Grpc),
        ];
        for (option, is_given, of) in of_other_mode {
            if is_given && of != mode {
                return Err(CallError::OtherMode { option, mode: of });
            }
        }
        for (option, is_given) in [("path", self.path.is_some()), ("method", self.method.is_some())] {
            if is_given && mode == Mode::WebSocket {
                return Err(CallError::OverSocket(option));
            }
        }
        let pushes = self.messages.map_or(0, |messages| messages.get() - 1);
        Ok(self.call(mode)?.payload().with_pushes(pushes))
    }

    fn call(&self, mode: Mode) -> Result<BackendCall, CallError> {
        let body = |text: &String| Bytes::from(text.clone());
        let mut call = match (mode, &self.payload) {
            (Mode::Stream, payload) if self.batches > 0 => {
                let text = payload.as_deref().unwrap_or(BLOCK_NUMBER);
                BackendCall::stream(with_batches(text, self.batches)?)
            }
            (Mode::Stream, Some(text)) => BackendCall::stream(body(text)),
            (_, Some(text)) => BackendCall::json(mode, body(text)),
            (_, None) => BackendCall::usual(mode),
        };
        if let Some(message) = &self.message {
            call = BackendCall::grpc(call.url, &hex::decode(message)?);
        }
        if let Some(path) = &self.path {
            call.url.clone_from(path);
        }
        if let Some(method) = &self.method {
            call.method.clone_from(method);
        }
        Ok(call)
    }
}

/// The payload with one field more. All else stays as it is written.
fn with_batches(payload: &str, batches: u32) -> Result<Bytes, CallError> {
    let fields: Map<String, Value> = serde_json::from_str(payload).map_err(|_| CallError::NotAnObject)?;
    let open = payload.trim_end().strip_suffix('}').ok_or(CallError::NotAnObject)?;
    let comma = if fields.is_empty() { "" } else { "," };
    Ok(format!("{open}{comma}\"batches\":{batches}}}").into())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn args(change: impl FnOnce(&mut CallArgs)) -> CallArgs {
        let mut args = CallArgs::default();
        change(&mut args);
        args
    }

    #[test]
    fn payload_path_and_method_reach_the_backend() {
        let args = args(|args| {
            args.payload = Some("x".to_owned());
            args.path = Some("/a?b".to_owned());
            args.method = Some("PUT".to_owned());
        });
        let call = args.call(Mode::Rest).unwrap();
        assert_eq!(
            (call.method.as_str(), call.url.as_str(), &call.body[..]),
            ("PUT", "/a?b", &b"x"[..])
        );
        assert_eq!(call.mode, Mode::Rest);
    }

    #[test]
    fn call_is_the_usual_one_if_nothing_is_said() {
        for mode in Mode::ALL {
            assert_eq!(CallArgs::default().call(mode).unwrap(), BackendCall::usual(mode));
        }
    }

    #[test]
    fn number_of_batches_is_put_into_the_payload() {
        let mut args = args(|args| args.batches = 7);
        let body: Value = serde_json::from_slice(&args.call(Mode::Stream).unwrap().body).unwrap();
        assert_eq!(
            (&body["batches"], &body["method"]),
            (&7.into(), &"eth_blockNumber".into())
        );
        args.payload = Some(r#" {"id": 18446744073709551616.0} "#.to_owned());
        assert_eq!(
            args.call(Mode::Stream).unwrap().body,
            r#" {"id": 18446744073709551616.0,"batches":7}"#
        );
        args.payload = Some("{}".to_owned());
        assert_eq!(args.call(Mode::Stream).unwrap().body, r#"{"batches":7}"#);
        args.payload = Some("[]".to_owned());
        assert_eq!(args.call(Mode::Stream), Err(CallError::NotAnObject));
    }

    #[test]
    fn message_of_a_grpc_call_is_hex() {
        let mut args = args(|args| args.message = Some("0803".to_owned()));
        args.path = Some("/a.B/C".to_owned());
        assert_eq!(args.call(Mode::Grpc).unwrap(), BackendCall::grpc("/a.B/C", &[8, 3]));
        args.message = Some("0".to_owned());
        assert!(matches!(args.call(Mode::Grpc), Err(CallError::Hex(_))));
    }

    #[test]
    fn option_of_one_mode_is_refused_in_the_others() {
        let batches = args(|args| args.batches = 1);
        let messages = args(|args| args.messages = NonZeroUsize::new(3));
        let message = args(|args| args.message = Some("00".to_owned()));
        for (args, mode) in [
            (batches, Mode::Stream),
            (messages, Mode::WebSocket),
            (message, Mode::Grpc),
        ] {
            for other in Mode::ALL {
                assert_eq!(args.payload(other).is_ok(), other == mode, "{other}");
            }
        }
        let path = args(|args| args.path = Some("/".to_owned()));
        assert_eq!(path.payload(Mode::WebSocket), Err(CallError::OverSocket("path")));
    }

    #[test]
    fn messages_are_waited_for_with_the_first_answer_among_them() {
        let args = args(|args| args.messages = NonZeroUsize::new(6));
        assert_eq!(args.payload(Mode::WebSocket).unwrap().answers, 6);
        assert_eq!(CallArgs::default().payload(Mode::WebSocket).unwrap().answers, 1);
    }
}
