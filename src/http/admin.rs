//! The operator's port: is the process up, should it get requests, and its numbers.

use super::Ready;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{HttpResponse, Responder};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longer than this, a store that hangs is one that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the operator's port works with.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(super) ready: Arc<Ready>,
    /// Set when the stop begins.
    pub(super) draining: Arc<AtomicBool>,
}

pub(super) fn configure(app: &mut ServiceConfig) {
    app.route("/healthz", get().to(healthz))
        .route("/readyz", get().to(readyz))
        .route("/metrics", get().to(metrics));
}

async fn healthz() -> impl Responder {
    "ok\n"
}

async fn readyz(admin: Data<Admin>) -> HttpResponse {
    let unready = |why: &'static str| HttpResponse::ServiceUnavailable().body(why);
    if admin.draining.load(Ordering::SeqCst) {
        return unready("draining\n");
    }
    match tokio::time::timeout(PATIENCE, (admin.ready)()).await {
        Ok(true) => HttpResponse::Ok().body("ok\n"),
        Ok(false) | Err(_) => unready("the store does not answer\n"),
    }
}

async fn metrics(admin: Data<Admin>) -> HttpResponse {
    let text = (admin.metrics)();
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(text)
}
