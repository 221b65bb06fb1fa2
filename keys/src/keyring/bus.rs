//! As much of D-Bus as asking a key store takes: one connection, calls one after the other.
//!
//! A library for all of D-Bus weighs megabytes in the program; this is the handshake, a message's head, and the few
//! types that the Secret Service's answers are made of. Bytes: D-Bus Specification, "Message Protocol", little-endian.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest message that is read; a key is a few hundred bytes.
const MOST: u32 = 1 << 20;
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;

/// Why the bus gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    #[error("there is no session bus here (DBUS_SESSION_BUS_ADDRESS)")]
    NoBus,
    #[error("the session bus: {0}")]
    Socket(#[from] io::Error),
    #[error("the session bus did not let us in")]
    NotLetIn,
    /// The name of the error.
    #[error("{0}")]
    Refused(String),
    #[error("an answer is not what it should be")]
    Malformed,
}

/// A connection to the session bus.
pub(super) struct Bus {
    socket: BufReader<UnixStream>,
    serial: u32,
}

/// A call of a method.
pub(super) struct Call<'c> {
    pub destination: &'c str,
    pub path: &'c str,
    pub interface: &'c str,
    pub member: &'c str,
    pub arguments: Arguments,
}

impl Bus {
    /// The bus that the environment names.
    pub fn session() -> Result<Self, BusError> {
        let named = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
        let named = named.filter(|addresses| !addresses.is_empty());
        let addresses = match (named, std::env::var("XDG_RUNTIME_DIR")) {
            (Some(addresses), _) => addresses,
            (None, Ok(folder)) if Path::new(&folder).join("bus").exists() => format!("unix:path={folder}/bus"),
            (None, _) => return Err(BusError::NoBus),
        };
        Self::at(&addresses)
    }

    /// The first of these addresses that answers.
    pub fn at(addresses: &str) -> Result<Self, BusError> {
        let mut failed = BusError::NoBus;
        for address in addresses.split(';') {
            match connect(address) {
                Ok(Some(socket)) => return Self::begin(socket),
                Ok(None) => {}
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }

    /// Who is at the other end of a Unix socket is known to the system: nothing is proven here.
    fn begin(socket: UnixStream) -> Result<Self, BusError> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut socket = BufReader::new(socket);
        socket.get_mut().write_all(b"\0AUTH EXTERNAL\r\nDATA\r\n")?;
        let mut line = String::new();
        while !line.starts_with("OK ") {
            line.clear();
            if socket.read_line(&mut line)? == 0 || line.starts_with("REJECTED") {
                return Err(BusError::NotLetIn);
            }
        }
        socket.get_mut().write_all(b"BEGIN\r\n")?;
        let mut bus = Self { socket, serial: 0 };
        bus.call(&Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            arguments: Arguments::default(),
        })?;
        Ok(bus)
    }

    /// Calls a method and waits for what it returns.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Answer, BusError> {
        self.serial += 1;
        let message = message(call, self.serial);
        self.socket.get_mut().write_all(&message)?;
        loop {
            let (head, body) = self.receive()?;
            if head.reply_to != Some(self.serial) {
                // A signal, or a call to us, which nobody has reason to make.
                continue;
            }
            return match head.kind {
                RETURN => Ok(body),
                ERROR => Err(BusError::Refused(head.error)),
                _ => Err(BusError::Malformed),
            };
        }
    }

    fn receive(&mut self) -> Result<(Head, Answer), BusError> {
        let mut fixed = [0; 16];
        self.socket.read_exact(&mut fixed)?;
        if fixed[0] != b'l' {
            return Err(BusError::Malformed);
        }
        let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (body, fields) = (number(4), number(12));
        if body > MOST || fields > MOST {
            return Err(BusError::Malformed);
        }
        let mut fields = vec![0; (fields as usize).next_multiple_of(8)];
        self.socket.read_exact(&mut fields)?;
        let mut bytes = Zeroizing::new(vec![0; body as usize]);
        self.socket.read_exact(&mut bytes)?;
        let end = number(12) as usize;
        fields.truncate(end);
        let head = Head::read(fixed[1], fields)?;
        Ok((head, Answer { bytes, at: 0 }))
    }
}

/// `None` for an address that is no Unix socket.
fn connect(address: &str) -> io::Result<Option<UnixStream>> {
    let Some(options) = address.strip_prefix("unix:") else {
        return Ok(None);
    };
    for option in options.split(',') {
        if let Some(path) = option.strip_prefix("path=") {
            return UnixStream::connect(unescaped(path, '%')).map(Some);
        }
        if let Some(name) = option.strip_prefix("abstract=") {
            let address = SocketAddr::from_abstract_name(unescaped(name, '%'))?;
            return UnixStream::connect_addr(&address).map(Some);
        }
    }
    Ok(None)
}

/// In addresses and paths bytes that could be taken for something else stand as a mark and two hexadecimal digits.
pub(super) fn unescaped(text: &str, mark: char) -> String {
    let mut parts = text.split(mark);
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let escaped = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = escaped {
            plain.push(byte);
            plain.extend_from_slice(&part.as_bytes()[2..]);
        } else {
            plain.push(mark as u8);
            plain.extend_from_slice(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Head fields by their codes: path, interface, member, destination, signature.
fn message(call: &Call<'_>, serial: u32) -> Vec<u8> {
    let mut fields = Arguments::default();
    let texts = [
        (1, "o", call.path),
        (2, "s", call.interface),
        (3, "s", call.member),
        (6, "s", call.destination),
    ];
    for (code, kind, text) in texts {
        fields.align(8);
        fields.bytes.push(code);
        fields.signature_text(kind);
        fields.text(text);
    }
    if !call.arguments.signature.is_empty() {
        fields.align(8);
        fields.bytes.push(8);
        fields.signature_text("g");
        fields.signature_text(&call.arguments.signature);
    }
    let body = &call.arguments.bytes;
    let mut message = vec![b'l', CALL, 0, 1];
    message.extend((body.len() as u32).to_le_bytes());
    message.extend(serial.to_le_bytes());
    message.extend((fields.bytes.len() as u32).to_le_bytes());
    fields.align(8);
    message.extend(fields.bytes);
    message.extend(body);
    message
}

/// The arguments of a call, written one after the other.
#[derive(Default)]
pub(super) struct Arguments {
    signature: String,
    bytes: Vec<u8>,
}

impl Arguments {
    pub fn string(mut self, text: &str) -> Self {
        self.signature.push('s');
        self.text(text);
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.signature.push('o');
        self.text(path);
        self
    }

    pub fn paths(mut self, paths: &[&str]) -> Self {
        self.signature.push_str("ao");
        self.align(4);
        let length = self.bytes.len();
        self.bytes.extend([0; 4]);
        for path in paths {
            self.text(path);
        }
        let written = (self.bytes.len() - length - 4) as u32;
        self.bytes[length..length + 4].copy_from_slice(&written.to_le_bytes());
        self
    }

    /// A variant that holds a text.
    pub fn variant(mut self, text: &str) -> Self {
        self.signature.push('v');
        self.signature_text("s");
        self.text(text);
        self
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn text(&mut self, text: &str) {
        self.align(4);
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature_text(&mut self, text: &str) {
        self.bytes.push(text.len() as u8);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }
}

/// What matters of a message's head.
struct Head {
    kind: u8,
    reply_to: Option<u32>,
    error: String,
}

impl Head {
    fn read(kind: u8, fields: Vec<u8>) -> Result<Self, BusError> {
        let end = fields.len();
        let mut fields = Answer {
            bytes: Zeroizing::new(fields),
            at: 0,
        };
        let mut head = Self {
            kind,
            reply_to: None,
            error: String::new(),
        };
        while fields.at < end {
            fields.align(8);
            let code = fields.byte()?;
            match fields.signature()?.as_str() {
                "u" => {
                    let number = fields.number()?;
                    if code == 5 {
                        head.reply_to = Some(number);
                    }
                }
                "s" | "o" => {
                    let text = fields.string()?;
                    if code == 4 {
                        head.error = text;
                    }
                }
                "g" => drop(fields.signature()?),
                _ => return Err(BusError::Malformed),
            }
        }
        Ok(head)
    }
}

/// What a call returned, read one value after the other. Wiped when dropped.
pub(super) struct Answer {
    bytes: Zeroizing<Vec<u8>>,
    at: usize,
}

impl Answer {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Result<&[u8], BusError> {
        let end = self.at.checked_add(length).ok_or(BusError::Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(BusError::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, BusError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, BusError> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| BusError::Malformed)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A text or a path.
    pub fn string(&mut self) -> Result<String, BusError> {
        let length = self.number()? as usize;
        let text = String::from_utf8(self.take(length)?.to_vec()).map_err(|_| BusError::Malformed)?;
        self.take(1)?;
        Ok(text)
    }

    fn signature(&mut self) -> Result<String, BusError> {
        let length = self.byte()?.into();
        let text = String::from_utf8(self.take(length)?.to_vec()).map_err(|_| BusError::Malformed)?;
        self.take(1)?;
        Ok(text)
    }

    /// What kind of value a variant holds; the value is next.
    pub fn variant(&mut self, kind: &str) -> Result<(), BusError> {
        if self.signature()? == kind {
            Ok(())
        } else {
            Err(BusError::Malformed)
        }
    }

    pub fn paths(&mut self) -> Result<Vec<String>, BusError> {
        let end = self.number()? as usize + self.at;
        let mut paths = Vec::new();
        while self.at < end {
            paths.push(self.string()?);
        }
        Ok(paths)
    }

    /// The bytes of an array of bytes.
    pub fn bytes(&mut self) -> Result<Zeroizing<Vec<u8>>, BusError> {
        let length = self.number()? as usize;
        Ok(Zeroizing::new(self.take(length)?.to_vec()))
    }

    /// A structure begins.
    pub fn structure(&mut self) {
        self.align(8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn call_is_written_as_the_specification_says() {
        let call = Call {
            destination: "a.b",
            path: "/c",
            interface: "d.e",
            member: "F",
            arguments: Arguments::default().string("hi").paths(&["/x"]),
        };
        let written = message(&call, 7);
        let head = b"l\x01\x00\x01\x13\0\0\0\x07\0\0\0\x49\0\0\0";
        assert_eq!(&written[..16], head);
        let fields = b"\x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0\x02\x01s\0\x03\0\0\0d.e\0\0\0\0\0";
        assert_eq!(&written[16..16 + fields.len()], fields);
        let body = b"\x02\0\0\0hi\0\0\x07\0\0\0\x02\0\0\0/x\0";
        assert!(written.ends_with(body) && written.len() % 8 == body.len() % 8);
    }

    #[test]
    fn address_may_have_escaped_bytes() {
        assert_eq!(unescaped("/tmp/a%20b%2c%zz", '%'), "/tmp/a b,%zz");
        assert!(matches!(Bus::at("tcp:host=localhost,port=1"), Err(BusError::NoBus)));
        assert!(matches!(Bus::at("unix:path=/nowhere/bus"), Err(BusError::Socket(_))));
    }

    proptest! {
        #[test]
        fn foreign_answer_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let answer = || Answer { bytes: Zeroizing::new(bytes.clone()), at: 0 };
            let _ = answer().paths();
            let _ = answer().string();
            let _ = answer().bytes();
            let _ = answer().variant("s");
            let _ = Head::read(RETURN, bytes.clone());
        }
    }
}
