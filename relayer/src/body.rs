//! Reading a body whole, within a limit.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

use crate::refusal::Refusal;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is over the limit.
    TooLarge,
    /// The peer broke off.
    Broken,
}

/// What a body may reserve before its bytes are there, whatever length it announces.
const LARGEST_RESERVE: usize = 1 << 20;

/// How long a request's body may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTime {
    pub whole: Duration,
    /// Until its next piece.
    pub stall: Duration,
}

/// Reads up to `limit` bytes, and what came after them. A body that came in one piece, as small ones do, is not copied; a
/// table of no trailers allocates nothing.
pub(crate) async fn collect_with_trailers(mut body: Incoming, limit: usize) -> Result<(Bytes, HeaderMap), BodyError> {
    let mut trailers = HeaderMap::new();
    let bytes = collect_data(&mut body, limit, Duration::MAX, &mut trailers).await?;
    Ok((bytes, trailers))
}

async fn collect_data(
    body: &mut Incoming,
    limit: usize,
    stall: Duration,
    trailers: &mut HeaderMap,
) -> Result<Bytes, BodyError> {
    let mut next = async |body: &mut Incoming| match tokio::time::timeout(stall, next(body, trailers)).await {
        Ok(data) => data,
        Err(_) => Err(BodyError::Broken),
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge);
    }
    let Some(first) = next(body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(body).await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(announced.min(LARGEST_RESERVE).max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(data) = piece {
        if data.len() > limit - whole.len() {
            return Err(BodyError::TooLarge);
        }
        whole.extend_from_slice(&data);
        piece = next(body).await?;
    }
    Ok(whole.freeze())
}

/// Reads a request's body of up to `limit` bytes.
pub(crate) async fn read(mut incoming: Incoming, limit: usize, time: BodyTime) -> Result<Bytes, Refusal> {
    let mut trailers = HeaderMap::new();
    let body = collect_data(&mut incoming, limit, time.stall, &mut trailers);
    match tokio::time::timeout(time.whole, body).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BodyError::TooLarge)) => Err(Refusal::BodyTooLarge),
        Ok(Err(BodyError::Broken)) | Err(_) => Err(Refusal::UnreadableBody),
    }
}

/// The next piece that is not empty; trailers are dropped.
pub(crate) async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    next(body, &mut HeaderMap::new()).await
}

async fn next(body: &mut Incoming, trailers: &mut HeaderMap) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| BodyError::Broken)?.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => return Ok(Some(data)),
            Err(other) => *trailers = other.into_trailers().unwrap_or_default(),
        }
    }
    Ok(None)
}
