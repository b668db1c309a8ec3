//! The provider of the model: what it gave, what was spent, and who is using what at this moment.

use super::world::ModelClock;
use grantkeep::domain::Timestamp;
use grantkeep::ports::{Clock, OutboundRequest, OutboundResponse};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long an access token lives.
pub const LIFE: Duration = Duration::from_secs(30);
/// How long a spent refresh token works on where there is a grace: longer than anything befalls a case.
pub const GRACE: Duration = Duration::from_hours(2);

/// What a provider does with a refresh token that it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It stays good.
    Kept,
    /// It is spent, and works on for a while: the same successor again, or one more.
    Grace { same: bool },
    /// It is spent; after an unknown outcome it is tried all the same.
    Retried,
    /// It is spent, and a second use of it ends the whole grant; after an unknown outcome it is not tried.
    Careful,
}

impl Manner {
    /// The provider's file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Kept => concat!(include_str!("model.toml"), "rotation = \"none\"\n"),
            Self::Grace { .. } => {
                concat!(include_str!("model.toml"), "rotation = \"grace\"\ngrace = \"2h\"\n")
            }
            Self::Retried => {
                concat!(include_str!("model.toml"), "rotation = \"strict\"\non_unknown = \"retry\"\n")
            }
            Self::Careful => {
                concat!(include_str!("model.toml"), "rotation = \"strict\"\non_unknown = \"reauthorize\"\n")
            }
        }
    }

    /// True where a spent token is of no use.
    pub fn spends(self) -> bool {
        matches!(self, Self::Retried | Self::Careful)
    }
}

struct Given {
    /// Of which grant it is.
    grant: usize,
    spent_at: Option<Timestamp>,
    successor: Option<String>,
}

/// A request from when it is sent until its sender has heard, or has given up.
struct Use {
    token: String,
    /// Monotonic.
    until: Duration,
    number: usize,
}

#[derive(Default)]
struct State {
    refresh: HashMap<String, Given>,
    /// Access tokens: when they end, and of which grant they are.
    access: HashMap<String, (Timestamp, usize)>,
    grants: usize,
    live: Vec<Use>,
    count: usize,
    late: usize,
    /// Grants of which a token was used a second time where that ends them.
    ended: HashSet<usize>,
    wrong: Vec<String>,
}

/// The provider of one case.
pub struct Provider {
    manner: Manner,
    clock: Arc<ModelClock>,
    state: Mutex<State>,
}

impl Provider {
    /// It has given nothing yet.
    pub fn new(manner: Manner, clock: Arc<ModelClock>) -> Self {
        Self { manner, clock, state: Mutex::default() }
    }

    /// Gives a new grant, whose access token is about to end: its number, its access token and its refresh token.
    pub fn connect(&self) -> (usize, String, String) {
        let end = self.clock.now().plus(Duration::from_secs(1));
        self.with(|state| {
            let grant = state.grants;
            state.grants += 1;
            let access = format!("access-{}", state.access.len());
            let refresh = format!("refresh-{}", state.refresh.len());
            state.access.insert(access.clone(), (end, grant));
            state.refresh.insert(refresh.clone(), Given { grant, spent_at: None, successor: None });
            (grant, access, refresh)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }

    /// A request leaves its sender, who waits so long for an answer. What else is under way with the same token is wrong.
    pub fn sent(&self, token: &str, waits: Duration) -> usize {
        let now = self.clock.monotonic();
        self.with(|state| {
            state.live.retain(|one| one.until > now);
            if state.live.iter().any(|one| one.token == token) {
                state.wrong.push(format!("two live uses of {token} at {now:?}"));
            }
            state.count += 1;
            let number = state.count;
            state.live.push(Use { token: token.to_owned(), until: now + waits, number });
            number
        })
    }

    /// A request leaves a sender that has stood still since it last looked at its clock, and no client can help it.
    pub fn sent_late(&self) {
        self.with(|state| state.late += 1);
    }

    /// How many such there were.
    pub fn late(&self) -> usize {
        self.with(|state| state.late)
    }

    /// Its sender has heard.
    pub fn heard(&self, number: usize) {
        self.with(|state| state.live.retain(|one| one.number != number));
    }

    /// The refresh token in a request.
    pub fn token_of(request: &OutboundRequest) -> String {
        let body = request.body.as_ref().expect("a refresh has a body");
        let mut pairs = url::form_urlencoded::parse(body.text.expose().as_bytes());
        pairs.find(|(name, _)| name == "refresh_token").expect("a refresh token").1.into_owned()
    }

    /// A request has arrived, and takes effect.
    pub fn answer(&self, token: &str) -> OutboundResponse {
        let now = self.clock.now();
        self.with(|state| match self.successor(state, token, now) {
            Some((grant, refresh)) => {
                let access = format!("access-{}", state.access.len());
                state.access.insert(access.clone(), (now.plus(LIFE), grant));
                let given = json!({
                    "access_token": access, "refresh_token": refresh, "token_type": "Bearer",
                    "expires_in": LIFE.as_secs(),
                });
                response(200, &given.to_string())
            }
            None => response(400, r#"{"error":"invalid_grant"}"#),
        })
    }

    /// The refresh token that is given for that one, if any is, and of which grant it is.
    fn successor(&self, state: &mut State, token: &str, now: Timestamp) -> Option<(usize, String)> {
        let next = format!("refresh-{}", state.refresh.len());
        let given = state.refresh.get_mut(token)?;
        let grant = given.grant;
        if self.manner == Manner::Kept {
            return Some((grant, token.to_owned()));
        }
        let again = given.spent_at.is_some();
        let in_grace = given.spent_at.is_none_or(|at| now.since(at) < GRACE);
        match self.manner {
            Manner::Grace { same: true } if again && in_grace => {
                return Some((grant, given.successor.clone()?));
            }
            Manner::Grace { .. } if !in_grace => return None,
            Manner::Retried if again => return None,
            Manner::Careful if again => {
                state.wrong.push(format!("{token} was used a second time"));
                state.ended.insert(grant);
            }
            _ => {}
        }
        if state.ended.contains(&grant) {
            return None;
        }
        given.spent_at = given.spent_at.or(Some(now));
        given.successor = Some(next.clone());
        state.refresh.insert(next.clone(), Given { grant, spent_at: None, successor: None });
        Some((grant, next))
    }

    /// When an access token ends, and of which grant it is; none where it was never given.
    pub fn knows(&self, access: &str) -> Option<(Timestamp, usize)> {
        self.with(|state| state.access.get(access).copied())
    }

    /// True where a refresh token would bring no other.
    pub fn is_spent(&self, refresh: &str) -> bool {
        self.with(|state| state.refresh.get(refresh).is_none_or(|given| given.spent_at.is_some()))
    }

    /// Requests that were sent.
    pub fn requests(&self) -> usize {
        self.with(|state| state.count)
    }

    /// What should not have happened.
    pub fn wrong(&self) -> Vec<String> {
        self.with(|state| state.wrong.clone())
    }
}

/// A whole answer.
pub fn response(status: u16, body: &str) -> OutboundResponse {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    OutboundResponse { status, headers, body: body.as_bytes().to_vec() }
}
