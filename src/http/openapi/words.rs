//! Texts of which there are only so many, as enumerations. Handlers write them as text; these name them for the document,
//! by `#[schema(value_type = …)]`, and take them from where they are defined.

use crate::broker::Revocation;
use crate::domain::{Action, EventKind, KeyScope, ReauthorizationReason};
use crate::vault::Finish;
use std::borrow::Cow;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident as $shown:literal = $words:expr;)+) => {$(
        $(#[doc = $doc])+
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of($words).description(Some(concat!($($doc),+).trim())).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($shown)
            }
        }
    )+};
}

fn one_of(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::from(Object::with_type(Type::String)).enum_values(Some(words))
}

/// The words of a kind, as another schema names them.
pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

words! {
    /// What was done, or tried.
    ActionWord as "AuditAction" = Action::ALL.iter().map(|action| action.as_str());

    /// What happened.
    EventWord as "EventType" = EventKind::ALL.iter().map(|kind| kind.as_str());

    /// What an API key may do.
    KeyScopeWord as "KeyScope" = KeyScope::ALL.iter().map(|scope| scope.as_str());

    /// Where a connection stands. `failing`: the last refresh failed and will be tried again.
    ConnectionStatus as "ConnectionStatus" = ["active", "failing", "reauthorization_required", "deleting"];

    /// Why a connection needs its end user again.
    ReasonWord as "ReauthorizationReason" = [
        ReauthorizationReason::Revoked,
        ReauthorizationReason::RefreshTokenExpired,
        ReauthorizationReason::RefreshOutcomeUnknown,
        ReauthorizationReason::ScopesReduced,
        ReauthorizationReason::IntegrationChanged,
    ].map(ReauthorizationReason::as_str);

    /// How a token came about. `fresh`: nothing was sent anywhere. `refreshed`: from a refresh just now. `failing`: refreshing
    /// fails at the moment, and the old token still lives. `unverified`: a refresh may have killed it. `stale_store`: the store
    /// does not answer, and this is what was known. `none`: there is no refresh token.
    RefreshState as "RefreshState" = ["fresh", "refreshed", "failing", "unverified", "stale_store", "none"];

    /// Who ends an authorization: the tenant's backend, with the end user of its own login session.
    FinishWord as "Finish" = [Finish::Backend, Finish::Page].map(Finish::as_str);

    /// What became of a grant at the provider: ended, nothing to end it with, refused or not reached, or an answer that was lost.
    RevocationWord as "Revocation" = [
        Revocation::Revoked,
        Revocation::Unsupported,
        Revocation::Failed,
        Revocation::Unknown,
    ].map(Revocation::as_str);
}
