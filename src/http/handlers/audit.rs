//! The audit trail.

use super::{Answer, Call, Description, Page, Tag, json};
use crate::accounts::Caller;
use crate::domain::{Action, EndUserId, InstanceId, ProviderId, Refusal, Timestamp};
use crate::http::body::Limit;
use crate::http::cursor;
use crate::http::openapi::ActionWord;
use crate::vault::{AuditFilter, AuditRecord};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only deeds of this kind.
    #[schema(value_type = Option<ActionWord>)]
    action: Option<String>,
    /// Only those that ended so: `ok`, or the code of a refusal.
    outcome: Option<String>,
    /// Only those at this provider.
    provider: Option<ProviderId>,
    /// Only those done to this end user's connections and sessions.
    end_user: Option<EndUserId>,
    /// Only those done to this connection.
    connection: Option<String>,
    /// Not before this time.
    #[schema(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[schema(value_type = Option<Timestamp>)]
    until: Option<String>,
    /// How many items a page has at most.
    #[serde(default)]
    limit: Limit,
    /// The `next_cursor` of an earlier answer.
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
struct ActorAnswer<'a> {
    /// The kind of actor: `api_key`, `member`, `browser`, `link`, `operator` or `grantkeep`.
    r#type: &'a str,
    /// Which one of its kind, where there are several.
    #[schema(required)]
    id: Option<&'a str>,
}

/// One thing that was done, or tried.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct RecordAnswer<'a> {
    /// Its own id: instance and sequence.
    id: String,
    /// When.
    time: Timestamp,
    /// Who.
    actor: ActorAnswer<'a>,
    /// The network address it came from, where it is known.
    #[schema(required)]
    address: Option<&'a str>,
    /// What.
    #[schema(value_type = ActionWord)]
    action: &'a str,
    /// What it was done to: `provider`, `end_user`, `connection` and the like.
    #[serde(flatten)]
    about: &'a BTreeMap<String, String>,
    /// `ok`, or the code of the refusal.
    outcome: &'a str,
    /// The request it came of, where it came of one.
    #[schema(required)]
    request_id: Option<&'a str>,
    /// Which server process wrote it down.
    instance: &'a InstanceId,
    /// Its place in the trail of that process, from 1.
    sequence: u64,
}

impl<'a> RecordAnswer<'a> {
    fn of(record: &'a AuditRecord) -> Self {
        Self {
            id: format!("{}-{}", record.instance, record.sequence),
            time: record.time,
            actor: ActorAnswer { r#type: &record.actor, id: record.actor_id.as_deref() },
            address: record.address.as_deref(),
            action: &record.action,
            about: &record.about,
            outcome: &record.outcome,
            request_id: record.request_id.as_deref(),
            instance: &record.instance,
            sequence: record.sequence,
        }
    }
}

impl ListQuery {
    fn filter(&self) -> Result<AuditFilter, Refusal> {
        if self.action.as_deref().is_some_and(|word| Action::parse(word).is_none()) {
            let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
            return Err(Refusal::field("action", format!("must be one of {}", known.join(", "))));
        }
        let about = [
            ("provider", self.provider.as_ref().map(ToString::to_string)),
            ("end_user", self.end_user.as_ref().map(|user| user.as_str().to_owned())),
            ("connection", self.connection.clone()),
        ];
        Ok(AuditFilter {
            action: self.action.clone(),
            outcome: self.outcome.clone(),
            about: about.into_iter().filter_map(|(name, what)| Some((name, what?))).collect(),
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
        })
    }
}

fn time(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let wrong = || Refusal::field(field, "must be an RFC 3339 time such as 2027-01-31T12:00:00Z");
    text.map(|text| Timestamp::parse(text).ok_or_else(wrong)).transpose()
}

/// `GET /v1/audit`: the newest first. A page may have fewer items than its limit and go on all the same.
pub(super) async fn list(caller: Caller, call: Call) -> Answer {
    let query: ListQuery = call.query()?;
    let filter = query.filter()?;
    let after = query.cursor.as_deref().map(cursor::position).transpose()?;
    let page = call.broker().read_audit(caller.authority(), &filter, after.as_deref(), query.limit.0).await?;
    let (found, next) = page.ok_or_else(cursor::not_one)?;
    // A key that is for some providers is told nothing of the others.
    let provider = |record: &AuditRecord| record.about.get("provider").and_then(|id| ProviderId::parse(id));
    let visible = found
        .iter()
        .filter(|record| provider(record).is_none_or(|provider| caller.may_use(&provider).is_ok()));
    let items: Vec<RecordAnswer<'_>> = visible.map(RecordAnswer::of).collect();
    json(StatusCode::OK, &Page { items, next_cursor: next.as_deref().map(cursor::of) })
}

pub(super) fn list_described() -> Description {
    Description::new(Tag::Audit, "Read the audit trail")
        .detail(
            "The newest first. A page may hold fewer items than its limit and still go on. A key limited to providers sees \
             nothing of the others. That it was read is recorded, too.",
        )
        .query::<ListQuery>()
        .lists::<RecordAnswer>("A page of records.")
        .refuses([cursor::not_one()])
}
