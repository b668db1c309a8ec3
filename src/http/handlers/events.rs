//! Events: what a tenant is told of its connections and integrations.

use super::{Answer, Call, Description, Page, Tag, json};
use crate::accounts::Caller;
use crate::domain::{EndUserId, EventKind, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::Limit;
use crate::http::cursor;
use crate::http::openapi::{EventWord, ReasonWord};
use crate::vault::{EventFilter, EventRecord};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only events of this kind.
    #[schema(value_type = Option<EventWord>)]
    r#type: Option<String>,
    /// Only those at this provider.
    provider: Option<ProviderId>,
    /// Only those of this end user's connections.
    end_user: Option<EndUserId>,
    /// Only those of this connection.
    connection: Option<String>,
    /// Only those after the event of this id: the last one you have seen.
    #[schema(pattern = "^[0-9]+-[0-9]+$")]
    after: Option<String>,
    /// How many items a page has at most.
    #[serde(default)]
    limit: Limit,
    /// The `next_cursor` of an earlier answer; wins over `after`.
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// What an event is about. What does not belong to its kind is absent.
#[derive(Serialize, ToSchema)]
#[schema(as = EventData)]
struct DataAnswer<'a> {
    /// At which provider.
    provider: &'a str,
    /// Which connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user: Option<&'a str>,
    /// Which of the end user's accounts; empty: the one without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    /// Of which generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// `connection.created`: the connection was there before, under this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnected: Option<bool>,
    /// `connection.reauthorization_required`: why.
    #[schema(value_type = Option<ReasonWord>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// What went wrong: the provider's own code, or a word of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// `connection.scopes_reduced`: what was granted before and is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Scopes>,
    /// `connection.expiring`: when the grant ends unless the end user connects again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reauthorize_by: Option<&'a str>,
    /// `integration.misconfigured`: the client id that the provider does not take.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
struct EventAnswer<'a> {
    /// Its own id. Ids only grow: `after` goes on behind one.
    id: &'a str,
    /// What happened.
    #[schema(value_type = EventWord)]
    r#type: &'static str,
    /// When, by the store's clock.
    time: Timestamp,
    /// To what.
    data: DataAnswer<'a>,
}

impl<'a> EventAnswer<'a> {
    fn of(event: &'a EventRecord) -> Self {
        let text = |name: &str| event.about.get(name).map(String::as_str);
        Self {
            id: &event.id,
            r#type: event.kind.as_str(),
            time: event.time,
            data: DataAnswer {
                provider: text("provider").unwrap_or_default(),
                connection: text("connection"),
                end_user: text("end_user"),
                account: text("account"),
                generation: text("generation").and_then(|number| number.parse().ok()),
                reconnected: text("reconnected").map(|word| word == "true"),
                reason: text("reason"),
                error: text("error"),
                lost: text("lost").map(|scopes| Scopes::split(scopes, &[' '])),
                reauthorize_by: text("reauthorize_by"),
                client_id: text("client_id"),
            },
        }
    }
}

impl ListQuery {
    fn filter(&self) -> Result<EventFilter, Refusal> {
        let unknown = || {
            let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            Refusal::field("type", format!("must be one of {}", known.join(", ")))
        };
        let kind =
            self.r#type.as_deref().map(|word| EventKind::parse(word).ok_or_else(unknown)).transpose()?;
        let about = [
            ("provider", self.provider.as_ref().map(ToString::to_string)),
            ("end_user", self.end_user.as_ref().map(|user| user.as_str().to_owned())),
            ("connection", self.connection.clone()),
        ];
        Ok(EventFilter {
            kind,
            about: about.into_iter().filter_map(|(name, what)| Some((name, what?))).collect(),
        })
    }

    /// The id to go on after.
    fn after(&self) -> Result<Option<String>, Refusal> {
        match &self.cursor {
            Some(cursor) => cursor::position(cursor).map(Some),
            None => Ok(self.after.clone()),
        }
    }
}

fn no_event() -> Refusal {
    Refusal::field("after", "must be the id of an event")
}

/// `GET /v1/events`: the oldest first. A page may have fewer items than its limit and go on all the same.
pub(super) async fn list(caller: Caller, call: Call) -> Answer {
    let query: ListQuery = call.query()?;
    let (filter, after) = (query.filter()?, query.after()?);
    let page =
        call.broker().read_events(caller.authority(), &filter, after.as_deref(), query.limit.0).await?;
    let not_one = || if query.cursor.is_some() { cursor::not_one() } else { no_event() };
    let (found, next) = page.ok_or_else(not_one)?;
    // A key that is for some providers is told nothing of the others.
    let provider = |event: &EventRecord| event.about.get("provider").and_then(|id| ProviderId::parse(id));
    let visible = found
        .iter()
        .filter(|event| provider(event).is_some_and(|provider| caller.may_use(&provider).is_ok()));
    let items: Vec<EventAnswer<'_>> = visible.map(EventAnswer::of).collect();
    json(StatusCode::OK, &Page { items, next_cursor: next.as_deref().map(cursor::of) })
}

pub(super) fn list_described() -> Description {
    Description::new(Tag::Events, "Read what happened")
        .detail(
            "The oldest first. Remember the id of the last event you have dealt with, and ask for what came `after` it: so \
             nothing is missed, and nothing comes twice. A page may hold fewer items than its limit and still go on. A key \
             limited to providers sees nothing of the others.",
        )
        .query::<ListQuery>()
        .lists::<EventAnswer>("A page of events.")
        .refuses([cursor::not_one()])
}
