//! What a browser needs of a page here: the hidden fields of its form.

/// The value of the input of that name, its entities undone.
pub(super) fn field(page: &str, name: &str) -> Option<String> {
    let input =
        page.split('<').find(|tag| tag.starts_with("input") && attribute(tag, "name") == Some(name))?;
    attribute(input, "value").map(unescape)
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_field_of_a_name() {
        let page = r#"<form><input type="hidden" name="a" value="1"><input type="hidden" name="token" value="x&amp;y"></form>"#;
        assert_eq!(field(page, "token").as_deref(), Some("x&y"));
        assert_eq!(field(page, "other"), None);
    }
}
