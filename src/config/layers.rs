//! The layers of a configuration, each value with its origin: defaults, a file, the environment, what the program sets.

use super::fault::Fault;
use config::{Config, ConfigError, File, FileFormat, Format, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;
use std::path::Path;

/// The manual, and the lowest layer.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The origin of what nobody set.
pub(super) const DEFAULT_ORIGIN: &str = "the defaults";

const PREFIX: &str = "GRANTKEEP_";
/// Variables of the project's own tests; they are not settings.
const NOT_SETTINGS: &str = "GRANTKEEP_TEST_";

/// Every leaf of the merged layers by its dotted key.
pub(super) type Leaves = BTreeMap<String, Value>;

/// Values or tables with an origin each: from a file, from variables, from the program itself.
#[derive(Clone, Debug)]
struct Singles(Vec<(String, Value)>);

impl Source for Singles {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

/// Merges the layers. A key that has no default is a fault, and left out.
pub(super) fn merge(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    overrides: &[(&str, String)],
    faults: &mut Vec<Fault>,
) -> Leaves {
    let known = leaves_of(&Config::builder().add_source(defaults()), faults);
    let mut builder = Config::builder().add_source(defaults());
    if let Some(path) = file {
        match read(path) {
            Ok(tables) => builder = builder.add_source(tables),
            Err(problem) => {
                faults.push(Fault {
                    key: "--config".to_owned(),
                    origin: path.display().to_string(),
                    problem,
                });
            }
        }
    }
    let single = |key: String, origin: String, value: String| (key, Value::new(Some(&origin), value));
    let variables = env.filter_map(|(name, value)| Some(single(key_of(&name)?, name, value)));
    let given = overrides
        .iter()
        .map(|(key, value)| single((*key).to_owned(), "the command".to_owned(), value.clone()));
    builder = builder.add_source(Singles(variables.collect())).add_source(Singles(given.collect()));
    let mut leaves = leaves_of(&builder, faults);
    leaves.retain(|key, value| {
        let exists = known.contains_key(key);
        if !exists {
            faults.push(unknown(key, value, &known));
        }
        exists
    });
    leaves
}

fn defaults() -> File<config::FileSourceString, FileFormat> {
    File::from_str(DEFAULTS, FileFormat::Toml)
}

/// `GRANTKEEP_SERVER__PORT` is `server.port`; none where the variable is not ours.
fn key_of(variable: &str) -> Option<String> {
    let ours = variable.strip_prefix(PREFIX).filter(|_| !variable.starts_with(NOT_SETTINGS))?;
    // Brackets would be indexes to the library; no setting has them.
    Some(ours.to_lowercase().replace("__", ".").replace(['[', ']'], "_"))
}

/// `server.port` is `GRANTKEEP_SERVER__PORT`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// The origin of a value, as people know it.
pub(super) fn origin_of(value: &Value) -> String {
    value.origin().unwrap_or(DEFAULT_ORIGIN).to_owned()
}

/// The tables of a file. The parser's own words quote the line, which may hold a secret: only its message and the place
/// are kept.
fn read(path: &Path) -> Result<Singles, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let origin = path.display().to_string();
    let tables = FileFormat::Toml.parse(Some(&origin), &text);
    tables.map(|tables| Singles(tables.into_iter().collect())).map_err(|_| {
        let error = toml::de::DeTable::parse(&text).err();
        let start = error.as_ref().and_then(toml::de::Error::span).map_or(0, |span| span.start);
        let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.as_ref().map_or("a number is out of range", |error| error.message());
        format!("line {line} is not TOML: {message}")
    })
}

fn leaves_of(
    builder: &config::ConfigBuilder<config::builder::DefaultState>,
    faults: &mut Vec<Fault>,
) -> Leaves {
    let mut leaves = Leaves::new();
    match builder.build_cloned().and_then(|config| config.collect()) {
        Ok(tables) => flatten("", tables, &mut leaves),
        Err(_) => faults.push(Fault {
            key: "--config".to_owned(),
            origin: "all sources together".to_owned(),
            // The error may quote a value.
            problem: "the settings cannot be read as tables of keys and values".to_owned(),
        }),
    }
    leaves
}

fn flatten(prefix: &str, table: Map<String, Value>, leaves: &mut Leaves) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value.kind {
            ValueKind::Table(inner) => flatten(&key, inner, leaves),
            _ => drop(leaves.insert(key, value)),
        }
    }
}

fn unknown(key: &str, value: &Value, known: &Leaves) -> Fault {
    let origin = origin_of(value);
    let from_variable = origin.starts_with(PREFIX);
    let section = format!("{key}.");
    let problem = if known.keys().any(|name| name.starts_with(&section)) {
        "this is a section: set the keys in it".to_owned()
    } else {
        let close = |name: &&String| strsim::jaro_winkler(name, key);
        let nearest = known.keys().max_by(|a, b| close(a).total_cmp(&close(b)));
        match nearest.filter(|name| close(name) > 0.8) {
            Some(name) if from_variable => {
                format!("there is no such setting; did you mean {}?", variable_of(name))
            }
            Some(name) => format!("there is no such setting; did you mean {name}?"),
            None => "there is no such setting; config/default.toml lists them all".to_owned(),
        }
    };
    Fault { key: key.to_owned(), origin, problem }
}
