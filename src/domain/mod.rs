//! The ground: the words of Grantkeep as types, each checked where it is made.
//!
//! Nothing here does I/O, reads a clock or knows who calls. A value of one of these types is known to be well formed.

mod deed;
mod email;
mod event;
mod id;
mod names;
mod rate;
mod refusal;
mod scopes;
mod secret;
mod time;

pub use deed::{Action, Actor, Deed, HandoutRecords, Origin, Who};
pub use email::{EmailAddress, InvalidEmail};
pub use event::{Event, EventKind};
pub use id::{
    ApiKeyId, AttemptId, BASE62, ConnectionId, DataKeyId, GrantId, Id, InstanceId, LineId, MailId, MemberId,
    SessionId, TenantId, is_base62,
};
pub use names::{Account, EndUserId, ProviderId};
pub use rate::Rate;
pub use refusal::{ReauthorizationReason, Refusal, SessionFault};
pub use scopes::{KeyScope, KeyScopes, Scopes};
pub use secret::{
    AccessToken, AuthorizationCode, ClientSecret, CodeVerifier, Password, RefreshToken, Secret, Ticket,
};
pub use time::{Timestamp, parse_duration, whole_millis};
