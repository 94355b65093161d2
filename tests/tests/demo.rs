//! The report of the demo on traffic that is captured now in a cluster is the same as on the recorded traffic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use foretell_tests::{images, machine, needs_nodes};
use serde_json::Value;

/// Fields that differ between recordings: times and commits.
const TIMES: [&str; 9] = ["at", "from", "to", "since", "until", "firstSeen", "lastSeen", "base", "head"];

/// The report without times, and with numbers replaced by whether they are zero.
fn comparable(value: &Value, field: &str) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !TIMES.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), comparable(value, name)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| comparable(item, field)).collect(),
        Value::Number(number) if !["port", "exitStatus", "schemaVersion"].contains(&field) => {
            Value::from(number.as_f64() != Some(0.0))
        }
        other => other.clone(),
    }
}

/// Exit status and report of `foretell check` for the demo's pull request, on a recording.
fn check(recording: &Path, head: &Path) -> (Option<i32>, Value) {
    let shop = machine::root().join("demo/shop/repository/base");
    let flows = recording.join("flows.ndjson");
    let text = fs::read_to_string(&flows).unwrap();
    let report: Value =
        serde_json::from_str(text.lines().rfind(|line| line.starts_with("{\"report\"")).unwrap()).unwrap();
    let ended = Command::new(images::archive("foretell").with_extension(""))
        .args(["check", "--format=json", "--at", report["report"]["end"].as_str().unwrap()])
        .arg("--base-dir")
        .arg(shop)
        .arg("--head-dir")
        .arg(head)
        .arg("--snapshot")
        .arg(recording.join("snapshot.yaml"))
        .arg("--flows")
        .arg(flows)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ended.stderr)));
    (ended.status.code(), report)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&place).unwrap();
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn the_report_on_live_traffic_is_the_recorded_one_up_to_counts_and_times() {
    if !needs_nodes() {
        return;
    }
    let demo = machine::root().join("demo");
    let scratch = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
    let live = scratch.path().join("live");
    fs::create_dir(&live).unwrap();
    // Images first, because `record` does not build them.
    let folder = images::archive("foretell-capture").parent().unwrap().to_owned();
    let recorded = Command::new(demo.join("record"))
        .arg("--output")
        .arg(&live)
        .env("FORETELL_IMAGES", folder)
        .env("FORETELL_BOX", machine::programs().unwrap())
        .env("FORETELL_DEMO_SECONDS", "30")
        .env("TMPDIR", env::temp_dir())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&recorded.stdout);
    assert!(recorded.status.success(), "{output}{}", String::from_utf8_lossy(&recorded.stderr));
    println!("{output}");

    for (steps, status) in [(&["promote"][..], 1), (&["promote", "fixed"][..], 0)] {
        let head = scratch.path().join(steps.join("-"));
        fs::create_dir(&head).unwrap();
        copy(&demo.join("shop/repository/base"), &head);
        fs::remove_file(head.join("payments/policies/payments-ingress.audit.yaml")).unwrap();
        for step in steps {
            copy(&demo.join("shop/repository").join(step), &head);
        }
        let ((was, recorded), (is, live)) = (check(&demo.join("recorded"), &head), check(&live, &head));
        assert_eq!((was, is), (Some(status), Some(status)), "{steps:?}: {live:#}");
        let (recorded, live) = (comparable(&recorded, ""), comparable(&live, ""));
        assert_eq!(recorded, live, "{steps:?}: recorded {recorded:#}\nlive {live:#}");
    }
}
