//! A door between a server and its Redis that can be held at a named step: a request that is not let through, or one whose
//! answer is kept back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Which step is held, and on which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Redis never hears of it.
    Before,
    /// Redis has done it, and the server never hears of that.
    After,
}

#[derive(Default)]
struct State {
    step: Option<(&'static str, Side)>,
    hit: bool,
}

/// Listens on a port of its own. What is held stays held.
#[derive(Clone)]
pub struct Door {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Door {
    /// Leads to that port of this machine.
    pub fn to(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("an address").port();
        let door = Self { state: Arc::default(), port };
        let accepting = door.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", redis)) else { continue };
                accepting.join(client, server);
            }
        });
        door
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Holds the next request that has this word in it.
    pub fn hold(&self, word: &'static str, side: Side) {
        *self.state.lock().expect("no panic") = State { step: Some((word, side)), hit: false };
    }

    /// True once something is held.
    pub fn holds(&self) -> bool {
        self.state.lock().expect("no panic").hit
    }

    fn join(&self, client: TcpStream, server: TcpStream) {
        let held = Arc::new(Mutex::new(false));
        let (mut up_from, mut up_to) =
            (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        let (door, gate) = (self.clone(), Arc::clone(&held));
        std::thread::spawn(move || {
            pump(&mut up_from, |chunk| {
                match door.passes(chunk) {
                    None => {}
                    Some(Side::Before) => return Ok(()),
                    Some(Side::After) => *gate.lock().expect("no panic") = true,
                }
                up_to.write_all(chunk)
            });
            drop(up_to.shutdown(Shutdown::Both));
        });
        let (mut down_from, mut down_to) = (server, client);
        std::thread::spawn(move || {
            pump(&mut down_from, |chunk| {
                if *held.lock().expect("no panic") { Ok(()) } else { down_to.write_all(chunk) }
            });
            drop(down_to.shutdown(Shutdown::Both));
        });
    }

    /// Which side holds this chunk; none lets it pass. One request is held, and all that come after it on its connection.
    fn passes(&self, chunk: &[u8]) -> Option<Side> {
        let mut state = self.state.lock().expect("no panic");
        let (word, side) = state.step.filter(|_| !state.hit)?;
        let found = chunk.windows(word.len()).any(|window| window == word.as_bytes());
        if !found {
            return None;
        }
        state.hit = true;
        Some(side)
    }
}

fn pump(from: &mut TcpStream, mut pass: impl FnMut(&[u8]) -> std::io::Result<()>) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if pass(&buffer[..read]).is_err() {
            return;
        }
    }
}
