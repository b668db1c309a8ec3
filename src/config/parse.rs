//! How single values are written. Errors say what is accepted; those of secrets quote nothing.

use crate::domain::{EmailAddress, Secret, parse_duration};
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

/// Where records live.
pub(super) fn store_url(secret: &Secret) -> Result<StoreUrl, String> {
    const ACCEPTED: &str = "must be embedded:<folder>, redis://<host> or rediss://<host>";
    if let Some(path) = secret.expose().strip_prefix("embedded:") {
        return folder(path).map(StoreUrl::Embedded).map_err(|_| "embedded: needs a folder".to_owned());
    }
    let url = Url::parse(secret.expose()).map_err(|_| ACCEPTED.to_owned())?;
    match url.scheme() {
        "redis" | "rediss" if url.host().is_some() => Ok(StoreUrl::Redis(secret.clone())),
        "redis-cluster" | "redis-sentinel" => {
            Err(format!("{} is not served by this version; {ACCEPTED}", url.scheme()))
        }
        _ => Err(ACCEPTED.to_owned()),
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
    let decoded = decoded.map_err(|_| format!("`{id}` is not base64; {ACCEPTED}"))?;
    match <[u8; 32]>::try_from(decoded.as_slice()) {
        Ok(bytes) => Ok(MasterKey { id: id.to_owned(), bytes: Zeroizing::new(bytes) }),
        Err(_) => Err(format!("`{id}` has {} bytes, not 32; {ACCEPTED}", decoded.len())),
    }
}
