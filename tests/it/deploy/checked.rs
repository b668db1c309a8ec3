//! What cannot be started without an engine: held against schemas, linters and each other. Each check is seen to fail.

use super::{path, python, text, variables, yaml};
use crate::support::tool;
use grantkeep::app::new_master_key;
use grantkeep::config::Settings;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A check takes what is there, and refuses the same with a fault planted in it.
fn holds(check: impl Fn(&Path) -> Output, name: &str, there: &str, fault: &str) {
    let good = check(&path(name));
    assert!(good.status.success(), "{name}: {}", said(&good));
    let (original, folder) = (text(name), folder());
    assert!(original.contains(there), "no `{there}` in {name}");
    let planted = folder.path().join(Path::new(name).file_name().expect("a name"));
    std::fs::write(&planted, original.replacen(there, fault, 1)).expect("a file");
    let bad = check(&planted);
    assert!(!bad.status.success(), "{name} with `{fault}` is taken: {}", said(&bad));
}

#[test]
fn the_dockerfile_passes_its_linter() {
    let hadolint = |file: &Path| {
        let program = tool("GRANTKEEP_TEST_HADOLINT", "python/bin/hadolint");
        Command::new(program).arg(file).output().expect("hadolint runs")
    };
    holds(hadolint, "deploy/Dockerfile", "rust:1.95.0-slim-bookworm", "rust:latest");
    holds(hadolint, "deploy/Dockerfile", "WORKDIR /var/lib/grantkeep", "WORKDIR var/lib/grantkeep");
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let dockerfile = text("deploy/Dockerfile");
    let toolchain: toml::Table = text("rust-toolchain.toml").parse().expect("TOML");
    let version = toolchain["toolchain"]["channel"].as_str().expect("a version");
    assert!(dockerfile.contains(&format!("library/rust:{version}-")), "the toolchain is {version}");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").expect("stages");
    assert!(last.contains("\nUSER 65532:65532\n") && last.contains("\nSTOPSIGNAL SIGTERM\n"), "{last}");
    // The manifests refer to the same user by number.
    let pods = yaml("deploy/kubernetes/grantkeep.yaml");
    assert_eq!(pods[0]["spec"]["template"]["spec"]["securityContext"]["runAsUser"], 65532);

    let let_in: BTreeSet<String> =
        text(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect();
    assert!(text(".dockerignore").lines().any(|line| line == "*"), "nothing else comes in");
    let mut copied = BTreeSet::new();
    for line in dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.contains("--from"))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, sources) = words.split_last().expect("a target");
        copied.extend(sources.iter().map(|source| (*source).to_owned()));
    }
    assert_eq!(copied, let_in, "what is copied is what .dockerignore lets in");
    assert!(copied.iter().all(|source| path(source).exists()), "{copied:?}");
    let health =
        Command::new(env!("CARGO_BIN_EXE_grantkeep")).args(["health", "--help"]).output().expect("it runs");
    assert!(health.status.success() && dockerfile.contains(r#"CMD ["/usr/local/bin/grantkeep", "health"]"#));
}

#[test]
fn the_compose_file_is_one_and_shuts_everybody_in() {
    let schema = |file: &Path| {
        python(&[
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            &file.display().to_string(),
        ])
    };
    holds(schema, "deploy/compose.yaml", "read_only: true", "read_onlyy: true");

    let compose = yaml("deploy/compose.yaml").remove(0);
    for (name, service) in compose["services"].as_object().expect("services") {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        for limit in ["mem_limit", "pids_limit", "cpus", "logging", "restart"] {
            assert!(!service[limit].is_null(), "{name} has no {limit}");
        }
        assert_eq!(
            service["ports"].is_null(),
            name != "proxy",
            "only the proxy is reached from outside: {name}"
        );
        let image = service["image"].as_str().expect("an image");
        assert!(!image.ends_with(":latest") && image.contains(':'), "{name}: {image}");
    }
    // Requests and then refreshes: each may take server.shutdown_timeout.
    let settings = Settings::load(None, std::iter::empty(), &[("vault.master_keys", new_master_key(None))]);
    let needed = settings.expect("good defaults").server.shutdown_timeout.as_secs() * 2;
    let number = |value: &Value| {
        value.as_str().expect("a span").trim_end_matches('s').parse::<u64>().expect("seconds")
    };
    assert!(number(&compose["services"]["grantkeep-1"]["stop_grace_period"]) > needed);
    let pods = yaml("deploy/kubernetes/grantkeep.yaml").remove(0);
    let pod = &pods["spec"]["template"]["spec"];
    let pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("a pause");
    assert!(pod["terminationGracePeriodSeconds"].as_u64().expect("seconds") > needed + pause);
    assert!(text("deploy/systemd/grantkeep.service").contains("\nTimeoutStopSec=75s\n"));
    // A volume of its own for each.
    let volumes = ["grantkeep-1", "grantkeep-2"].map(|name| compose["services"][name]["volumes"].to_string());
    assert_ne!(volumes[0], volumes[1]);
    assert!(volumes.iter().all(|volume| volume.contains(":/var/lib/grantkeep")), "{volumes:?}");
}

/// Against the schemas of a release of Kubernetes, which the tool brings along.
fn kubernetes(version: &str, files: &[String]) -> Output {
    const RUN: &str = "import sys; sys.argv[0] = 'kubernetes-validate'; from kubernetes_validate.__main__ import main; sys.exit(main())";
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    python(&[&["-c", RUN, "--strict", "-k", version], &files[..]].concat())
}

/// The manifests that are applied, and the example of the Secret.
fn manifests() -> BTreeMap<String, Vec<Value>> {
    let entries = std::fs::read_dir(path("deploy/kubernetes")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let names = names.filter(|name| name != "kustomization.yaml");
    names.map(|name| (name.clone(), yaml(&format!("deploy/kubernetes/{name}")))).collect()
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    let manifests = manifests();
    assert!(manifests.len() >= 6, "{:?}", manifests.keys());
    let files: Vec<String> = manifests
        .keys()
        .map(|name| path(&format!("deploy/kubernetes/{name}")).display().to_string())
        .collect();
    // The oldest that has `sleep` in preStop, and a recent one.
    for version in ["1.30", "1.36"] {
        let checked = kubernetes(version, &files);
        assert!(checked.status.success(), "{version}: {}", said(&checked));
        let passed = said(&checked).matches("passed for resource").count();
        assert_eq!(passed, manifests.values().flatten().count(), "each was looked at: {}", said(&checked));
    }
    let recent = |file: &Path| kubernetes("1.36", &[file.display().to_string()]);
    let pods = "deploy/kubernetes/grantkeep.yaml";
    holds(recent, pods, "readinessProbe:", "readynessProbe:");
    holds(recent, "deploy/kubernetes/network.yaml", "podSelector: {}", "podSelektor: {}");

    let kustomization = yaml("deploy/kubernetes/kustomization.yaml").remove(0);
    let listed: BTreeSet<&str> =
        kustomization["resources"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let there: BTreeSet<&str> =
        manifests.keys().map(String::as_str).filter(|name| *name != "secret.example.yaml").collect();
    assert_eq!(listed, there);
}

fn of_kind<'a>(manifests: &'a BTreeMap<String, Vec<Value>>, kind: &str) -> Vec<&'a Value> {
    manifests.values().flatten().filter(|manifest| manifest["kind"] == kind).collect()
}

fn named(manifests: &BTreeMap<String, Vec<Value>>, kind: &str, name: &str) -> Value {
    let found = of_kind(manifests, kind).into_iter().find(|manifest| manifest["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

#[test]
fn the_pods_are_watched_and_shut_in() {
    let manifests = manifests();
    let named = |kind: &str, name: &str| named(&manifests, kind, name);
    let pod = named("StatefulSet", "grantkeep")["spec"]["template"]["spec"].clone();
    let container = &pod["containers"][0];
    for (probe, at) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(
            (&container[probe]["httpGet"]["path"], &container[probe]["httpGet"]["port"]),
            (&at.into(), &"operators".into())
        );
    }
    for set in of_kind(&manifests, "StatefulSet") {
        let pod = &set["spec"]["template"]["spec"];
        let name = &set["metadata"]["name"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(
            (&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]),
            (&false.into(), &false.into()),
            "{name}"
        );
        let own = &pod["containers"][0]["securityContext"];
        assert_eq!(
            (&own["allowPrivilegeEscalation"], &own["readOnlyRootFilesystem"]),
            (&false.into(), &true.into()),
            "{name}"
        );
        assert_eq!(own["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
        assert!(pod["containers"][0]["resources"]["limits"]["memory"].is_string(), "{name}");
    }
    let labels = &named("StatefulSet", "grantkeep")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&named("PodDisruptionBudget", "grantkeep")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&named("NetworkPolicy", "grantkeep")["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(&named("Service", "grantkeep")["spec"]["selector"], labels);
    let all = named("NetworkPolicy", "nothing-else");
    assert_eq!(
        (&all["spec"]["podSelector"], &all["spec"]["ingress"]),
        (&serde_json::json!({}), &Value::Null)
    );
}

#[test]
fn the_manifests_fit_together() {
    let manifests = manifests();
    let named = |kind: &str, name: &str| named(&manifests, kind, name);
    let pod = named("StatefulSet", "grantkeep")["spec"]["template"]["spec"].clone();
    // Every key that is mounted is in the Secret, and every file that a setting names is mounted.
    let secret = named("Secret", "grantkeep");
    let keys: BTreeSet<&str> =
        secret["stringData"].as_object().expect("keys").keys().map(String::as_str).collect();
    let items = pod["volumes"][0]["secret"]["items"].as_array().expect("a list");
    let mounted: BTreeSet<&str> = items.iter().filter_map(|item| item["path"].as_str()).collect();
    assert!(items.iter().all(|item| keys.contains(item["key"].as_str().expect("a key"))));
    let settings = named("ConfigMap", "grantkeep");
    let files: BTreeSet<&str> = settings["data"]
        .as_object()
        .expect("settings")
        .values()
        .filter_map(|value| value.as_str()?.strip_prefix("/run/secrets/grantkeep/"))
        .collect();
    assert_eq!(mounted, files);
    // One Redis, wherever it runs.
    assert_eq!(named("ConfigMap", "redis")["data"]["redis.conf"], text("deploy/redis.conf"));
    let script = |text: &str| text.replace("$$", "$").replace("/etc/redis/redis.conf", "/etc/redis.conf");
    let compose = yaml("deploy/compose.yaml").remove(0);
    let here = compose["services"]["redis"]["command"][2].as_str().expect("a script");
    let there =
        named("StatefulSet", "redis")["spec"]["template"]["spec"]["containers"][0]["command"][2].clone();
    assert_eq!(script(here), script(there.as_str().expect("a script")));
}

/// Every variable of every place is a setting, and a server would start under them.
#[test]
fn every_setting_of_every_file_exists() {
    let folder = folder();
    let secrets = [
        ("master-keys", new_master_key(Some("first"))),
        ("store-url", "redis://:word@redis:6379".to_owned()),
        ("mail-url", "smtps://user:word@smtp.example.com".to_owned()),
    ];
    for (name, value) in &secrets {
        std::fs::write(folder.path().join(name), value).expect("a file");
    }
    let here = folder.path().display().to_string();
    let dockerfile = text("deploy/Dockerfile").replace("\\\n", "\n");
    let image = variables(
        &dockerfile
            .lines()
            .map(|line| line.trim_start().trim_start_matches("ENV ").trim_end())
            .filter(|line| line.starts_with("GRANTKEEP_"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let unit = text("deploy/systemd/grantkeep.service");
    let unit =
        unit.lines().filter_map(|line| line.strip_prefix("Environment=")).collect::<Vec<_>>().join("\n");
    let map = manifests()["settings.yaml"][0]["data"].as_object().expect("settings").clone();
    let map: BTreeMap<String, String> =
        map.into_iter().map(|(name, value)| (name, value.as_str().expect("a text").to_owned())).collect();
    let public = ("GRANTKEEP_SERVER__PUBLIC_URL", "https://vault.example.com");
    let keys = ("GRANTKEEP_VAULT__MASTER_KEYS", secrets[0].1.as_str());
    let places = [
        ("the image", image, vec![public, keys]),
        ("systemd", variables(&unit), vec![public]),
        ("Kubernetes", map, vec![]),
    ];
    for (place, variables, further) in places {
        assert!(variables.len() >= 2, "{place}: {variables:?}");
        let further = further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all = variables.into_iter().chain(further);
        let all = all
            .map(|(name, value)| (name, value.replace("/run/secrets/grantkeep", &here).replace("%d", &here)));
        let settings = Settings::load(None, all, &[]).unwrap_or_else(|faults| panic!("{place}: {faults}"));
        assert!(settings.log.json, "{place}: logs are for machines");
        assert_eq!(settings.server.public_url.as_str(), "https://vault.example.com/", "{place}");
    }
}

#[test]
fn the_unit_is_sound_and_shut_in() {
    let folder = folder();
    let binary = folder.path().join("grantkeep");
    std::fs::copy(env!("CARGO_BIN_EXE_grantkeep"), &binary).expect("a copy");
    let analyze = |arguments: &[&str], unit: String| {
        // It wants the name of a unit, and a binary that is there.
        let file = folder.path().join("grantkeep.service");
        std::fs::write(&file, unit.replace("/usr/local/bin/grantkeep", &binary.display().to_string()))
            .expect("a file");
        let program = tool("GRANTKEEP_TEST_SYSTEMD_ANALYZE", "bin/systemd-analyze");
        Command::new(program).args(arguments).arg(&file).output().expect("it runs")
    };
    let unit = text("deploy/systemd/grantkeep.service");
    let verify = ["verify", "--man=no"];
    let good = analyze(&verify, unit.clone());
    assert!(good.status.success() && said(&good).trim().is_empty(), "{}", said(&good));
    for (there, fault) in [("Restart=on-failure", "Restart=sometimes"), ("LimitCORE=0", "LimitKORE=0")] {
        let bad = analyze(&verify, unit.replace(there, fault));
        assert!(!bad.status.success() || !said(&bad).trim().is_empty(), "{fault} is taken");
    }
    // 0 is shut in, 100 open; it stands at 11. What would leave a door open is seen.
    let security = ["security", "--offline=true", "--no-pager", "--threshold=13"];
    let exposed = analyze(&security, unit.clone());
    assert!(exposed.status.success(), "{}", said(&exposed));
    for hardening in ["SystemCallFilter=", "DynamicUser=", "CapabilityBoundingSet="] {
        let without: Vec<&str> = unit.lines().filter(|line| !line.starts_with(hardening)).collect();
        let open = analyze(&security, without.join("\n"));
        assert!(!open.status.success(), "without {hardening}: {}", said(&open));
    }
}
