//! The caller's own tenant: read, renamed, deleted.

use super::{Answer, Call, Description, Tag, json};
use crate::accounts::Caller;
use crate::broker::Deletion;
use crate::domain::{Refusal, TenantId, Timestamp};
use crate::vault::Tenant;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is to be another in a tenant. What is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantChange)]
struct ChangeTenantFields {
    /// The name shown to end users, on one line.
    #[schema(max_length = 80)]
    product: Option<String>,
}

/// That the tenant is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantDeletion)]
struct DeleteTenantFields {
    /// The tenant's id, so that a request that went astray deletes nothing.
    confirm: String,
}

/// The caller's own tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantAnswer<'a> {
    /// Its id.
    id: &'a TenantId,
    /// The name shown to end users; may be empty.
    product: &'a str,
    /// `active`, or `deleting`.
    status: &'static str,
    /// When it was made.
    created_at: Timestamp,
}

/// How far a deletion is.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedTenant)]
struct TenantDeletedAnswer<'a> {
    /// `deleted`, or `deleting` where it goes on by itself.
    status: &'static str,
    /// How many grants were ended at their providers, by outcome; absent where it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocations: Option<&'a BTreeMap<String, u64>>,
}

fn answer(tenant: &Tenant) -> Answer {
    let Tenant { id, product, status, created_at } = tenant;
    let answer = TenantAnswer { id, product, status: status.as_str(), created_at: *created_at };
    json(StatusCode::OK, &answer)
}

/// `GET /v1/tenant`.
pub(super) async fn show(caller: Caller, call: Call) -> Answer {
    answer(&call.accounts().tenant(&caller).await?)
}

/// `PATCH /v1/tenant`: what is not given stays.
pub(super) async fn change(caller: Caller, call: Call) -> Answer {
    let ChangeTenantFields { product } = call.fields()?;
    match product {
        Some(product) => answer(&call.accounts().rename_tenant(&caller, &product).await?),
        None => answer(&call.accounts().tenant(&caller).await?),
    }
}

/// `DELETE /v1/tenant`: 200 when all is gone, 202 where it goes on by itself.
pub(super) async fn delete(caller: Caller, call: Call) -> Answer {
    let DeleteTenantFields { confirm } = call.fields()?;
    caller.may_use_all()?;
    if confirm != caller.authority().tenant().as_str() {
        return Err(Refusal::field("confirm", "must be the id of the tenant: GET /v1/tenant tells it"));
    }
    match call.broker().delete_tenant(caller.authority()).await? {
        Deletion::Done(revocations) => {
            let answer = TenantDeletedAnswer { status: "deleted", revocations: Some(&revocations) };
            json(StatusCode::OK, &answer)
        }
        Deletion::UnderWay => {
            json(StatusCode::ACCEPTED, &TenantDeletedAnswer { status: "deleting", revocations: None })
        }
    }
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Account, "Read your tenant").answers::<TenantAnswer>(200, "The tenant.")
}

pub(super) fn change_described() -> Description {
    Description::new(Tag::Account, "Change your tenant")
        .detail("What is not given stays.")
        .body::<ChangeTenantFields>()
        .answers::<TenantAnswer>(200, "The tenant.")
        .refuses([Refusal::field(
            "product",
            "must be 80 characters at most, on one line, without control characters",
        )])
}

pub(super) fn delete_described() -> Description {
    Description::new(Tag::Account, "Delete your tenant and everything in it")
        .body::<DeleteTenantFields>()
        .answers::<TenantDeletedAnswer>(200, "All is gone.")
        .answers::<TenantDeletedAnswer>(202, "It goes on by itself.")
        .refuses([Refusal::field("confirm", "must be the id of the tenant: GET /v1/tenant tells it")])
}
