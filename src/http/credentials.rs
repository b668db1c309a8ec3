//! What a request carries to prove who sends it: `Authorization` (RFC 6750 section 2.1, RFC 7617), or two fields of the body.

use super::body::Fields;
use crate::accounts::Presented;
use crate::domain::{Password, Refusal, Secret};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// What the header carries; none where there is no header. Another scheme or several headers prove nothing.
pub(super) fn of_header(headers: &HeaderMap) -> Result<Option<Presented>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Unauthenticated);
    }
    value.to_str().ok().and_then(read).map(Some).ok_or(Refusal::Unauthenticated)
}

fn read(value: &str) -> Option<Presented> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Presented::Key(Secret::new(rest)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(rest).ok()?);
    let (email, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Presented::Password { email: email.to_owned(), password: Password::new(password) })
}

/// Takes the two fields out of the body; one without the other is a mistake worth telling.
pub(super) fn take_from(fields: &mut Fields<'_>) -> Result<Option<Presented>, Refusal> {
    match (fields.take(USERNAME)?, fields.take(PASSWORD)?) {
        (None, None) => Ok(None),
        (Some(email), Some(password)) => {
            Ok(Some(Presented::Password { email, password: Password::new(password) }))
        }
        (Some(_), None) => Err(Refusal::field(PASSWORD, "is missing; it goes with `username`")),
        (None, Some(_)) => Err(Refusal::field(USERNAME, "is missing; it goes with `password`")),
    }
}

/// Drops the two fields: who calls is known by now. They must be texts all the same.
pub(super) fn drop_from(fields: &mut Fields<'_>) -> Result<(), Refusal> {
    for name in [USERNAME, PASSWORD] {
        drop(fields.take(name)?.map(Secret::new));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn shown(values: &[&str]) -> String {
        match of_header(&headers(values)) {
            Ok(None) => "none".to_owned(),
            Ok(Some(Presented::Key(key))) => format!("key {}", key.expose()),
            Ok(Some(Presented::Password { email, password })) => format!("{email} and {}", password.expose()),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn both_schemes_in_any_case() {
        assert_eq!(shown(&[]), "none");
        assert_eq!(shown(&["Bearer gk_x"]), "key gk_x");
        assert_eq!(shown(&["bEARER  gk_x "]), "key gk_x");
        let basic = format!("BASIC {}", STANDARD.encode("ada@example.com:a:b ü"));
        assert_eq!(shown(&[&basic]), "ada@example.com and a:b ü");
    }

    #[test]
    fn what_proves_nothing_is_no_absence() {
        let not_utf8 = format!("Basic {}", STANDARD.encode(b"a:\xff"));
        let no_colon = format!("Basic {}", STANDARD.encode("a"));
        for bad in ["", "Bearer", "Basic !", "Digest x", "gk_x", &not_utf8, &no_colon] {
            assert_eq!(shown(&[bad]), "unauthenticated", "{bad}");
        }
        assert_eq!(shown(&["Bearer gk_x", "Bearer gk_y"]), "unauthenticated");
    }

    #[test]
    fn fields_of_the_body_go_together() {
        let taken = |body: &'static str| {
            let mut fields =
                Fields::of_body(Some("application/x-www-form-urlencoded"), body.as_bytes()).unwrap();
            take_from(&mut fields).map(|presented| presented.is_some())
        };
        assert_eq!(taken("username=a&password=b"), Ok(true));
        assert_eq!(taken("provider=x"), Ok(false));
        assert!(taken("username=a").is_err() && taken("password=a").is_err());
        let dropped = |body: &'static str| {
            drop_from(&mut Fields::of_body(Some("application/json"), body.as_bytes()).unwrap())
        };
        assert_eq!(dropped(r#"{"username":"a","password":null}"#), Ok(()));
        assert_eq!(dropped(r#"{"username":{}}"#), Err(Refusal::field(USERNAME, "must be a string")));
    }
}
