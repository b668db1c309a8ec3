//! The schemas of field types that are not structs: ids, names, times, secrets, and what comes as one or as many.
//!
//! They stand here and not beside their types, because the ground knows no documents. What a pattern cannot say (bytes instead
//! of characters, a time that must lie ahead) its description does.

use super::words::{KeyScopeWord, reference};
use crate::domain::{
    AccessToken, Account, ApiKeyId, ClientSecret, CodeVerifier, ConnectionId, EndUserId, Id, InstanceId,
    Password, ProviderId, RefreshToken, Scopes, SessionId, TenantId, Ticket, Timestamp,
};
use crate::http::body::{Limit, Seconds};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

/// Scopes of a provider (RFC 6749 section 3.3), with spaces between them; none is a list too.
const SCOPES: &str = r"^[\t\n\r !#-\[\]-~]*$";

/// Provider scopes as they come in: an array, or one string with spaces.
pub(in crate::http) struct GivenScopes;
/// Scopes of an API key as they come in: an array, or one string with spaces.
pub(in crate::http) struct KeyScopesGiven;
/// URLs that end users may return to: one, or a list.
pub(in crate::http) struct ReturnUrls;
/// Providers: one, or a list.
pub(in crate::http) struct ProviderIds;
/// Addresses or networks: one, or a list.
pub(in crate::http) struct Networks;

macro_rules! schemas {
    ($($type:ty as $name:literal = $schema:expr;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::from(Object::with_type(Type::String)).description(Some(description))
}

fn number(description: &str) -> ObjectBuilder {
    ObjectBuilder::from(Object::with_type(Type::Integer)).description(Some(description)).minimum(Some(0))
}

fn matching(pattern: &str, description: &str) -> ObjectBuilder {
    text(description).pattern(Some(pattern))
}

fn id<T: Id>(description: &str) -> ObjectBuilder {
    matching(&format!("^[0-9A-Za-z]{{{}}}$", T::LENGTH), description)
}

fn secret(description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
}

/// One, or a list of so many at least and at most.
fn one_or_many(one: impl Into<RefOr<Schema>>, many: (usize, usize), description: &str) -> AnyOfBuilder {
    let one = one.into();
    let many = ArrayBuilder::new().items(one.clone()).min_items(Some(many.0)).max_items(Some(many.1));
    AnyOfBuilder::new().item(one).item(many).description(Some(description))
}

schemas! {
    TenantId as "TenantId" = id::<TenantId>("A tenant's id.");
    ApiKeyId as "ApiKeyId" = id::<ApiKeyId>("The public part of an API key.");
    ConnectionId as "ConnectionId" = id::<ConnectionId>("A connection's id; stays when the end user connects again.");
    InstanceId as "InstanceId" = id::<InstanceId>("The server process that wrote a record.");
    SessionId as "SessionId" = id::<SessionId>("A session's public id, good for logs.");
    ProviderId as "ProviderId" = matching("^[a-z0-9][a-z0-9-]*$", "A provider's id, such as `slack`.")
        .min_length(Some(1))
        .max_length(Some(64))
        .examples(["sandbox"]);
    EndUserId as "EndUserId" = text("Your own id of a person: 1 to 255 bytes of UTF-8, kept byte for byte.")
        .min_length(Some(1))
        .max_length(Some(255))
        .examples(["user-42"]);
    Account as "Account" = text(
        "A label of yours, where one end user connects several accounts of one provider; 255 bytes of UTF-8 at most.",
    )
    .max_length(Some(255));
    Scopes as "Scopes" = ArrayBuilder::new()
        .items(text("One scope, as the provider writes it."))
        .unique_items(true)
        .description(Some("Scopes of a provider, in order, none twice."));
    GivenScopes as "GivenScopes" = AnyOfBuilder::new()
        .item(matching(SCOPES, "Scopes with spaces between them.").max_length(Some(8192)))
        .item(ArrayBuilder::new().items(matching(SCOPES, "One scope, or several with spaces.").max_length(Some(8192))))
        .description(Some("Scopes of a provider: an array, or one string with spaces; 8,192 bytes at most."));
    KeyScopesGiven as "KeyScopesGiven" = AnyOfBuilder::new()
        .item(ArrayBuilder::new().items(reference::<KeyScopeWord>()).min_items(Some(1)).max_items(Some(32)))
        .item(matching(&key_scopes(), "Scopes with spaces between them."))
        .description(Some("Scopes of an API key: an array, or one string with spaces."));
    ReturnUrls as "ReturnUrls" = one_or_many(
        text("https, or http on loopback.")
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .max_length(Some(2048))
            .examples(["http://localhost:3000/connected"]),
        (1, 50),
        "Where end users return to in your product: one URL or up to 50. No fragment, no user name, none of the \
         parameters `status`, `completion`, `code`, `connection`.",
    );
    ProviderIds as "ProviderIds" = one_or_many(reference::<ProviderId>(), (0, 64), "One provider, or a list of them.");
    Networks as "Networks" = one_or_many(
        matching("^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$", "An address or a network.")
            .examples(["192.0.2.0/24"]),
        (0, 64),
        "One address or network, or a list of them.",
    );
    Timestamp as "Timestamp" = text("RFC 3339; answers are in UTC.")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2027-01-31T12:00:00Z"]);
    Seconds as "Seconds" = number("A span in whole seconds.");
    Limit as "Limit" = number("Items on a page.").minimum(Some(1)).maximum(Some(100)).default(Some(50.into()));
    Password as "Password" = secret(
        "15 characters or more, 1,024 bytes at most, not one that guessers try first. No rules of composition.",
    )
    .min_length(Some(15))
    .max_length(Some(1024));
    ClientSecret as "ClientSecret" = secret("As the provider gave it to you. Kept sealed, never shown.")
        .min_length(Some(1))
        .max_length(Some(2048));
    CodeVerifier as "CodeVerifier" = secret("RFC 7636 section 4.1: the verifier of the challenge you gave.");
    Ticket as "Ticket" = secret("A value of 256 bits, base64url, out of a link that Grantkeep made.");
    AccessToken as "AccessToken" = secret("An access token of the provider (RFC 6749 section 1.4).");
    RefreshToken as "RefreshToken" = secret("A refresh token of the provider (RFC 6749 section 1.5).");
}

/// Key scopes as one string: one or more, spaces between them.
fn key_scopes() -> String {
    let names: Vec<&str> = crate::domain::KeyScope::ALL.iter().map(|scope| scope.as_str()).collect();
    let one = names.join("|");
    format!("^({one})( +({one}))*$")
}
