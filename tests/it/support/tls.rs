//! An authority of the tests' own, and a certificate of it for this machine's names.

use base64::prelude::{BASE64_STANDARD, Engine};
use std::path::Path;
use std::sync::LazyLock;

struct Papers {
    authority: Vec<u8>,
    own: Vec<u8>,
    key: Vec<u8>,
}

static PAPERS: LazyLock<Papers> = LazyLock::new(|| {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Grantkeep's tests");
    let der = authority.self_signed(&authority_key).expect("a certificate").der().to_vec();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut own = rcgen::CertificateParams::new(names).expect("parameters");
    own.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let own = own.signed_by(&key, &issuer).expect("a certificate");
    Papers { authority: der, own: own.der().to_vec(), key: key.serialize_der() }
});

/// What clients of the tests trust besides the machine's own authorities.
pub fn authority() -> reqwest::Certificate {
    reqwest::Certificate::from_der(&PAPERS.authority).expect("a certificate")
}

/// Writes `tls.crt` and `tls.key` for `localhost` and 127.0.0.1.
pub fn write_papers(folder: &Path) {
    let pem = |name: &str, der: &[u8]| {
        let text = BASE64_STANDARD.encode(der);
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
    };
    std::fs::write(folder.join("tls.crt"), pem("CERTIFICATE", &PAPERS.own)).expect("a file");
    std::fs::write(folder.join("tls.key"), pem("PRIVATE KEY", &PAPERS.key)).expect("a file");
}
