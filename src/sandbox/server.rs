//! The running sandbox: an HTTP server on a thread of its own, so that any runtime can start one.

use super::clients::Clients;
use super::control::{self, Control};
use super::{SandboxOptions, authorize, pages, token};
use crate::ports::{Chance, Clock};
use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A sandbox that runs until it is stopped or dropped.
pub struct Sandbox {
    base_url: String,
    control: Arc<Control>,
    server: ServerHandle,
}

/// What every handler sees.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) issuer: String,
    pub(super) control: Arc<Control>,
    controllable: bool,
}

impl Sandbox {
    /// Listens before it returns. Fails where the port cannot be had.
    pub async fn start(
        options: SandboxOptions,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((options.host, options.port))?;
        let base_url = format!("http://{}", reachable(listener.local_addr()?));
        let clients = Clients::new(options.clients, options.any_client);
        let control = Arc::new(Control::new(options.behaviour, clients, clock, chance));
        let issuer = options.issuer.unwrap_or_else(|| base_url.clone());
        let site = Site { issuer, control: Arc::clone(&control), controllable: options.control };
        let (tell, started) = oneshot::channel();
        std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || actix_web::rt::System::new().block_on(run(listener, site, tell)))?;
        let gone = |_| io::Error::other("the thread of the sandbox ended before it served");
        let server = started.await.map_err(gone)??;
        Ok(Self { base_url, control, server })
    }

    /// `http://host:port`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The switches and counters.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Stops listening and closes all connections; returns when that is done.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The order is given at once; the future only waits for it to be carried out.
        drop(self.server.stop(false));
    }
}

/// Where a browser on this machine finds a server that listens on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn run(listener: TcpListener, site: Site, tell: oneshot::Sender<io::Result<ServerHandle>>) {
    // A starter that went away meanwhile has dropped its end, and nobody could stop the server any more.
    match serve(listener, site) {
        Ok(server) => {
            if tell.send(Ok(server.handle())).is_ok() {
                // It ends when it is told to, in no other way.
                drop(server.await);
            }
        }
        Err(error) => drop(tell.send(Err(error))),
    }
}

fn serve(listener: TcpListener, site: Site) -> io::Result<Server> {
    let app = move || {
        let app = App::new()
            .app_data(web::Data::new(site.clone()))
            .service(
                web::resource("/authorize")
                    .route(web::get().to(authorize::open))
                    .route(web::post().to(authorize::decide)),
            )
            .service(web::resource("/token").route(web::post().to(token::token)))
            .service(web::resource("/revoke").route(web::post().to(token::revoke)))
            .service(web::resource("/me").route(web::get().to(token::me)))
            .service(web::resource("/sandbox.css").route(web::get().to(pages::style)))
            .service(
                web::resource("/.well-known/oauth-authorization-server")
                    .route(web::get().to(token::metadata)),
            );
        if site.controllable { app.service(control::routes()) } else { app }
    };
    let server = HttpServer::new(app).workers(1).tcp_nodelay(true).disable_signals();
    // Otherwise the delayed answer of a client that went away would go on counting as under way.
    let server = server.h1_allow_half_closed(false);
    Ok(server.listen(listener)?.run())
}
