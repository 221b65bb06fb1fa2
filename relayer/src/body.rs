//! Reading a body whole, within a limit.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

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

/// Reads up to `limit` bytes. A body that came in one piece, as small ones do, is not copied.
pub(crate) async fn collect(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    collect_steadily(body, limit, Duration::MAX).await
}

/// Like [`collect`]; a body of which nothing comes for `stall` is broken.
pub(crate) async fn collect_steadily(mut body: Incoming, limit: usize, stall: Duration) -> Result<Bytes, BodyError> {
    let next = async |body: &mut Incoming| match tokio::time::timeout(stall, next_data(body)).await {
        Ok(data) => data,
        Err(_) => Err(BodyError::Broken),
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge);
    }
    let Some(first) = next(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(&mut body).await? else {
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
        piece = next(&mut body).await?;
    }
    Ok(whole.freeze())
}

/// The next piece that is not empty; trailers are dropped.
pub(crate) async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
