//! `foretell evaluate`, as a user runs it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod foretell;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use foretell::{Place, SNAPSHOT, flow, report};

const EVALUATE: &str = "evaluate --snapshot snapshot.yaml --flows flows.ndjson";

const WEB_DENIED: &str = r#"{"flow":0,"policy":{"kind":"AuditNetworkPolicy","namespace":"prod","name":"web-deny"},"direction":"Ingress","verdict":"WouldDeny","reason":"NoRules","message":"policy has no ingress rules: every ingress flow is denied"}
"#;

#[test]
fn verdicts_are_lines_of_standard_output_and_the_summary_is_on_standard_error() {
    let ended = Place::furnished().run(EVALUATE);
    assert_eq!(ended.stdout, WEB_DENIED);
    assert_eq!(ended.stderr, "foretell: 2 flows judged by 1 policy: 0 allow, 1 would deny.\n");
    assert_eq!(ended.status, Some(0));
}

#[test]
fn all_judges_by_enforced_policies_too() {
    let ended = Place::furnished().run(&format!("{EVALUATE} --all --format ndjson"));
    let allowed = r#"{"flow":1,"policy":{"kind":"NetworkPolicy","namespace":"prod","name":"db"},"direction":"Ingress","verdict":"Allow","rule":0}
"#;
    assert_eq!(ended.stdout, format!("{WEB_DENIED}{allowed}"));
    assert!(ended.stderr.contains("2 flows judged by 2 policies: 1 allow, 1 would deny."), "{}", ended.stderr);
}

#[test]
fn all_judges_by_admin_policies_too_with_their_tier_and_priority() {
    let place = Place::furnished();
    let policy = "---\napiVersion: policy.networking.k8s.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {name: guard}\nspec: {tier: Admin, priority: 3, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}], egress: [{action: Accept, to: [{domainNames: [example.com]}]}, {action: Deny, to: [{networks: [8.8.8.8/32]}]}]}\n";
    place.write("snapshot.yaml", [SNAPSHOT, policy].concat());
    place.write("flows.ndjson", [flow("10.1.0.6", "10.1.0.5"), flow("10.1.0.5", "8.8.8.8")].concat());
    assert!(!place.run(EVALUATE).stdout.contains("guard"));
    let ended = place.run(&format!("{EVALUATE} --all"));
    let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("guard")).collect();
    assert_eq!(
        lines,
        [
            r#"{"flow":0,"policy":{"kind":"ClusterNetworkPolicy","namespace":"","name":"guard"},"direction":"Ingress","verdict":"Allow","rule":0,"message":"it passes the flow on to NetworkPolicies and the Baseline tier","tier":"Admin","priority":3,"action":"Pass"}"#,
            r#"{"flow":1,"policy":{"kind":"ClusterNetworkPolicy","namespace":"","name":"guard"},"direction":"Egress","verdict":"Unknown","rule":0,"reason":"CannotBeJudged","message":"it is unknown whether egress[0] matches 8.8.8.8 on TCP 8080: it names example.com, and recorded traffic contains addresses, not domain names","tier":"Admin","priority":3,"action":"Accept"}"#,
        ]
    );
    assert!(ended.stderr.contains("1 verdict is unknown: a rule depends on"), "{}", ended.stderr);
}

#[test]
fn a_snapshot_without_an_audit_policy_mentions_the_option_all() {
    let place = Place::furnished();
    place.write("snapshot.yaml", SNAPSHOT.split("---\napiVersion: kguardian").next().unwrap());
    let ended = place.run(EVALUATE);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("no audit policy; --all judges"), "{}", ended.stderr);
    let ended = place.run(&format!("{EVALUATE} --all"));
    assert!(ended.stderr.contains("has no policy."), "{}", ended.stderr);
}

#[test]
fn a_flow_has_its_line_number_less_one_also_between_reports_and_blank_lines() {
    let place = Place::furnished();
    place.write("flows.ndjson", format!("\n{}  \r\n{}{}", report(""), flow("10.1.0.6", "10.1.0.5").trim(), "\r\n\n"));
    assert_eq!(place.run(EVALUATE).stdout, WEB_DENIED.replace("\"flow\":0", "\"flow\":3"));
}

#[test]
fn log_lines_of_an_agent_among_its_flows_are_skipped() {
    let place = Place::furnished();
    let log = "{\"log\":{\"level\":\"INFO\",\"fields\":{\"message\":\"Watching\"}}}\n";
    place.write("flows.ndjson", [log, &flow("10.1.0.6", "10.1.0.5"), " ", log].concat());
    let ended = place.run(EVALUATE);
    assert_eq!((ended.status, ended.stdout), (Some(0), WEB_DENIED.replace("\"flow\":0", "\"flow\":1")));
    assert!(ended.stderr.starts_with("foretell: 1 flow judged"), "{}", ended.stderr);
}

#[test]
fn verdicts_are_in_order_of_flow_namespace_name_and_direction() {
    let place = Place::furnished();
    let policy = |kind: &str, place: &str, name: &str, selector: &str| {
        format!(
            "---\napiVersion: kguardian.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\nspec: {{{selector}: {{}}, policyTypes: [Ingress, Egress]}}\n"
        )
    };
    let mut snapshot = SNAPSHOT.to_owned();
    for name in ["z", "b"] {
        snapshot += &policy("AuditNetworkPolicy", ", namespace: prod", name, "podSelector");
        snapshot += &policy("AuditClusterNetworkPolicy", "", name, "namespaceSelector");
    }
    place.write("snapshot.yaml", snapshot);
    let mut found = String::new();
    for line in place.run(EVALUATE).stdout.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let policy = &line["policy"];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let (namespace, name) = (text(&policy["namespace"]), text(&policy["name"]));
        writeln!(found, "{} {namespace}/{name} {}", line["flow"], text(&line["direction"])).unwrap();
    }
    let expected = "0 /b Egress, 0 /b Ingress, 0 /z Egress, 0 /z Ingress, 0 prod/b Egress, 0 prod/b Ingress, \
        0 prod/web-deny Ingress, 0 prod/z Egress, 0 prod/z Ingress, \
        1 /b Egress, 1 /b Ingress, 1 /z Egress, 1 /z Ingress, 1 prod/b Egress, 1 prod/b Ingress, \
        1 prod/z Egress, 1 prod/z Ingress";
    assert_eq!(found.trim().replace('\n', ", "), expected);
}

#[test]
fn the_reason_names_the_nearest_rule_and_what_did_not_match() {
    let place = Place::furnished();
    let flows = [
        flow("10.1.0.5", "10.1.0.7"),
        flow("10.1.0.99", "10.1.0.7"),
        flow("192.168.1.1", "10.1.0.7"),
        flow("10.1.0.7", "10.1.0.7"),
        flow("8.8.8.8", "10.1.0.7"),
    ];
    place.write("flows.ndjson", flows.concat());
    let lines = place.run(&format!("{EVALUATE} --all")).stdout;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [pod, unknown, node, itself, outside] = &lines[..] else { unreachable!("{lines:?}") };
    assert_eq!((&pod["verdict"], &pod["reason"]), (&"WouldDeny".into(), &"NoRuleMatched".into()));
    assert!(pod["message"].as_str().unwrap().contains("ingress[0] allows TCP 8080, but only for"), "{pod}");
    let because = serde_json::json!({"rule": "ingress[0]", "failed": "peer", "peers": [{
        "entry": "from[0]", "matches": "pods with app=client of its own namespace",
        "causes": [{"type": "podLabel", "key": "app", "wanted": "app=client", "found": "web"}],
    }]});
    assert_eq!(pod["nearest"], because);
    assert_eq!(unknown["reason"], "UnresolvedPeer");
    assert_eq!(outside["reason"], "NoRuleMatched");
    for (line, exempt) in [(node, "node"), (itself, "self")] {
        assert_eq!((&line["verdict"], &line["exempt"]), (&"Allow".into(), &exempt.into()), "{line}");
        assert!(line.get("rule").is_none() && line.get("reason").is_none(), "{line}");
    }
}

#[test]
fn of_two_policies_with_one_name_the_last_counts() {
    let place = Place::furnished();
    let allows = "apiVersion: kguardian.dev/v1alpha1\nkind: AuditNetworkPolicy\nmetadata: {name: web-deny, namespace: prod}\nspec: {podSelector: {}, ingress: [{}]}\n";
    place.write("later.yaml", allows);
    let ended = place.run("evaluate --snapshot snapshot.yaml later.yaml --flows flows.ndjson");
    assert!(ended.stdout.lines().count() == 2 && ended.stdout.contains("\"rule\":0"), "{}", ended.stdout);
}

#[test]
fn several_files_are_judged_in_order_each_with_its_own_line_numbers() {
    let place = Place::furnished();
    place.write("more.ndjson", flow("10.1.0.6", "10.1.0.5"));
    let expected = [WEB_DENIED, WEB_DENIED, WEB_DENIED].concat();
    assert_eq!(place.run(&format!("{EVALUATE} more.ndjson --flows flows.ndjson")).stdout, expected);
}

#[test]
fn standard_input_may_be_the_flows_or_the_snapshot() {
    let place = Place::furnished();
    let flows = fs::read(place.path().join("flows.ndjson")).unwrap();
    let ended = place.run_with_input("evaluate --snapshot snapshot.yaml --flows -", &flows);
    assert_eq!((ended.stdout.as_str(), ended.status), (WEB_DENIED, Some(0)), "{}", ended.stderr);
    let ended = place.run_with_input("evaluate --snapshot - --flows flows.ndjson", SNAPSHOT.as_bytes());
    assert_eq!((ended.stdout.as_str(), ended.status), (WEB_DENIED, Some(0)), "{}", ended.stderr);
    place.write("-", "no flow");
    let ended = place.run_with_input("evaluate --snapshot snapshot.yaml --flows -", &flows);
    assert_eq!(ended.stdout, WEB_DENIED, "not the file of that name");
}

#[test]
fn compression_is_detected_by_content_not_by_name() {
    let place = Place::furnished();
    let flows = fs::read(place.path().join("flows.ndjson")).unwrap();
    let zstd = zstd::encode_all(&flows[..], 3).unwrap();
    for name in ["flows.ndjson.zst", "flows.gz", "flows.txt"] {
        place.write(name, &zstd);
        assert_eq!(place.run(&format!("evaluate --snapshot snapshot.yaml --flows {name}")).stdout, WEB_DENIED);
    }
    let gzip = gzip(&flows);
    for name in ["flows.ndjson.gz", "flows.zst", "flows"] {
        place.write(name, &gzip);
        assert_eq!(place.run(&format!("evaluate --snapshot snapshot.yaml --flows {name}")).stdout, WEB_DENIED);
    }
    for (compressed, one) in [(&gzip, gzip_of_first(&flows)), (&zstd, zstd_of_first(&flows))] {
        // Two compressed files joined by `cat`.
        place.write("joined", [&one[..], compressed].concat());
        let expected = WEB_DENIED.to_owned() + &WEB_DENIED.replace("\"flow\":0", "\"flow\":1");
        assert_eq!(place.run("evaluate --snapshot snapshot.yaml --flows joined").stdout, expected);
        let ended = place.run_with_input("evaluate --snapshot snapshot.yaml --flows -", compressed);
        assert_eq!(ended.stdout, WEB_DENIED);
    }
    place.write("folder/snapshot.yaml.gz", self::gzip(SNAPSHOT.as_bytes()));
    place.write("folder/notes.txt", "kind: [");
    assert_eq!(place.run("evaluate --snapshot folder --flows flows.gz").stdout, WEB_DENIED);
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn gzip_of_first(flows: &[u8]) -> Vec<u8> {
    gzip(&flows[..=flows.iter().position(|&byte| byte == b'\n').unwrap()])
}

fn zstd_of_first(flows: &[u8]) -> Vec<u8> {
    zstd::encode_all(&flows[..=flows.iter().position(|&byte| byte == b'\n').unwrap()], 3).unwrap()
}

#[test]
fn a_report_exempts_its_nodes_addresses_wherever_it_is_in_the_files() {
    let place = Place::furnished();
    let flow = flow("10.1.0.1", "10.1.0.5");
    place.write("flows.ndjson", &flow);
    assert!(place.run(EVALUATE).stdout.contains("WouldDeny"));
    let exempt = r#"{"flow":0,"policy":{"kind":"AuditNetworkPolicy","namespace":"prod","name":"web-deny"},"direction":"Ingress","verdict":"Allow","exempt":"node"}
"#;
    let flows = flow.clone() + &report("\"10.1.0.1\"");
    place.write("flows.ndjson", &flows);
    assert_eq!(place.run(EVALUATE).stdout, exempt);
    let ended = place.run_with_input("evaluate --snapshot snapshot.yaml --flows -", flows.as_bytes());
    assert_eq!(ended.stdout, exempt, "from standard input");
    place.write("flows.ndjson", flow);
    place.write("reports.ndjson", report("\"10.1.0.1\""));
    assert_eq!(place.run(&format!("{EVALUATE} reports.ndjson")).stdout, exempt, "from a later file");
}

#[test]
fn a_pod_cidr_separates_unknown_pods_from_addresses_outside_the_cluster() {
    let place = Place::furnished();
    let allow = "---\napiVersion: kguardian.dev/v1alpha1\nkind: AuditNetworkPolicy\nmetadata: {name: web-deny, namespace: prod}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}\n";
    place.write("snapshot.yaml", SNAPSHOT.to_owned() + allow);
    place.write("flows.ndjson", flow("172.30.1.9", "10.1.0.5"));
    assert!(place.run(EVALUATE).stdout.contains("\"NoRuleMatched\""));
    let ended = place.run(&format!("{EVALUATE} --pod-cidr fd00::/48 --pod-cidr 172.30.0.0/16"));
    assert!(ended.stdout.contains("\"UnresolvedPeer\""), "{}", ended.stdout);
    assert!(ended.stderr.contains("1 flow has an end that is a pod missing from the snapshot"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_closes_the_output_ends_the_command_without_a_message() {
    let place = Place::furnished();
    place.write("flows.ndjson", flow("10.1.0.6", "10.1.0.5").repeat(5_000));
    let mut command = place.command(EVALUATE.split(' '));
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    process.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_closed_standard_error_does_not_crash_the_command() {
    let place = Place::furnished();
    place.write("flows.ndjson", format!("no flow\n{}", flow("10.1.0.6", "10.1.0.5")));
    for (words, status) in [(format!("{EVALUATE} --bad-lines skip"), 0), (EVALUATE.to_owned(), 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = place.command(words.split(' ')).stderr(writer).output().unwrap();
        assert_eq!(ended.status.code(), Some(status));
    }
}

#[test]
fn verdicts_that_cannot_be_written_are_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = Place::furnished().command(EVALUATE.split(' ')).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output: No space left"));
}

/// Peak memory of a run over so many flows, in KiB.
fn peak_memory(place: &Place, flows: u64, from_standard_input: bool) -> u64 {
    let line = flow("10.1.0.6", "10.1.0.5");
    let mut command = if from_standard_input {
        place.command(["evaluate", "--snapshot", "snapshot.yaml", "--flows", "-"])
    } else {
        let mut file = zstd::Encoder::new(File::create(place.path().join("many.zst")).unwrap(), 1).unwrap();
        (0..flows).for_each(|_| file.write_all(line.as_bytes()).unwrap());
        file.finish().unwrap();
        place.command(["evaluate", "--snapshot", "snapshot.yaml", "--flows", "many.zst"])
    };
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let (lines, mut stdout) = (if from_standard_input { flows } else { 0 }, process.stdout.take().unwrap());
    let status = format!("/proc/{}/status", process.id());
    let peak = std::thread::scope(|scope| {
        scope.spawn(move || (0..lines / 1_000).for_each(|_| stdin.write_all(line.repeat(1_000).as_bytes()).unwrap()));
        let (mut buffer, mut peak) = (vec![0; 1 << 16], 0);
        while stdout.read(&mut buffer).unwrap() > 0 {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let peak_line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = peak_line.and_then(|line| line.trim().strip_suffix(" kB")).map(|kib| kib.parse().unwrap());
            peak = peak.max(kib.unwrap_or(0));
        }
        peak
    });
    assert!(process.wait().unwrap().success());
    assert_ne!(peak, 0);
    peak
}

#[test]
fn memory_does_not_grow_with_the_flows() {
    let place = Place::furnished();
    for from_standard_input in [false, true] {
        let few = peak_memory(&place, 1_000, from_standard_input);
        let many = peak_memory(&place, 200_000, from_standard_input);
        println!("standard input: {from_standard_input}; 1,000 flows: {few} KiB; 200,000 flows: {many} KiB");
        assert!(many < few + 4 * 1024, "standard input: {from_standard_input}: {few} KiB became {many} KiB");
    }
}
