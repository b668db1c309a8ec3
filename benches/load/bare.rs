//! What it is compared with: an actix handler that reads the body and answers bytes that lie ready.

use actix_web::rt::System;
use actix_web::web::{Bytes, post};
use actix_web::{App, HttpResponse, HttpServer};
use std::io;
use std::net::TcpListener;
use std::time::Duration;

/// Serves as the real server does, says where on standard output, and ends with the standard input.
pub fn serve(bytes: usize, workers: usize) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(|| {
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        std::process::exit(0);
    });
    let body = Bytes::from("x".repeat(bytes));
    let answer = move |_: Bytes| {
        let answer = HttpResponse::Ok().content_type("application/json").body(body.clone());
        async move { answer }
    };
    System::new().block_on(async {
        HttpServer::new(move || App::new().route("/get-access-token", post().to(answer.clone())))
            .workers(workers)
            .tcp_nodelay(true)
            .keep_alive(Duration::from_secs(75))
            .listen(listener)?
            .run()
            .await
    })
}
