//! Two servers on listeners that are bound already: the public one and the operator's.

use super::admin::{self, Admin};
use super::door::{Place, serve};
use super::routes::{allowed, at, paths};
use super::{HttpState, State, handlers};
use crate::admission::{Admission, AdmissionSettings};
use crate::domain::Refusal;
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::Method;
use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{App, HttpRequest, HttpServer, guard, web};
use ipnet::IpNet;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// Longer than the idle time-out of common load balancers (60 s), so that it is they who close.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// For the head of a request to arrive, and for a connection to close.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// For bytes of ours to be taken by the other side (RFC 5482): ends half-open connections and readers that stopped.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// Connections that may wait to be taken; the standard library asks for 128.
const BACKLOG: i32 = 1024;

/// How requests of the public are taken.
#[derive(Clone, Debug)]
pub struct DoorSettings {
    /// Who is let in, and how often.
    pub admission: AdmissionSettings,
    /// The largest request body in bytes.
    pub body_limit: usize,
    /// What browsers see.
    pub public_url: Url,
    /// Whose `Forwarded` headers count.
    pub trusted_proxies: Vec<IpNet>,
}

/// How the servers listen.
#[derive(Debug)]
pub struct HttpSettings {
    /// How the public's requests are taken.
    pub door: DoorSettings,
    /// The public port, bound.
    pub public: TcpListener,
    /// The operator's port, bound.
    pub admin: TcpListener,
    /// Threads that serve the public port.
    pub workers: usize,
    /// How long a stop waits for requests under way.
    pub shutdown_timeout: Duration,
}

/// Both servers, running; to be awaited until they end.
pub struct Running {
    public: Server,
    admin: Server,
    stopper: Stopper,
}

/// Stops both servers.
#[derive(Clone)]
pub struct Stopper {
    public: ServerHandle,
    admin: ServerHandle,
    draining: Arc<AtomicBool>,
}

impl Running {
    /// What stops them.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until stopped.
    pub async fn ended(self) -> io::Result<()> {
        let (public, admin) = tokio::join!(self.public, self.admin);
        public.and(admin)
    }
}

impl Stopper {
    /// `/readyz` says no from now on; the public port takes nothing new and finishes what it has; then the admin port ends.
    pub async fn stop(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.public.stop(true).await;
        self.admin.stop(true).await;
    }
}

impl Stopper {
    /// Closes both ports at once, whatever is under way.
    pub fn abandon(&self) {
        // The order is given at once; the futures only wait for it to be carried out.
        drop(self.public.stop(false));
        drop(self.admin.stop(false));
    }
}

/// Starts both servers. Must be called on a runtime. Signals are not theirs to handle.
pub fn run(settings: HttpSettings, state: HttpState) -> io::Result<Running> {
    for listener in [&settings.public, &settings.admin] {
        let socket = socket2::SockRef::from(listener);
        socket.set_tcp_user_timeout(Some(SEND_PATIENCE))?;
        socket.listen(BACKLOG)?;
    }
    let draining = Arc::new(AtomicBool::new(false));
    let operators = Data::new(Admin {
        metrics: Arc::clone(&state.metrics),
        ready: Arc::clone(&state.ready),
        draining: Arc::clone(&draining),
    });
    let routes = routes(settings.door, state);
    let public = HttpServer::new(move || App::new().configure(routes.clone()))
        .workers(settings.workers)
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_PATIENCE)
        .client_disconnect_timeout(HEAD_PATIENCE)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(settings.public)?
        .run();
    let admin = HttpServer::new(move || App::new().app_data(operators.clone()).configure(admin::configure))
        .workers(1)
        .client_request_timeout(HEAD_PATIENCE)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(settings.admin)?
        .run();
    let stopper = Stopper { public: public.handle(), admin: admin.handle(), draining };
    Ok(Running { public, admin, stopper })
}

/// The routes of the public port, for an application with a port or without one. All copies share what is counted.
pub fn routes(door: DoorSettings, state: HttpState) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let shared = Data::new(State {
        admission: Admission::new(&door.admission, Arc::clone(&state.clock)),
        accounts: state.accounts,
        broker: state.broker,
        clock: state.clock,
        chance: state.chance,
        body_limit: door.body_limit,
        trusted_proxies: door.trusted_proxies,
        https: door.public_url.scheme() == "https",
        origin: door.public_url.origin().ascii_serialization(),
    });
    move |app| {
        app.app_data(shared.clone());
        configure(app);
    }
}

/// Every route of the table, and an answer for what is not in it.
fn configure(app: &mut ServiceConfig) {
    for path in paths() {
        let mut resource = web::resource(path);
        for route in at(path) {
            let place = Place::Route(route, handlers::of(route.name));
            let mut methods = guard::Any(guard::Method(route.method.clone()));
            if route.takes_head() {
                methods = methods.or(guard::Method(Method::HEAD));
            }
            resource = resource.route(web::route().guard(methods).to(answer(place)));
        }
        let wrong_method = Refusal::MethodNotAllowed { allowed: allowed(path) };
        app.service(resource.default_service(web::route().to(answer(Place::Nowhere(wrong_method)))));
    }
    let nothing = Refusal::NotFound { what: "a route of this path".to_owned() };
    app.default_service(web::route().to(answer(Place::Nowhere(nothing))));
}

fn answer(
    place: Place,
) -> impl Fn(HttpRequest, Data<State>, Payload) -> std::pin::Pin<Box<dyn Future<Output = actix_web::HttpResponse>>>
+ Clone
+ 'static {
    move |request, state, payload| Box::pin(serve(place.clone(), state, request, payload))
}
