//! Whether a relay may be looked at, and for which session (spec `relay.md` §6, `sessions.md` §3.4).

use crate::SharedParams;
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_proto::pocket::session::SessionHeader;

use crate::address::{AddressError, check_account};
use crate::types::{Height, ServiceIdError, check_service_id};
use crate::windows::grace_end;

/// Longest session, and farthest distance from the current height, that is worth a query.
const PLAUSIBLE_BLOCKS: i64 = 10_000;

/// What is wrong with a session header, whatever the chain's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The application is no account address.
    #[error("application address: {0}")]
    Application(#[from] AddressError),
    /// The session id is empty.
    #[error("the session id is empty")]
    SessionId,
    /// The service id is malformed.
    #[error("service id: {0}")]
    Service(#[from] ServiceIdError),
    /// The session starts before block 1.
    #[error("the session starts before block 1")]
    Start,
    /// The session does not end after its start.
    #[error("the session does not end after its start")]
    End,
}

/// What is wrong with a request or response, whatever the chain's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasicError {
    /// There is no session header.
    #[error("the session header is missing")]
    NoHeader,
    /// The session header is malformed.
    #[error("session header: {0}")]
    Header(#[from] HeaderError),
    /// There is no signature.
    #[error("the signature is missing")]
    NoSignature,
    /// The request names no supplier.
    #[error("the supplier's operator address is missing")]
    NoSupplier,
}

/// The chain's stateless check of a session header (spec `sessions.md` §3.4).
pub fn basic_header(header: &SessionHeader) -> Result<(), HeaderError> {
    check_account(&header.application_address)?;
    if header.session_id.is_empty() {
        return Err(HeaderError::SessionId);
    }
    check_service_id(&header.service_id)?;
    if header.session_start_block_height <= 0 {
        return Err(HeaderError::Start);
    }
    if header.session_end_block_height <= header.session_start_block_height {
        return Err(HeaderError::End);
    }
    Ok(())
}

fn some_header(header: Option<&SessionHeader>) -> Result<&SessionHeader, BasicError> {
    let header = header.ok_or(BasicError::NoHeader)?;
    basic_header(header)?;
    Ok(header)
}

/// The chain's stateless check of a request; gives its session header. The supplier's address is
/// only asked to be there, as on chain.
pub fn basic_request(request: &RelayRequest) -> Result<&SessionHeader, BasicError> {
    let meta = request.meta.as_ref().ok_or(BasicError::NoHeader)?;
    let header = some_header(meta.session_header.as_ref())?;
    if meta.signature.is_empty() {
        return Err(BasicError::NoSignature);
    }
    if meta.supplier_operator_address.is_empty() {
        return Err(BasicError::NoSupplier);
    }
    Ok(header)
}

/// The chain's stateless check of a response; gives its session header.
pub fn basic_response(response: &RelayResponse) -> Result<&SessionHeader, BasicError> {
    let meta = response.meta.as_ref().ok_or(BasicError::NoHeader)?;
    let header = some_header(meta.session_header.as_ref())?;
    if meta.supplier_operator_signature.is_empty() {
        return Err(BasicError::NoSignature);
    }
    Ok(header)
}

/// Whether a header's heights are worth a query (spec `relay.md` §6.4). They are the client's own
/// words: this comes before any query at them. A `current` of 0 is not known yet.
pub fn plausible_heights(header: &SessionHeader, current: Height) -> bool {
    let (start, end) = (header.session_start_block_height, header.session_end_block_height);
    if start < 1 || end <= start || end - start > PLAUSIBLE_BLOCKS {
        return false;
    }
    current.0 <= 0 || (start <= (current + PLAUSIBLE_BLOCKS).0 && end >= (current - PLAUSIBLE_BLOCKS).0)
}

/// The session ended, and so did its grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session's relays were accepted until block {grace_end}; this is block {current}")]
pub struct Expired {
    /// Last height at which the session's relays were accepted.
    pub grace_end: Height,
    /// The height when the relay came.
    pub current: Height,
}

/// Whether the header's session has not ended yet. A `current` of 0 is not known yet: it has not.
/// While this holds, [`target_height`] looks at no parameters.
pub fn is_active(header: &SessionHeader, current: Height) -> bool {
    current.0 <= 0 || header.session_end_block_height >= current.0
}

/// The height at which to ask the chain for the header's session (spec `relay.md` §6.5): its start
/// while it runs, its end during grace. `params_at_end` are those in force at the session's end.
pub fn target_height(header: &SessionHeader, current: Height, params_at_end: &SharedParams) -> Result<Height, Expired> {
    if is_active(header, current) {
        return Ok(Height(header.session_start_block_height));
    }
    let end = Height(header.session_end_block_height);
    // The end by the chain's grid: a header with another end is refused once it is compared, but
    // must not buy itself a longer grace before.
    let grid_end = crate::session::SessionBounds::containing(params_at_end, end).end;
    let grace_end = grace_end(params_at_end, grid_end);
    if current > grace_end {
        return Err(Expired { grace_end, current });
    }
    Ok(end)
}

/// Whether a relay that came at `current` can still be claimed (spec `relay.md` §6.5): it came
/// before the last block but one of grace. `params` are the live ones while the session
/// [runs](is_active), those at its end afterwards. A `current` of 0 is not known yet: it can.
pub fn reward_eligible(header: &SessionHeader, current: Height, params: &SharedParams) -> bool {
    current.0 <= 0 || current < grace_end(params, Height(header.session_end_block_height)) - 1
}

/// The first field in which two headers differ. The id alone proves nothing about the others, and
/// the chain compares all five when a proof comes.
pub fn differing_field(ours: &SessionHeader, theirs: &SessionHeader) -> Option<&'static str> {
    let fields = [
        (
            "application_address",
            ours.application_address == theirs.application_address,
        ),
        ("service_id", ours.service_id == theirs.service_id),
        ("session_id", ours.session_id == theirs.session_id),
        (
            "session_start_block_height",
            ours.session_start_block_height == theirs.session_start_block_height,
        ),
        (
            "session_end_block_height",
            ours.session_end_block_height == theirs.session_end_block_height,
        ),
    ];
    fields.into_iter().find_map(|(name, same)| (!same).then_some(name))
}

/// Whether two headers agree in all five fields.
pub fn same_header(ours: &SessionHeader, theirs: &SessionHeader) -> bool {
    ours == theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(start: i64, end: i64) -> SessionHeader {
        SessionHeader {
            application_address: "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".into(),
            service_id: "svc1".into(),
            session_id: "id".into(),
            session_start_block_height: start,
            session_end_block_height: end,
        }
    }

    fn params(length: u64, grace: u64) -> SharedParams {
        SharedParams {
            num_blocks_per_session: length,
            grace_period_end_offset_blocks: grace,
            session_grid_anchor_height: 1,
            session_number_at_anchor: 1,
            ..Default::default()
        }
    }

    #[test]
    fn session_of_one_block_is_refused() {
        assert_eq!(basic_header(&header(5, 5)), Err(HeaderError::End));
        assert_eq!(basic_header(&header(0, 5)), Err(HeaderError::Start));
        assert_eq!(basic_header(&header(1, 2)), Ok(()));
    }

    #[test]
    fn header_names_its_first_fault() {
        let faulty = |change: fn(&mut SessionHeader)| {
            let mut header = header(1, 10);
            change(&mut header);
            basic_header(&header)
        };
        assert_eq!(
            faulty(|h| h.application_address.clear()),
            Err(HeaderError::Application(AddressError::Empty))
        );
        assert_eq!(faulty(|h| h.session_id.clear()), Err(HeaderError::SessionId));
        assert_eq!(
            faulty(|h| h.service_id = "a.b".into()),
            Err(HeaderError::Service(ServiceIdError))
        );
    }

    #[test]
    fn heights_far_from_the_current_one_are_implausible() {
        assert!(plausible_heights(&header(1, 10), Height(10_010)));
        assert!(!plausible_heights(&header(1, 10), Height(10_011)));
        assert!(plausible_heights(&header(10_001, 10_010), Height(1)));
        assert!(!plausible_heights(&header(10_002, 10_011), Height(1)));
        assert!(!plausible_heights(&header(1, 10_002), Height(5)));
    }

    #[test]
    fn any_near_end_is_plausible_while_the_height_is_not_known() {
        assert!(plausible_heights(&header(i64::MAX - 1, i64::MAX), Height(0)));
        assert!(!plausible_heights(&header(i64::MIN, i64::MAX), Height(0)));
    }

    #[test]
    fn relay_in_the_last_block_of_grace_is_accepted_and_after_it_refused() {
        let (header, params) = (header(1, 10), params(10, 2));
        assert_eq!(target_height(&header, Height(0), &params), Ok(Height(1)));
        assert_eq!(target_height(&header, Height(10), &params), Ok(Height(1)));
        assert_eq!(target_height(&header, Height(12), &params), Ok(Height(10)));
        let expired = Expired {
            grace_end: Height(12),
            current: Height(13),
        };
        assert_eq!(target_height(&header, Height(13), &params), Err(expired));
    }

    #[test]
    fn reward_ends_two_blocks_before_grace_does() {
        let (header, params) = (header(1, 10), params(10, 3));
        let eligible = |height| reward_eligible(&header, Height(height), &params);
        assert_eq!([0, 11, 12, 13].map(eligible), [true, true, false, false]);
    }

    #[test]
    fn header_with_the_true_id_and_a_forged_end_differs() {
        let (ours, forged) = (header(1, 10), header(1, 20));
        assert!(!same_header(&ours, &forged));
        assert_eq!(differing_field(&ours, &forged), Some("session_end_block_height"));
        assert_eq!(differing_field(&ours, &ours), None);
    }
}
