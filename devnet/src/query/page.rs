//! Pages of lists.

use bytes::Bytes;
use pocket_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use tonic::Status;

const DEFAULT_LIMIT: usize = 100;

/// One page of `all`, which are in the order of their unique keys.
pub fn page<T>(
    all: impl Iterator<Item = (Vec<u8>, T)>,
    request: Option<&PageRequest>,
) -> Result<(Vec<T>, PageResponse), Status> {
    let request = request.cloned().unwrap_or_default();
    if request.offset > 0 && !request.key.is_empty() {
        return Err(Status::invalid_argument(
            "invalid request, either offset or key is expected, got both",
        ));
    }
    let mut all: Vec<_> = all.collect();
    if request.reverse {
        all.reverse();
    }
    let total = all.len() as u64;
    let first = if request.key.is_empty() {
        usize::try_from(request.offset).unwrap_or(usize::MAX)
    } else {
        all.iter()
            .position(|(key, _)| key[..] == request.key[..])
            .unwrap_or(all.len())
    };
    let limit = if request.limit == 0 {
        DEFAULT_LIMIT
    } else {
        usize::try_from(request.limit).unwrap_or(usize::MAX)
    };
    let counted = request.count_total || (request.limit == 0 && request.key.is_empty());
    let mut rest = all.into_iter().skip(first);
    let items = rest.by_ref().take(limit).map(|(_, item)| item).collect();
    let next_key = rest.next().map_or_else(Bytes::new, |(key, _)| Bytes::from(key));
    Ok((
        items,
        PageResponse {
            next_key,
            total: if counted { total } else { 0 },
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (Vec<u8>, u8)> {
        (0..5).map(|i| (vec![i], i))
    }

    #[test]
    fn following_the_next_key_visits_everything_once() {
        let mut request = PageRequest {
            limit: 2,
            ..PageRequest::default()
        };
        let mut seen = Vec::new();
        loop {
            let (items, response) = page(all(), Some(&request)).unwrap();
            seen.extend(items);
            if response.next_key.is_empty() {
                break;
            }
            request.key = response.next_key;
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn total_is_counted_only_on_request_or_by_default() {
        assert_eq!(page(all(), None).unwrap().1.total, 5);
        let limited = PageRequest {
            limit: 2,
            ..PageRequest::default()
        };
        assert_eq!(page(all(), Some(&limited)).unwrap().1.total, 0);
    }

    #[test]
    fn reverse_with_an_offset() {
        let request = PageRequest {
            offset: 1,
            reverse: true,
            ..PageRequest::default()
        };
        assert_eq!(page(all(), Some(&request)).unwrap().0, [3, 2, 1, 0]);
    }
}
