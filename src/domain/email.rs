//! An address as it names a member: trimmed, NFC, IDNA, lower case; dots and plus parts are left alone.

use unicode_normalization::UnicodeNormalization;

/// A well-formed, normalized address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Why an address was not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be an e-mail address such as ada@example.com")]
pub struct InvalidEmail;

impl EmailAddress {
    /// Normalizes and checks. The longest address is 254 bytes (RFC 5321 section 4.5.3.1.3 with erratum 1690).
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text: String = text.trim().nfc().collect();
        let (local, host) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"@".contains(c);
        if local.is_empty() || local.contains(forbidden) {
            return Err(InvalidEmail);
        }
        let host = idna::domain_to_ascii_strict(host).map_err(|_| InvalidEmail)?;
        let labels_fine = host.split('.').all(|label| !label.is_empty()) && host.contains('.');
        // Again: lower case can bring together what has a composed form in lower case only.
        let local: String = local.to_lowercase().nfc().collect();
        let address = format!("{local}@{host}");
        // Counted in the form: lower case can be longer, and the form has to be an address itself.
        if !labels_fine || local.len() > 64 || address.len() > 254 {
            return Err(InvalidEmail);
        }
        Ok(Self(address))
    }

    /// The normalized address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_form() {
        let form = |text: &str| EmailAddress::parse(text).map(|e| e.to_string());
        assert_eq!(form(" Ada.L+x@Example.COM "), Ok("ada.l+x@example.com".into()));
        assert_eq!(form("jo@bücher.example"), Ok("jo@xn--bcher-kva.example".into()));
        assert_eq!(form("e\u{301}@example.com"), form("é@example.com"));
        // The form of a form is itself: the address verified is the one claimed, and the one logged in with.
        for text in
            ["\u{3aa}\u{301}@example.com", "\u{212a}@example.com", "İ@example.com", "ΟΔΟΣ@example.com"]
        {
            let once = form(text).unwrap();
            assert_eq!(form(&once), Ok(once.clone()), "{text}");
        }
        for count in 1..=65 {
            let text = format!("{}@example.com", "İ".repeat(count));
            assert!(form(&text).is_err() || form(&form(&text).unwrap()) == form(&text), "{count}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "a", "@b.c", "a@", "a@b", "a b@c.d", "a@b..c", "a\r\nbcc:x@c.d", "a@-.d", "<a@b.c>"] {
            assert_eq!(EmailAddress::parse(bad), Err(InvalidEmail), "{bad:?}");
        }
    }
}
