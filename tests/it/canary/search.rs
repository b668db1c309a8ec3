//! Looks for secrets in bytes, in every form in which one is likely to leak.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// A secret that was really in use.
#[derive(Clone)]
pub struct Canary {
    pub name: &'static str,
    pub value: Vec<u8>,
    /// Where it may be heard.
    pub may: &'static [&'static str],
}

/// Shorter ones would be found where they are not.
const SHORTEST: usize = 12;
const KEY: usize = 8;

/// Finds any of many secrets in one pass.
pub struct Search {
    patterns: Vec<(usize, &'static str, Vec<u8>)>,
    canaries: Vec<Canary>,
    by_key: HashMap<[u8; KEY], Vec<usize>>,
    starts: Vec<bool>,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("it fits");
        text
    })
}

fn fully_percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").expect("it fits");
        text
    })
}

/// As base64 that holds it somewhere in the middle; what its neighbours decide is left out.
fn within_base64(engine: &impl Engine, value: &[u8], before: usize) -> Vec<u8> {
    let whole = engine.encode([&vec![0; before], value].concat());
    let known = (before + value.len()) / 3 * 4;
    whole.as_bytes()[[0, 2, 3][before]..known].to_vec()
}

fn forms(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("as it is", value.to_vec()),
        ("in hex", hex(value).into_bytes()),
        ("in capital hex", hex(value).to_uppercase().into_bytes()),
        ("percent-encoded", form_urlencoded::byte_serialize(value).collect::<String>().into_bytes()),
        ("percent-encoded in full", fully_percent(value).into_bytes()),
        ("as a Rust string", value.escape_ascii().to_string().into_bytes()),
        ("as a list of numbers", format!("{value:?}").trim_matches(['[', ']']).as_bytes().to_vec()),
    ];
    for before in 0..3 {
        forms.push(("in base64", within_base64(&BASE64_STANDARD_NO_PAD, value, before)));
        forms.push(("in base64url", within_base64(&BASE64_URL_SAFE_NO_PAD, value, before)));
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let units: Vec<u16> = text.encode_utf16().collect();
        forms.push(("in UTF-16LE", units.iter().flat_map(|unit| unit.to_le_bytes()).collect()));
        forms.push(("in UTF-16BE", units.iter().flat_map(|unit| unit.to_be_bytes()).collect()));
    }
    forms
}

impl Search {
    pub fn new(canaries: &[Canary]) -> Self {
        let mut search = Self {
            patterns: vec![],
            canaries: canaries.to_vec(),
            by_key: HashMap::new(),
            starts: vec![false; 1 << 16],
        };
        for (whose, canary) in canaries.iter().enumerate() {
            assert!(canary.value.len() >= SHORTEST, "{} is too short to be looked for", canary.name);
            for (form, pattern) in forms(&canary.value) {
                let key: [u8; KEY] = pattern[..KEY].try_into().expect("it is long enough");
                search.starts[start(&key)] = true;
                search.by_key.entry(key).or_default().push(search.patterns.len());
                search.patterns.push((whose, form, pattern));
            }
        }
        search
    }

    /// What was found: the secret and its form. A secret may be found where it `may` be.
    pub fn found(&self, place: &str, bytes: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(KEY).enumerate() {
            if !self.starts[start(window)] {
                continue;
            }
            let patterns = self.by_key.get(window).map(Vec::as_slice).unwrap_or_default();
            for (whose, form, pattern) in patterns.iter().map(|n| &self.patterns[*n]) {
                let canary = &self.canaries[*whose];
                if bytes[at..].starts_with(pattern) && !canary.may.contains(&place) {
                    found.insert(format!("{place}: the {} {form}", canary.name));
                }
            }
        }
        found
    }
}

fn start(window: &[u8]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}
