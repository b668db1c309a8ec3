//! The rules of the house, applied to one file at a time: what is wrong comes back as sentences.

use crate::table::{CRATES, EXCEPTIONS, MAY_ALLOW, MAY_NAME, NO_MACROS, OPENS_SECRETS, PROVES, TOWER, WING};
use crate::words::{self, Said};

/// Everything wrong with one file under `src`, each with file, line and a hint.
pub fn faults_of_source(file: &str, source: &str) -> Vec<String> {
    let home = modules_of(file);
    let room = room_of(file, &home);
    let mut faults = faults_of_any(file, source);
    let Some((_, may_name)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
        faults
            .push(format!("{file}: `{room}` is no room of the house; see MAY_NAME in tests/floors/table.rs"));
        return faults;
    };
    if !source.starts_with("//!") && !is_test(file) {
        faults.push(format!("{file}:1: begins with no `//!` that says what it is and what it may not know"));
    }
    let Ok(said) = words::of(source) else { return faults };
    let local = words::local_names(&said);
    let house = House { file, home: &home, room, may_name, local: &local };
    for one in &said {
        let fault = house
            .names_a_room(one)
            .or_else(|| house.names_a_crate(one))
            .or_else(|| house.opens(one))
            .or_else(|| house.proves(one));
        faults.extend(fault.map(|what| format!("{file}:{}: {what}", one.line)));
    }
    faults
}

/// What holds for tests as well.
pub fn faults_of_any(file: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.lines().count();
    if lines >= TOWER {
        faults.push(format!("{file}: is a tower of {lines} lines; split it along what it does"));
    }
    let said = match words::of(source) {
        Ok(said) => said,
        Err(fault) => return vec![format!("{file}: {fault}")],
    };
    for one in &said {
        let Some(last) = one.path.last() else { continue };
        let what = match last.as_str() {
            "allow" if one.place.attribute && !MAY_ALLOW.contains(&file) => {
                "`#[allow]` hides; say `#[expect(lint, reason = \"…\")]`".to_owned()
            }
            "ignore" if one.place.attribute => "a test that does not run is no test".to_owned(),
            name if one.called && NO_MACROS.contains(&name) => format!("`{name}!` has no place here"),
            _ => continue,
        };
        faults.push(format!("{file}:{}: {what}", one.line));
    }
    faults
}

/// `#[cfg(test)] mod tests;` in a file of its own.
fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// The modules a file is: `src/vault/keys.rs` is `vault::keys`.
fn modules_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    if matches!(inner, "lib" | "main") { vec![] } else { inner.split('/').map(String::from).collect() }
}

fn room_of<'a>(file: &str, home: &'a [String]) -> &'a str {
    match (home.first(), file) {
        (Some(room), _) => room,
        (None, "src/main.rs") => "main",
        (None, _) => "lib",
    }
}

/// One file as the rules see it.
struct House<'a> {
    file: &'a str,
    home: &'a [String],
    room: &'a str,
    may_name: &'a [&'a str],
    local: &'a [&'a str],
}

impl House<'_> {
    fn excepted(&self, what: &str) -> bool {
        EXCEPTIONS.iter().any(|(room, thing, _)| *room == self.room && *thing == what)
    }

    fn names_a_room(&self, one: &Said) -> Option<String> {
        let (room, rest) = self.below_the_root(one)?;
        let Some(room) = room.filter(|name| name.as_str() != "*" && name.as_str() != "self") else {
            return Some("names the whole crate; name the room".into());
        };
        if !MAY_NAME.iter().any(|(name, _)| name == room) {
            return Some(format!("`{room}` stands outside the rooms; see MAY_NAME in tests/floors/table.rs"));
        }
        // Unit tests stand on real parts: they may name the wing that fills in the ports.
        let for_a_test = *room == WING && (one.place.test || is_test(self.file));
        if *room == self.room || self.may_name.contains(&room.as_str()) || self.excepted(room) || for_a_test {
            return None;
        }
        Some(format!("`{}` may not name `{room}` (…{rest}): imports point down the floors", self.room))
    }

    /// For a path that starts at the crate's root or climbs to it: its first segment there, and how the path goes on.
    fn below_the_root<'p>(&self, one: &'p Said) -> Option<(Option<&'p String>, String)> {
        let climbs = one.path.iter().take_while(|part| *part == "super").count();
        let at = match one.path.first()?.as_str() {
            // `pub(crate)` says nothing of a room.
            "crate" | "grantkeep" if one.path.len() == 1 && !one.place.import => return None,
            "crate" | "grantkeep" => 1,
            "super" if climbs >= self.home.len() + one.place.depth => climbs,
            _ => return None,
        };
        Some((one.path.get(at), one.path.get(at..).unwrap_or_default().join("::")))
    }

    fn names_a_crate(&self, one: &Said) -> Option<String> {
        let first = one.path.first()?;
        let alone = one.path.len() == 1 && !one.place.import && !one.rooted;
        if alone || (!one.rooted && self.local.contains(&first.as_str())) {
            return None;
        }
        let path = one.path.join("::");
        let under = |name: &str| path == name || path.strip_prefix(name).is_some_and(|r| r.starts_with("::"));
        let (name, rooms) = CRATES.iter().find(|(name, _)| under(name))?;
        if rooms.contains(&self.room) || self.excepted(name) {
            return None;
        }
        Some(format!("`{name}` belongs in {}, not in `{}`", rooms.join(", "), self.room))
    }

    fn opens(&self, one: &Said) -> Option<String> {
        let opens = one.path.last()? == "expose" && !one.place.test && !is_test(self.file);
        let known =
            |place: &str| place == self.file || (place.ends_with('/') && self.file.starts_with(place));
        if !opens || OPENS_SECRETS.iter().any(|(place, _)| known(place)) {
            return None;
        }
        Some("opens a secret; say in OPENS_SECRETS (tests/floors/table.rs) where the plain text goes".into())
    }

    fn proves(&self, one: &Said) -> Option<String> {
        let proves = one.path.ends_with(&["Authority".to_owned(), "proven".to_owned()]);
        if !proves
            || one.place.test
            || is_test(self.file)
            || PROVES.iter().any(|(file, _)| *file == self.file)
        {
            return None;
        }
        Some("makes an authority; say in PROVES (tests/floors/table.rs) what was proven".into())
    }
}
