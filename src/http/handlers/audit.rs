//! The audit trail.

use super::{Answer, Call, Page, json};
use crate::accounts::Caller;
use crate::domain::{Action, EndUserId, InstanceId, ProviderId, Refusal, Timestamp};
use crate::http::body::Limit;
use crate::http::cursor;
use crate::vault::{AuditFilter, AuditRecord};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    action: Option<String>,
    outcome: Option<String>,
    provider: Option<ProviderId>,
    end_user: Option<EndUserId>,
    connection: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct ActorAnswer<'a> {
    r#type: &'a str,
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct RecordAnswer<'a> {
    id: String,
    time: Timestamp,
    actor: ActorAnswer<'a>,
    address: Option<&'a str>,
    action: &'a str,
    /// What it was done to: `provider`, `end_user`, `connection` and the like.
    #[serde(flatten)]
    about: &'a BTreeMap<String, String>,
    outcome: &'a str,
    request_id: Option<&'a str>,
    instance: &'a InstanceId,
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
