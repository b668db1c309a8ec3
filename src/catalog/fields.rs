//! Single values of a provider file: choices, durations, pointers, URLs, parameters. Each becomes its type or a fault.

use super::parts::{ClientAuth, HttpMethod, Pointer, Rename};
use super::reader::{At, Table, hint_for};
use super::template::Template;
use super::variables::is_name;
use crate::domain::parse_duration;
use std::collections::BTreeMap;
use std::time::Duration;

const METHODS: [(&str, HttpMethod); 5] = [
    ("POST", HttpMethod::Post),
    ("GET", HttpMethod::Get),
    ("PUT", HttpMethod::Put),
    ("PATCH", HttpMethod::Patch),
    ("DELETE", HttpMethod::Delete),
];
const AUTHS: [(&str, ClientAuth); 5] = [
    ("basic", ClientAuth::Basic),
    ("basic_raw", ClientAuth::BasicRaw),
    ("post", ClientAuth::Post),
    ("bearer", ClientAuth::Bearer),
    ("none", ClientAuth::None),
];

impl Table<'_> {
    /// One of a few words; `None` only after a fault.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let Some(at) = self.text(key) else { return Some(default) };
        let found = choices.iter().find(|(word, _)| *word == at.value);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let what = format!("`{}` cannot be `{}`", self.name_of(key), at.value);
            self.fault_at(&at, what, Some(&format!("one of {}", words.join(", "))));
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn method(&mut self) -> Option<HttpMethod> {
        self.choice("method", HttpMethod::Post, &METHODS)
    }

    pub(super) fn auth(&mut self, default: ClientAuth) -> Option<ClientAuth> {
        match self.text("auth").filter(|at| at.value == "private_key_jwt") {
            Some(at) => {
                let what =
                    format!("`{} = \"private_key_jwt\"` is not served by this version", self.name_of("auth"));
                self.fault_at(&at, what, None);
                None
            }
            None => self.choice("auth", default, &AUTHS),
        }
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let at = self.text(key)?;
        let duration = parse_duration(&at.value);
        if let Err(what) = &duration {
            self.fault_at(&at, format!("`{}`: {what}", self.name_of(key)), None);
        }
        duration.ok()
    }

    /// A JSON pointer; empty text says that there is none.
    pub(super) fn pointer(&mut self, key: &'static str, default: Option<&Pointer>) -> Option<Pointer> {
        match self.any_text(key) {
            Some(at) if at.value.is_empty() => None,
            Some(at) => self.checked_pointer(key, at),
            None => default.cloned(),
        }
    }

    pub(super) fn checked_pointer(&self, key: &str, at: At<String>) -> Option<Pointer> {
        // RFC 6901 section 3: `~` stands only before 0 and 1.
        let escapes = at.value.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if at.value.starts_with('/') && escapes {
            return Some(Pointer(at.value));
        }
        let what = format!("`{}` must be a JSON pointer, which begins with `/`", self.name_of(key));
        self.fault_at(&at, what, Some("such as /access_token"));
        None
    }

    pub(super) fn pointers(&mut self, key: &'static str) -> BTreeMap<String, Pointer> {
        let mut pointers = BTreeMap::new();
        for (name, at) in self.map(key) {
            self.check_name(&name, &at);
            if let Some(pointer) = self.checked_pointer(&format!("{key}.{name}"), at) {
                pointers.insert(name, pointer);
            }
        }
        pointers
    }

    pub(super) fn check_name<T>(&self, name: &str, at: &At<T>) {
        if !is_name(name) {
            self.fault_at(
                at,
                format!("`{name}` is not a name: letters, digits, `_` and `-`, 64 at most"),
                None,
            );
        }
    }

    /// A URL; empty text says that there is none.
    pub(super) fn url(&mut self, key: &'static str) -> Option<At<Template>> {
        let at = self.text(key)?;
        self.checked_url(key, at)
    }

    pub(super) fn required_url(&mut self, key: &'static str) -> Option<At<Template>> {
        let at = self.required_text(key)?;
        self.checked_url(key, at)
    }

    fn checked_url(&self, key: &str, at: At<String>) -> Option<At<Template>> {
        match Template::parse(&at.value) {
            Ok(value) => Some(At { value, span: at.span }),
            Err(what) => {
                self.fault_at(&at, format!("`{}` {what}", self.name_of(key)), None);
                None
            }
        }
    }

    /// Our names of parameters to theirs; what is not sent cannot be renamed, and what is exchanged cannot be dropped.
    pub(super) fn rename(&mut self, sent: &[&str]) -> Rename {
        let mut rename = Rename::new();
        for (name, at) in self.map("rename") {
            if !sent.contains(&name.as_str()) {
                let what = format!("`{}` cannot be renamed", self.name_of(&format!("rename.{name}")));
                self.fault_at(&at, what, Some(&hint_for(&name, sent)));
            } else if at.value.is_empty()
                && ["code", "refresh_token", "access_token"].contains(&name.as_str())
            {
                self.fault_at(&at, format!("`{name}` cannot be dropped: nothing would be exchanged"), None);
            }
            rename.insert(name, Some(at.value).filter(|theirs| !theirs.is_empty()));
        }
        rename
    }

    /// Further parameters; one that is sent anyway would stand there twice.
    pub(super) fn params(&mut self, sent: &[&str]) -> BTreeMap<String, String> {
        let params = self.map("params");
        for (name, at) in params.iter().filter(|(name, _)| sent.contains(&name.as_str())) {
            let what = format!("`{}` is sent anyway", self.name_of(&format!("params.{name}")));
            self.fault_at(at, what, Some("`rename` gives a parameter another name or drops it"));
        }
        values(params)
    }

    /// Headers, with names and values that HTTP takes (RFC 9110 section 5), and the placeholders that are `filled` in them.
    pub(super) fn headers(&mut self, filled: &[&str]) -> BTreeMap<String, String> {
        let headers = self.map("headers");
        for (name, at) in &headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let printable = at.value.bytes().all(|b| (0x20..=0x7e).contains(&b));
            if name.is_empty() || !name.bytes().all(token) || !printable {
                self.fault_at(at, format!("`{name}` is not a header with a printable value"), None);
            }
            self.check_filled(at, filled);
            let encodings = ["application/json", "application/x-www-form-urlencoded"];
            if name.eq_ignore_ascii_case("content-type") && !encodings.contains(&at.value.as_str()) {
                self.fault_at(
                    at,
                    format!("`{}` is not an encoding of bodies", at.value),
                    Some(&encodings.join(" or ")),
                );
            }
        }
        values(headers)
    }
}

impl Table<'_> {
    /// Headers and bodies are no URLs: what is in braces and not `known` would be sent as it stands.
    pub(super) fn check_filled(&self, at: &At<String>, known: &[&str]) {
        let holes = at.value.split('{').skip(1).filter_map(|behind| behind.split_once('}'));
        for (name, _) in holes.filter(|(name, _)| is_name(name) && !known.contains(name)) {
            self.fault_at(at, format!("nothing fills `{{{name}}}` here"), Some(&hint_for(name, known)));
        }
    }
}

/// The values without their places.
pub(super) fn values(map: BTreeMap<String, At<String>>) -> BTreeMap<String, String> {
    map.into_iter().map(|(name, at)| (name, at.value)).collect()
}
