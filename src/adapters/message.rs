//! One mail as RFC 5322 text, the same for every way it leaves.

use crate::ports::{Chance, ChanceExt, Clock, Mail, MailError};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use std::time::{Duration, SystemTime};

/// The sender in the configuration is not one.
#[derive(Debug, thiserror::Error)]
#[error("mail.from is not a sender that mails can carry: {0}")]
pub struct BadSender(String);

/// Reads an address, or `Name <address>`.
pub(super) fn sender(text: &str) -> Result<Mailbox, BadSender> {
    text.parse().map_err(|error: lettre::address::AddressError| BadSender(error.to_string()))
}

/// Puts a mail together, with its date and its id from the ports.
pub(super) fn message(
    mail: &Mail,
    from: &Mailbox,
    clock: &dyn Clock,
    chance: &dyn Chance,
) -> Result<Message, MailError> {
    let refused = |error: &dyn std::error::Error| MailError::Permanent(error.to_string());
    let to = mail.to.as_str().parse().map_err(|error: lettre::address::AddressError| refused(&error))?;
    let since_1970 = Duration::from_millis(u64::try_from(clock.now().as_millis()).unwrap_or(0));
    let id = format!("<{}@{}>", chance.base62(22), from.email.domain());
    let built = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(mail.subject.as_str())
        .date(SystemTime::UNIX_EPOCH + since_1970)
        .message_id(Some(id))
        .multipart(
            // Readers show the last form that they can (RFC 2046 section 5.1.4). The boundary is by chance, so that no text
            // can hold it.
            MultiPart::alternative()
                .boundary(chance.base62(30))
                .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
                .singlepart(part(ContentType::TEXT_HTML, &mail.html)),
        );
    let mut message = built.map_err(|error| refused(&error))?;
    // So that no holiday notice answers it (RFC 3834 section 5).
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
    Ok(message)
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    SinglePart::builder().header(kind).body(body(text))
}

/// As it stands wherever mail allows it: lines up to 998 printable ASCII characters (RFC 5322 section 2.1.1). The library
/// encodes every line over 76, and then the link in it can neither be read in a file nor clicked in a poor mail reader.
fn body(text: &str) -> Body {
    let plain =
        |line: &str| line.len() <= 998 && line.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b));
    if text.lines().all(plain) {
        let lines = text.lines().collect::<Vec<_>>().join("\r\n") + "\r\n";
        Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        // Named, since the library takes control characters for plain ones.
        let encoded = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable);
        encoded.unwrap_or_else(|_| Body::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_mail_cannot_carry_is_encoded() {
        for (text, plain) in [
            ("a\nb\n".to_owned(), true),
            ("x".repeat(998), true),
            ("x".repeat(999), false),
            ("Grüße".to_owned(), false),
            ("a\0b".to_owned(), false),
            ("a\rb".to_owned(), false),
        ] {
            assert_eq!(body(&text).encoding() == ContentTransferEncoding::SevenBit, plain, "{text:?}");
        }
        assert_eq!(body("a\nb\r\nc").into_vec(), b"a\r\nb\r\nc\r\n");
    }
}
