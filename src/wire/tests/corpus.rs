//! A corpus of token answers, each with the one reading it has: what RFC 6749 says, what providers document, and whatever else
//! can come. A reading that is not there is a token misread, a refusal taken for a grant, or an outage taken for a refusal.

use super::{built_in, read, response, with};
use crate::wire::AnswerKind;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One answer. The body is text, or bytes in hexadecimal digits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// `plain` has the usual names and nothing else; others are built in.
    provider: String,
    kind: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    hex: Option<String>,
    is: String,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let hex = self.hex.as_deref().unwrap_or_default();
        let byte = |place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap();
        match &self.body {
            Some(text) => text.clone().into_bytes(),
            None => (0..hex.len()).step_by(2).map(byte).collect(),
        }
    }
}

#[test]
fn every_answer_of_the_corpus_has_its_reading() {
    let cases: Vec<Case> = include_str!("../../../tests/corpus/token_responses.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let plain = with("");
    let mut wrong = Vec::new();
    for case in &cases {
        let provider = if case.provider == "plain" { plain.clone() } else { built_in(&case.provider) };
        let kind = if case.kind == "code" { AnswerKind::Code } else { AnswerKind::Refresh };
        let headers: Vec<(&str, &str)> =
            case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let said = read(&provider, kind, &response(case.status, &headers, case.bytes()));
        if said != case.is {
            let short = |text: &str| text.chars().take(200).collect::<String>();
            wrong.push(format!("{}: {}, and should be {}", case.name, short(&said), short(&case.is)));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
