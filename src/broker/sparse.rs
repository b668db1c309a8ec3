//! Lists of which a filter leaves little: what is rare should not cost its reader a request for each empty page.

use std::future::Future;

/// Pages in which nothing passes a filter, before an empty one is answered.
const IN_VAIN: usize = 20;

/// Some items and the position to go on from; none where the position asked for is none.
type Page<T> = Option<(Vec<T>, Option<String>)>;

/// The first page that has something in it, from that position on, or the last one looked at.
pub(super) async fn first_with_some<T, E, F>(
    after: Option<&str>,
    list: impl Fn(Option<String>) -> F,
) -> Result<Page<T>, E>
where
    F: Future<Output = Result<Page<T>, E>>,
{
    let mut page = list(after.map(str::to_owned)).await?;
    for _ in 0..IN_VAIN {
        let Some((found, Some(next))) = &page else { break };
        if !found.is_empty() {
            break;
        }
        page = list(Some(next.clone())).await?;
    }
    Ok(page)
}
