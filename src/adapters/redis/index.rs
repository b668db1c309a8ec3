//! An index in Redis: a sorted set, all scores 0, whose elements are *pages*: members with a zero byte between two, the least
//! in front and the others in no order.
//!
//! An element of its own costs some 100 bytes beside the member it names, and a connection has four. So an index that has
//! grown keeps ten to thirty members in an element; a small one has each alone, and is what anybody would expect to see. The
//! pages' order is that of their first members, so the page a member belongs to is the last that begins at or before it.
//! `apply.lua` keeps them so, and no page ever begins earlier than it did, which is what makes reading in several steps safe.

use super::RedisStore;
use super::asking::Question;
use super::fault;
use crate::ports::store::{Key, StoreError};
use std::borrow::Cow;

/// Between two members of a page.
const BETWEEN: u8 = 0;

/// Pages asked for at once to begin with: of a small index most, of a large one some thousand members.
const FIRST_PAGES: usize = 32;

/// The member as it stands in a page, without the byte that stands between two: 0 and 1 become two bytes that keep the order.
pub(super) fn written(member: &str) -> Cow<'_, [u8]> {
    if member.bytes().all(|byte| byte > 1) {
        return Cow::Borrowed(member.as_bytes());
    }
    let pair = |byte| if byte > 1 { vec![byte] } else { vec![1, byte + 1] };
    Cow::Owned(member.bytes().flat_map(pair).collect())
}

/// The member that [`written`] wrote so.
fn read(written: &[u8]) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, rest.as_slice()) {
            (1, [second @ 1..=2, ..]) => {
                rest.next();
                second - 1
            }
            (1, _) => return Err(fault::shape("ZRANGEBYLEX")),
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| fault::shape("ZRANGEBYLEX"))
}

/// Members that begin with `prefix` and come after `after`, `limit` at most.
pub(super) async fn scan(
    store: &RedisStore,
    index: &Key,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let wanted =
        |member: &String| member.starts_with(prefix) && after.is_none_or(|after| member.as_str() > after);
    let begin = written(after.filter(|after| *after >= prefix).unwrap_or(prefix)).into_owned();
    let end = end_of(&written(prefix));
    // What sorts behind every page that begins with the member where it begins, and before all others.
    let just_after = bound(b'(', &[&begin, &[1][..]].concat());
    let mut first = Question::new("ZREVRANGEBYLEX", index);
    first.arg(&just_after).arg("-").arg("LIMIT").arg(0).arg(1);

    // The page they begin in first: should it be cut in two meanwhile, its second half is among those that follow.
    let mut count = limit.min(FIRST_PAGES);
    let mut answers = store.read(&[first, following(index, &just_after, &end, count)]).await?.into_iter();
    let mut answer = || pages(answers.next().ok_or_else(|| fault::shape("a pipeline"))?);
    let (first, mut more) = (answer()?, answer()?);
    let mut members = members_of(&first)?;
    loop {
        members.extend(members_of(&more)?);
        members.retain(wanted);
        members.sort_unstable();
        members.dedup();
        let Some(last) = more.last().filter(|_| more.len() == count && members.len() < limit) else { break };
        count = limit.min(count.saturating_mul(4));
        more = pages(store.read_one(following(index, &bound(b'(', last), &end, count)).await?)?;
    }
    members.truncate(limit);
    Ok(members)
}

fn members_of(pages: &[Vec<u8>]) -> Result<Vec<String>, StoreError> {
    pages.iter().flat_map(|page| page.split(|byte| *byte == BETWEEN)).map(read).collect()
}

fn following<'a>(index: &'a Key, from: &[u8], end: &[u8], count: usize) -> Question<'a> {
    let mut question = Question::new("ZRANGEBYLEX", index);
    question.arg(from).arg(end).arg("LIMIT").arg(0).arg(i64::try_from(count).unwrap_or(i64::MAX));
    question
}

fn pages(answer: redis::Value) -> Result<Vec<Vec<u8>>, StoreError> {
    redis::from_redis_value(fault::value(answer)?).map_err(|_| fault::shape("ZRANGEBYLEX"))
}

fn bound(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], bytes].concat()
}

/// Just past everything that begins with `prefix`: its last byte is raised, which UTF-8 always allows (no byte is 0xff).
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = bound(b'(', prefix);
    match end.last_mut() {
        Some(last) if !prefix.is_empty() => *last = last.saturating_add(1),
        _ => end = b"+".to_vec(),
    }
    end
}
