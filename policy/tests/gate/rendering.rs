//! The report as Markdown and JSON: golden files, and that hostile data can neither break a table nor mention people.
//!
//! `FORETELL_UPDATE_GOLDEN=1 cargo test --workspace --test gate` regenerates the golden files.

use std::path::PathBuf;

use foretell_policy::report::data::Report;
use foretell_policy::report::markdown;
use serde_json::{Value, json};

use crate::manifests::{audit, policy, workload};
use crate::stage::{EVERYBODY, NOBODY, PROM_ONLY, Stage, shop};

const HOSTILE: &str = "see | @everyone `rm` <b>x</b> [a](http://b) #12";

fn exception(name: &str, app: &str, reason: &str, expires_at: &str) -> String {
    json!({
        "apiVersion": "foretell.dev/v1alpha1", "kind": "AuditException",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "policyRef": {"kind": "AuditNetworkPolicy", "name": "it"}, "direction": "Ingress",
            "peers": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": app}}}],
            "reason": reason, "expiresAt": expires_at,
        },
    })
    .to_string()
}

/// Something of everything that a report shows, with hostile words wherever a repository or a cluster can put them.
fn rich() -> Stage {
    let far = "2027-01-01T00:00:00Z";
    let lost = json!({"report": {"node": "n1", "start": "2026-11-21T01:00:00Z", "end": "2026-11-21T02:00:00Z",
        "addresses": [], "lost": {"ring|@full`": 12}}});
    let by_label = "{podSelector: {matchLabels: {app: pay}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: batch}}}]}]}";
    let service = |app: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart-svc, namespace: shop}}\nspec: {{selector: {{app: {app}}}, ports: [{{port: 80, targetPort: 8080}}]}}\n"
        )
    };
    shop()
        .live(&audit("shop", "it", NOBODY))
        .head("net/a|b @team `x`.yaml", &policy("shop", "it", PROM_ONLY))
        .live(&policy("shop", "labelled", by_label))
        .base("batch.yaml", &workload("CronJob", "ops", "batch", "{app: batch}", "[]"))
        .head("batch.yaml", &workload("CronJob", "ops", "batch", "{app: batch2}", "[]"))
        .base("svc.yaml", &service("cart"))
        .head("svc.yaml", &service("nobody"))
        .head("preview | @here.yaml", &audit("data", "preview", "{podSelector: {}, policyTypes: [Ingress]}"))
        .base("old.yaml", &policy("ops", "old", "{podSelector: {}, policyTypes: [Ingress]}"))
        .live(&policy("ops", "open", "{podSelector: {matchLabels: {app: agent}}, ingress: [{}]}"))
        .head(
            "second.yaml",
            &policy("ops", "second", "{podSelector: {matchLabels: {app: agent}}, policyTypes: [Ingress]}"),
        )
        .head("own.yaml", &exception("own", "agent", HOSTILE, far))
        .both("kept.yaml", &exception("kept", "lonely", HOSTILE, far))
        .both("ended.yaml", &exception("ended", "web", HOSTILE, "2026-11-01T00:00:00Z"))
        .both("ch|art @x/Chart.yaml", "apiVersion: v2\nname: chart\n")
        .head("ch|art @x/templates/web.yaml", "kind: Deployment\nmetadata: {name: {{ .Release.Name }}}\n")
        .line(lost)
        .flow_with("web -> cart TCP 8080", &json!({"connections": 1234, "packets": 99}))
        .flow("prom -> cart TCP 8080")
        .flow("agent -> cart TCP 8080")
        .flow("lonely -> cart TCP 8080")
        .flow("batch -> pay TCP 8080")
        .flow_with("pay -> cart TCP 8080", &json!({"outcome": "refused"}))
        .flow_with("db -> cart TCP 8080", &json!({"guessed": true}))
        .flow("cart -> db TCP 5432")
        .flow("web -> prom TCP 9090")
        .flow("web -> agent TCP 9100")
        .live(&policy(
            "ops",
            "quiet",
            "{podSelector: {matchLabels: {app: prom}}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}",
        ))
        .flow("prom -> agent TCP 9100")
        .flow("203.0.113.7 -> cart TCP 8080")
        .flow_with("web -> cart TCP 8080", &json!({"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}))
}

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is out of date: FORETELL_UPDATE_GOLDEN=1 regenerates it", path.display());
}

fn pretty(value: &impl serde::Serialize) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

#[test]
fn a_rich_report_is_rendered_as_the_golden_files_say() {
    let report = rich().judge();
    golden("tests/gate/golden/report.md", &markdown::render(&report));
    golden("tests/gate/golden/report.json", &pretty(&report));
}

#[test]
fn the_rich_report_has_something_of_everything() {
    let report = rich().judge();
    let json = serde_json::to_value(&report).unwrap();
    for part in ["policies", "previews", "identities", "exceptions", "denials", "newlyAllowed", "notJudged", "notes"] {
        assert!(!json[part].as_array().unwrap().is_empty(), "{part}");
    }
    let states: Vec<&str> = report
        .denials
        .iter()
        .map(|it| match it.state {
            foretell_policy::report::connection::State::Unresolved => "unresolved",
            foretell_policy::report::connection::State::Accepted => "accepted",
            foretell_policy::report::connection::State::Guessed => "guessed",
            foretell_policy::report::connection::State::NotInUse => "notInUse",
            foretell_policy::report::connection::State::Gone => "gone",
        })
        .collect();
    for state in ["unresolved", "accepted", "guessed", "notInUse"] {
        assert!(states.contains(&state), "{state}: {states:?}");
    }
    assert!(report.policies.iter().any(|it| !it.still_allowed.is_empty()));
    assert!(report.policies.iter().any(|it| !it.still_denied.is_empty()));
    assert!(report.denials.iter().any(|it| !it.caused_by.is_empty() && !it.policies[0].message.is_empty()));
    assert!(report.denials.iter().any(|it| !it.expired_exceptions.is_empty()));
}

#[test]
fn the_schema_is_what_the_types_say() {
    golden("../docs/report.schema.json", &pretty(&Report::json_schema()));
}

/// The page's lines, less those of diffs, in which nothing is read as Markdown and which no line of theirs can end.
fn outside_diffs(page: &str) -> Vec<&str> {
    let mut in_diff = false;
    let lines = page.lines().filter(|line| {
        let is_fence = *line == if in_diff { "```" } else { "```diff" };
        assert!(is_fence || !in_diff || !line.contains('`'), "{line}");
        in_diff ^= is_fence;
        !in_diff && !is_fence
    });
    let lines = lines.collect();
    assert!(!in_diff, "{page}");
    lines
}

/// The line without its code spans: `` `…` ``.
fn outside_code(line: &str) -> String {
    line.replace("\\`", "").split('`').step_by(2).collect()
}

#[test]
fn hostile_data_cannot_break_a_table() {
    let page = markdown::render(&rich().judge());
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = page.lines().collect();
    let mut tables = 0;
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("|---")) {
        tables += 1;
        let columns = bars(line);
        let rows = lines[n - 1..].iter().take_while(|row| row.starts_with('|'));
        for row in rows {
            assert_eq!(bars(row), columns, "{row}");
            assert!(row.ends_with('|'), "{row}");
        }
    }
    assert!(tables >= 5, "{page}");
}

#[test]
fn hostile_data_cannot_ping_link_or_inject() {
    let page = markdown::render(&rich().judge());
    assert!(page.contains("everyone"), "{page}");
    for line in outside_diffs(&page) {
        let bare = outside_code(line);
        assert!(!bare.contains('@'), "a mention: {line}");
        assert!(!bare.contains("<b>"), "HTML: {line}");
        assert!(!bare.contains("://") && !bare.replace("\\]", "").contains("]("), "a link: {line}");
        assert_eq!(line.replace("\\`", "").matches('`').count() % 2, 0, "an open code span: {line}");
        let hashes = bare.trim_start_matches('#').replace("&#", "");
        assert!(!hashes.contains('#'), "a reference to an issue: {line}");
    }
}

/// Every text of a JSON value, one after another.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            found.push(key.clone());
            texts(value, found);
        }),
        Value::Bool(_) | Value::Null => {}
    }
}

#[test]
fn the_json_form_holds_what_the_page_shows() {
    let report = rich().judge();
    let page = markdown::render(&report);
    let mut found = Vec::new();
    texts(&serde_json::to_value(&report).unwrap(), &mut found);
    // Code is names, ids, files and revisions; parts of a name stand apart in JSON.
    for line in outside_diffs(&page) {
        for name in line.replace("\\`", "").split('`').skip(1).step_by(2) {
            let plain = name.replace('¦', "|").replace('\'', "`");
            let known = |part: &str| found.iter().any(|text| text == part || text.contains(part));
            let (kind_or_namespace, rest) = plain.split_once('/').unwrap_or(("", &plain));
            let title = plain.split_once(' ').is_some_and(|(kind, name)| known(kind) && name.split('/').all(known));
            assert!(
                known(&plain) || (known(kind_or_namespace) && known(rest)) || title || plain.starts_with("--"),
                "{plain}"
            );
        }
    }
    // And the other way round: whatever the page says in sentences.
    let sentences =
        report.denials.iter().map(|denial| &denial.policies[0].message).chain(&report.notes).chain(&report.reasons);
    for sentence in sentences {
        assert!(found.contains(sentence), "{sentence}");
        assert!(page.contains(&foretell_policy::report::escape::text(sentence)), "{sentence}");
    }
    for denial in &report.denials {
        for number in [u64::from(denial.port), denial.seen.in_use + denial.seen.refused + denial.seen.guessed] {
            assert!(found.contains(&number.to_string()), "{number}");
        }
        assert!(page.contains(&denial.id.to_string()), "{}", denial.id);
    }
    for exception in &report.exceptions {
        assert!(found.contains(&exception.reason));
        assert!(page.contains(&foretell_policy::report::escape::text(&exception.reason)), "{}", exception.name);
    }
}

#[test]
fn a_long_list_is_cut_on_the_page_and_whole_in_the_json_form() {
    let mut stage = shop().head("it.yaml", &policy("shop", "it", NOBODY)).live(&policy("data", "open", EVERYBODY));
    for port in 1..=130 {
        stage = stage.flow(&format!("web -> cart TCP {port}"));
    }
    let report = stage.judge();
    assert_eq!(report.denials.len(), 130);
    let page = markdown::render(&report);
    assert!(page.contains("And 30 more; `--format json` lists all."), "{page}");
    assert_eq!(page.lines().filter(|line| line.starts_with("| `D-")).count(), 100);
}
