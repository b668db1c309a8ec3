//! How single values are written. Errors say what is accepted; those of secrets quote nothing.

use crate::domain::{EmailAddress, Rate, Secret, parse_duration};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{MailRoute, MasterKey, StoreUrl};

/// An address to listen on.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let text = if text == "localhost" { "127.0.0.1" } else { text };
    text.parse().map_err(|_| format!("`{text}` is not an IP address such as 127.0.0.1, 0.0.0.0 or ::1"))
}

/// A network, or a single address as the network that holds only it.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| single())
        .map_err(|_| format!("`{text}` is not an address or a network such as 10.0.0.0/8"))
}

/// A whole number within `least..=most`.
pub(super) fn number<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    move |text| match text.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from {least} to {most}")),
    }
}

/// A number of threads, where 0 is one for each core.
pub(super) fn per_core(text: &str) -> Result<usize, String> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    number(0, 1024)(text).map(|count| if count == 0 { cores() } else { count })
}

/// True or false.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

/// A span of time longer than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|span| match span {
        Duration::ZERO => Err(format!("`{text}` is no time at all: it must be longer")),
        _ => Ok(span),
    })
}

/// A number of bytes, `64KiB` or `1MiB`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is not a size such as 65536, 64KiB or 1MiB");
    let unit = |suffix: &str, factor| text.strip_suffix(suffix).map(|digits| (digits.trim_end(), factor));
    let (digits, factor) = unit("KiB", 1024).or_else(|| unit("MiB", 1024 * 1024)).unwrap_or((text, 1));
    let count: usize = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// A folder.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must be a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// True where a host can only be this machine.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// An origin: https, or http on loopback; nothing but scheme, host and port.
pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "must be a URL such as https://vault.example.com".to_owned())?;
    let Some(host) = url.host() else {
        return Err("has no host: must be a URL such as https://vault.example.com".to_owned());
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        "https" | "http" if !bare || !anonymous => {
            Err("must be scheme, host and port, nothing else, such as https://vault.example.com".to_owned())
        }
        "http" if !is_loopback(&host) => Err(format!(
            "http is for loopback only, and {host} is not: browsers would send cookies and codes in the clear; use https"
        )),
        "https" | "http" => Ok(url),
        scheme => Err(format!("`{scheme}` is neither https nor http")),
    }
}

/// Where records live. The rest of a Redis URL is judged by its adapter.
pub(super) fn store_url(secret: &Secret) -> Result<StoreUrl, String> {
    const ACCEPTED: &str = "must be embedded:<folder>, redis://<host>, redis-sentinel://<hosts>/<master> or \
                            redis-cluster://<hosts>; with TLS rediss://, rediss-sentinel:// or rediss-cluster://";
    if let Some(path) = secret.expose().strip_prefix("embedded:") {
        return folder(path).map(StoreUrl::Embedded).map_err(|_| "embedded: needs a folder".to_owned());
    }
    let (scheme, rest) = secret.expose().split_once("://").ok_or(ACCEPTED)?;
    let sentinel = scheme.ends_with("-sentinel");
    match scheme {
        "redis" | "redis-sentinel" | "redis-cluster" if !rest.is_empty() => {
            Ok(StoreUrl::Redis { url: secret.clone(), tls: false, sentinel })
        }
        "rediss" | "rediss-sentinel" | "rediss-cluster" if !rest.is_empty() => {
            Ok(StoreUrl::Redis { url: secret.clone(), tls: true, sentinel })
        }
        _ => Err(ACCEPTED.to_owned()),
    }
}

/// Certificates in PEM, out of the file of that name; nothing where there is no name.
pub(super) fn certificates(path: &str) -> Result<Option<String>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("`{path}` cannot be read: {error}"))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(Some(text))
    } else {
        Err(format!("`{path}` holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"))
    }
}

/// Where mails go.
pub(super) fn mail_url(secret: &Secret) -> Result<MailRoute, String> {
    const ACCEPTED: &str = "must be outbox:<folder>, smtp://[user:password@]<host>[:port][?tls=required] or smtps://…; special characters \
         in user and password are percent-encoded";
    if let Some(path) = secret.expose().strip_prefix("outbox:") {
        return folder(path).map(MailRoute::Outbox).map_err(|_| "outbox: needs a folder".to_owned());
    }
    let url = Url::parse(secret.expose()).map_err(|_| ACCEPTED.to_owned())?;
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    let query = matches!((url.scheme(), url.query()), (_, None) | ("smtp", Some("tls=required")));
    let whole = matches!(url.path(), "" | "/") && query && url.fragment().is_none();
    // One without the other is a mistake, and lettre would send neither.
    let pair = url.username().is_empty() == url.password().is_none();
    if matches!(url.scheme(), "smtp" | "smtps") && host && whole && pair {
        Ok(MailRoute::Smtp(secret.clone()))
    } else {
        Err(ACCEPTED.to_owned())
    }
}

/// A sender: an address, or a name and an address in angle brackets.
pub(super) fn sender(text: &str) -> Result<String, String> {
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text),
    };
    let plain = !name.contains(|c: char| c.is_control() || "<>\"\\@,;:".contains(c));
    if plain && EmailAddress::parse(address).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not an address such as no-reply@acme.example or `Acme <no-reply@acme.example>`"
        ))
    }
}

/// How lines of the log look: true for JSON.
pub(super) fn json(text: &str) -> Result<bool, String> {
    match text {
        "pretty" => Ok(false),
        "json" => Ok(true),
        _ => Err(format!("`{text}` is neither pretty nor json")),
    }
}

/// How much is logged.
pub(super) fn level(text: &str) -> Result<tracing::Level, String> {
    match text {
        "error" | "warn" | "info" | "debug" | "trace" => text.parse().map_err(|_| "no such level".to_owned()),
        _ => Err(format!("`{text}` is none of error, warn, info, debug, trace")),
    }
}

/// The address of a collector for traces.
pub(super) fn collector(text: &str) -> Result<Url, String> {
    const ACCEPTED: &str = "must be the whole address for traces, such as http://127.0.0.1:4318/v1/traces, without user and password (trace.headers is for credentials)";
    let url = Url::parse(text).map_err(|_| ACCEPTED.to_owned())?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    let whole = matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.path() != "/";
    if whole && anonymous { Ok(url) } else { Err(ACCEPTED.to_owned()) }
}

/// Headers, `<name>=<value>`, separated by commas or line ends.
pub(super) fn headers(secret: &Secret) -> Result<Vec<(String, Secret)>, String> {
    let lines = secret.expose().split([',', '\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let header = |(place, line): (usize, &str)| {
        let wrong =
            || format!("header {}: must be <name>=<value>, such as authorization=Bearer …", place + 1);
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim());
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let good = !name.is_empty() && name.bytes().all(token) && !value.is_empty();
        let sendable = value.bytes().all(|b| (b' '..=b'~').contains(&b));
        if good && sendable { Ok((name.to_lowercase(), Secret::new(value))) } else { Err(wrong()) }
    };
    lines.enumerate().map(header).collect()
}

/// A part of a whole, 0 to 1.
pub(super) fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| format!("`{text}` is not a number from 0 to 1, such as 0.05"))
}

/// So many in so long, or 0 for none.
pub(super) fn rate(text: &str) -> Result<Option<Rate>, String> {
    match text {
        "0" => Ok(None),
        _ => Rate::parse(text).map(Some).map_err(|wrong| format!("{wrong}, and not 0")),
    }
}

/// The name of a service.
pub(super) fn service(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_graphic() || c == ' ';
    if (1..=64).contains(&text.len()) && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err("must be a name of 1 to 64 characters, such as grantkeep".to_owned())
    }
}

/// The keyring: `<id>:<base64 of 32 bytes>`, separated by commas or line ends.
pub(super) fn master_keys(secret: &Secret) -> Result<Vec<MasterKey>, String> {
    let lines = secret.expose().split([',', '\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let mut keys: Vec<MasterKey> = Vec::new();
    for (place, line) in lines.enumerate() {
        let key = master_key(line).map_err(|problem| format!("key {}: {problem}", place + 1))?;
        if keys.iter().any(|other| other.id() == key.id()) {
            return Err(format!("key {}: the id `{}` is used twice", place + 1, key.id()));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(
            "a master key is needed: `grantkeep keys generate` makes one; set it here, in the variable \
                    GRANTKEEP_VAULT__MASTER_KEYS, or in a file that vault.master_keys_file names"
                .to_owned(),
        );
    }
    Ok(keys)
}

fn master_key(line: &str) -> Result<MasterKey, String> {
    // Copied by hand, the padding is easily lost; nothing is ambiguous without it.
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ACCEPTED: &str = "must be <id>:<base64 of 32 bytes>, as `grantkeep keys generate` prints it";
    let (id, encoded) = line.split_once(':').ok_or(ACCEPTED)?;
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if id.is_empty() || id.len() > 32 || !id.bytes().all(good) {
        return Err("its id must be 1 to 32 letters, digits, dashes and underscores".to_owned());
    }
    let decoded = GeneralPurpose::new(&STANDARD, LENIENT).decode(encoded).map(Zeroizing::new);
    let decoded = decoded.map_err(|_| format!("what follows `{id}:` is not base64; {ACCEPTED}"))?;
    match <[u8; 32]>::try_from(decoded.as_slice()) {
        Ok(bytes) => Ok(MasterKey { id: id.to_owned(), bytes: Zeroizing::new(bytes) }),
        Err(_) => Err(format!("`{id}` has {} bytes, not 32; {ACCEPTED}", decoded.len())),
    }
}
