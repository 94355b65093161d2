//! Errors of inputs name the file, the document or line, the field and the fix. The exit status is 2, and nothing is printed.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod foretell;
#[allow(dead_code, reason = "shared with other tests")]
mod source_repository;

use std::fs;
use std::os::unix::fs::symlink;

use foretell::{Ended, Place, SNAPSHOT, flow, report};
use source_repository::{Repository, policy};

const EVALUATE: &str = "evaluate --snapshot snapshot.yaml --flows flows.ndjson";
const CHECK: &str =
    "check --base-dir base --head-dir head --snapshot snapshot.yaml --flows flows.ndjson --at 2026-11-21T02:00:00Z";

/// Exit status 2, nothing on standard output, and a message of one line that holds all parts.
fn refuses(what: &str, ended: &Ended, parts: &[&str]) {
    let Ended { status, stdout, stderr } = ended;
    assert_eq!(*status, Some(2), "{what}: {stdout}{stderr}");
    assert_eq!(stdout, "", "{what}: {stderr}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{what}: {part:?} is not in {stderr}");
    }
    let is_of_clap = stderr.starts_with("error: ");
    assert!(is_of_clap || stderr.starts_with("foretell: "), "{what}: {stderr}");
    println!("{what}\n    {stderr}");
}

fn place_to_check() -> Place {
    let place = Place::furnished();
    for folder in ["base", "head"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    place
}

#[test]
fn a_line_that_is_not_a_flow_is_named_by_its_number_with_field_value_and_fix() {
    let good = flow("10.1.0.6", "10.1.0.5");
    let with = |from: &str, to: &str| {
        let line = good.replace(from, to);
        assert_ne!(line, good, "{from}");
        line
    };
    let long = format!("{{\"start\":\"{}\"}}", "x".repeat(1 << 20));
    for (what, line, parts) in [
        ("no JSON", "hello".to_owned(), &["not JSON: expected value, at column 1;"][..]),
        ("half a line", good[..40].to_owned(), &["not JSON: EOF while parsing", "at column 40"]),
        ("two objects", good.trim().repeat(2), &["not JSON: trailing characters, at column"]),
        ("a list", "[1, 2]".to_owned(), &["not a JSON object: a line is one flow or one report"]),
        ("a string", "\"flow\"".to_owned(), &["not a JSON object"]),
        ("a field missing", with("\"port\":8080,", ""), &[" port: required but missing;"]),
        (
            "an end's field missing",
            with("\"src\":{\"ip\":\"10.1.0.6\"}", "\"src\":{}"),
            &[" src.ip: required but missing;"],
        ),
        ("an address", with("10.1.0.5", "10.1.0.500"), &[" dst.ip: \"10.1.0.500\" is not an IP address;"]),
        ("an address of another type", with("\"10.1.0.5\"", "7"), &[" dst.ip: 7 is not an IP address;"]),
        (
            "a protocol",
            with("TCP", "ICMP"),
            &[" protocol: \"ICMP\" is not a protocol: write \"TCP\", \"UDP\" or \"SCTP\";"],
        ),
        ("a port", with("8080", "80800"), &[" port: 80800 is not a port: write a number from 0 to 65535;"]),
        ("a port's name", with("8080", "\"http\""), &[" port: \"http\" is not a port"]),
        ("a time", with("2026-11-21T01:40:00Z", "yesterday"), &[" start: \"yesterday\" is not a time", "RFC 3339"]),
        ("a time without a zone", with("01:40:10Z", "01:40:10"), &[" end: ", "is not a time"]),
        ("an outcome", with("established", "fine"), &[" outcome: \"fine\" is not an outcome: write \"established\""]),
        ("a count", with("8080,", "8080,\"packets\":-1,"), &[" packets: invalid value"]),
        ("the wrong way round", with("01:40:10Z", "01:39:59Z"), &[" end: 2026-11-21T01:39:59Z is before start"]),
        ("a field twice", with("\"node\"", "\"port\":1,\"node\""), &["duplicate field `port`"]),
        ("a report's field", "{\"report\":{\"node\":\"n1\"}}".to_owned(), &[" report.start: required but missing;"]),
        ("a report's address", report("\"10.1\""), &[" report.addresses[0]: \"10.1\" is not an IP address;"]),
        ("no text", "\u{0}\u{1}".to_owned(), &["not JSON"]),
        ("a long line", long, &["longer than 1048576 bytes"]),
    ] {
        let place = place_to_check();
        let text = format!("{good}\n{}\n{good}", line.trim());
        place.write("flows.ndjson", &text);
        for command in [EVALUATE, CHECK] {
            let parts = [parts, &["flows.ndjson, line 3: ", "fix the line", "--bad-lines skip"]].concat();
            let ended = place.run(command);
            refuses(what, &ended, &parts);
            assert_eq!(ended.stderr.lines().count(), 1, "{what}");
            assert!(ended.stderr.len() < 400 && !ended.stderr.contains("at line 1"), "{what}: {}", ended.stderr);
        }
        let ended = place.run_with_input("evaluate --snapshot snapshot.yaml --flows -", text.as_bytes());
        refuses(what, &ended, &[parts, &["-, line 3: "]].concat());

        // A skipped line is named and counted, and does not change the numbers of the others.
        let ended = place.run(&format!("{EVALUATE} --bad-lines skip"));
        assert_eq!(ended.status, Some(0), "{what}: {}", ended.stderr);
        assert!(ended.stdout.starts_with("{\"flow\":0,") && ended.stdout.contains("\n{\"flow\":3,"), "{what}");
        assert!(ended.stderr.contains("flows.ndjson, line 3: skipped: "), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains("1 unreadable line was skipped."), "{what}: {}", ended.stderr);
        let ended = place.run(&format!("{CHECK} --bad-lines skip --format json"));
        assert_eq!(ended.status, Some(0), "{what}: {}", ended.stderr);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((&report["evidence"]["badLines"], &report["evidence"]["flows"]), (&1.into(), &2.into()));
    }
}

#[test]
fn only_the_first_ten_skipped_lines_are_named() {
    let place = Place::furnished();
    place.write("flows.ndjson", "hello\n".repeat(25));
    let ended = place.run(&format!("{EVALUATE} --bad-lines skip"));
    assert_eq!(ended.stderr.matches(": skipped: ").count(), 10, "{}", ended.stderr);
    assert!(ended.stderr.contains("flows.ndjson: 15 more lines skipped"), "{}", ended.stderr);
    assert!(ended.stderr.contains("25 unreadable lines were skipped."), "{}", ended.stderr);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_fix() {
    let place = place_to_check();
    let flows = flow("10.1.0.6", "10.1.0.5").repeat(2_000);
    let zstd = zstd::encode_all(flows.as_bytes(), 3).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, flows.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let corrupt = |data: &[u8]| {
        let mut data = data.to_owned();
        let middle = data.len() / 2;
        data[middle..middle + 8].fill(0x55);
        data
    };
    for (name, content) in [
        ("cut.gz", gzip[..gzip.len() - 20].to_vec()),
        ("corrupt.gz", corrupt(&gzip)),
        ("header.gz", gzip[..5].to_vec()),
        ("cut.zst", zstd[..zstd.len() - 5].to_vec()),
        ("header.zst", zstd[..6].to_vec()),
        ("corrupt.zst", corrupt(&zstd)),
    ] {
        place.write(name, &content);
        // What a damaged stream still yields are lines of garbage; leaving those out does not make it whole.
        let parts = [name, "cannot read flows: ", "truncated or damaged"];
        let evaluate = format!("evaluate --bad-lines skip --snapshot snapshot.yaml --flows {name}");
        refuses(name, &place.run(&evaluate), &parts);
        refuses(name, &place.run(&format!("{} --bad-lines skip", CHECK.replace("flows.ndjson", name))), &parts);
        let ended = place.run_with_input(&evaluate.replace(name, "-"), &content);
        refuses(name, &ended, &["-", "cannot read flows: ", "truncated or damaged"]);
        refuses(name, &place.run(&format!("evaluate --snapshot snapshot.yaml --flows {name}")), &[name]);
        refuses(name, &place.run(&EVALUATE.replace("snapshot.yaml", name)), &[name, "snapshot"]);
    }
    for (name, parts) in [
        ("missing.ndjson", &["No such file", "check the path"][..]),
        ("snapshot.yaml/x", &["Not a directory", "check the path"]),
    ] {
        for command in [EVALUATE, CHECK] {
            let parts = [&[name][..], parts].concat();
            refuses(name, &place.run(&command.replace("flows.ndjson", name)), &parts);
            refuses(name, &place.run(&command.replace("snapshot.yaml", name)), &parts);
        }
    }
    for command in [EVALUATE, CHECK] {
        let ended = place.run(&command.replace("flows.ndjson", "base"));
        refuses("a folder", &ended, &["base: cannot read flows: is a directory; name the files in it"]);
    }
    symlink("nowhere", place.path().join("base/pods.yaml")).unwrap();
    let ended = place.run(&EVALUATE.replace("snapshot.yaml", "base"));
    refuses("a dangling link", &ended, &["base/pods.yaml: cannot read the snapshot: No such file"]);
    let ended = place.run(&CHECK.replace("head-dir head", "head-dir elsewhere"));
    refuses("no such folder", &ended, &["cannot read elsewhere", "No such file", "check the path"]);
    let ended = place.run("evaluate --snapshot - --flows flows.ndjson -");
    refuses("standard input twice", &ended, &["`-`, standard input, is named more than once", "save all but one"]);
}

#[test]
fn a_file_that_is_not_a_snapshot_is_refused() {
    let audit = |spec: &str| {
        format!(
            "{SNAPSHOT}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: bad, namespace: prod}}\nspec: {spec}\n"
        )
    };
    for (what, snapshot, parts) in [
        ("no YAML", format!("{SNAPSHOT}---\nkind: ["), &["document 6: line 4", "plain YAML or JSON"][..]),
        ("no JSON", "{\"kind\": \"Pod\",\n \"metadata\": [}".to_owned(), &["document 1: line 2"]),
        ("a key twice", "kind: Pod\nkind: Pod\n".to_owned(), &["document 1: line 2: key `kind` is given twice;"]),
        ("empty", String::new(), &["has no object that Foretell reads", "foretell snapshot --output"]),
        ("other things", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n".to_owned(), &["has no object"]),
        (
            "a CIDR",
            audit("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}"),
            &["document 6: NetworkPolicy prod/bad: spec.ingress[0].from[0].ipBlock.cidr: ", "10.0.0.0/33"],
        ),
        (
            "a wrong type",
            audit("{podSelector: {matchLabels: {app: 1}}}"),
            &["NetworkPolicy prod/bad: spec.podSelector.matchLabels.app: 1 is not text: write it in quotes, \"1\""],
        ),
        (
            "an item of a List",
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {}}\n".to_owned(),
            &["document 1, items[0]: Pod", "metadata.name: required"],
        ),
    ] {
        let place = place_to_check();
        place.write("snapshot.yaml", snapshot);
        for command in [EVALUATE, CHECK] {
            refuses(what, &place.run(command), &[&["snapshot.yaml"][..], parts].concat());
        }
    }
    let place = place_to_check();
    place.write("snapshot.yaml", b"kind: Pod\nname: \xff\xfe\n");
    refuses("no text", &place.run(EVALUATE), &["snapshot.yaml, line 2: not UTF-8", "save it as UTF-8"]);
    let ended = place.run(&EVALUATE.replace("snapshot.yaml", "base"));
    refuses("an empty folder", &ended, &["base: the snapshot has no object", "in folders, .yaml, .yml and .json"]);
}

#[test]
fn a_value_of_the_command_line_that_cannot_be_used_is_named() {
    let place = place_to_check();
    for (words, parts) in [
        ("--at yesterday", &["'yesterday' for '--at <TIME>'", "2026-11-21T02:00:00Z"][..]),
        ("--at 2026-11-21", &["--at", "2026-11-21T02:00:00Z"]),
        (
            "--window soon",
            &[
                "'soon' for '--window <SPAN>': is not a span of time; write a number and one of the units",
                "7d, 36h or 1d 12h",
            ],
        ),
        ("--window 7", &["--window", "is not a span of time; write"]),
        ("--window=-7d", &["--window", "is negative; write it without the sign, for example 7d"]),
        ("--window 20000y", &["--window"]),
        ("--window 1y", &["--window", "months or years, which differ in length; write it in weeks, days or hours"]),
        ("--window 7000000d", &["--window 168000000h reaches too far back from --at; choose a shorter one"]),
        ("--min-window none", &["'none' for '--min-window <SPAN>'", "for example 7d"]),
        ("--path a[", &["--path \"a[\"", "unclosed"]),
        ("--path=", &["--path \"\"", "is empty"]),
        ("--path polices/**", &["--path \"polices/**\" matches no file", "** does"]),
        ("--format yaml", &["--format", "markdown, json, table"]),
        ("--bad-lines keep", &["--bad-lines", "refuse, skip"]),
        ("--pod-cidr 10.0.0.0/33", &["--pod-cidr"]),
        ("--render false", &["--render failed at the base revision: \"false\" ended with exit status: 1"]),
        ("--repo .", &["--repo", "cannot be used with"]),
        ("--path base --render true", &["--path", "cannot be used with", "--render"]),
        ("--no-such-flag", &["--no-such-flag"]),
    ] {
        let at = if words.starts_with("--at") { CHECK.split(" --at").next().unwrap() } else { CHECK };
        refuses(words, &place.run(&format!("{at} {words}")), parts);
    }
    refuses("no command", &place.run("chekc"), &["unrecognized subcommand 'chekc'", "check"]);
    refuses("nothing to compare", &place.run("check --snapshot snapshot.yaml --flows flows.ndjson"), &["--repo"]);
}

#[test]
fn a_repository_or_revision_that_cannot_be_used_is_named() {
    let repository = Repository::new();
    repository.write("a.yaml", &policy("a", "x"));
    repository.commit();
    repository.branch("feature");
    repository.write("a.yaml", &policy("a", "y"));
    repository.commit();
    repository.checkout("main");
    repository.write("a.yaml", &policy("a", "z"));
    repository.commit();
    repository.branch("settings");
    repository.write(".foretell.yaml", "exceptions: {requireOnBas: true}\n");
    repository.commit();
    let state = repository.state();
    let place = Place::furnished();
    let root = repository.path().display().to_string();
    for (repo, base, head, parts) in [
        (root.as_str(), "no-such", "feature", &["--base \"no-such\": no such commit", "fetch-depth: 0"][..]),
        (&root, "main", "0123456789", &["--head \"0123456789\": no such commit"]),
        (&root, "main", "feature", &["causes a conflict in a.yaml; resolve it in the branch first"]),
        (&root, "settings", "main", &[".foretell.yaml at the base revision", "requireOnBas"]),
        (".", "main", "feature", &[".: not a Git repository", "--repo"]),
        ("absent", "main", "feature", &["absent", "--repo"]),
    ] {
        let words =
            format!("check --repo {repo} --base {base} --head {head} --snapshot snapshot.yaml --flows flows.ndjson");
        refuses(&words, &place.run(&words), parts);
    }
    let mut command = place.command(["check", "--repo", &root, "--base", "main", "--head", "main"]);
    command.args([
        "--snapshot",
        "snapshot.yaml",
        "--flows",
        "flows.ndjson",
        "--render",
        "echo broken chart >&2; exit 3",
    ]);
    let ended: Ended = command.output().unwrap().into();
    assert!(ended.stderr.starts_with("broken chart\nforetell: --render failed"), "{}", ended.stderr);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
    let mut command = place.command(["check", "--repo", &root, "--base", "main", "--head", "main"]);
    command.args(["--snapshot", "snapshot.yaml", "--flows", "flows.ndjson"]).env("PATH", "/nonexistent");
    refuses("no git", &command.output().unwrap().into(), &["cannot run git", "--base-dir"]);
    assert_eq!(repository.state(), state, "nothing is left behind");
}

#[test]
fn a_changed_manifest_that_cannot_be_judged_is_undecided_in_every_format() {
    let head = |spec: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: web, namespace: prod}}\nspec: {spec}\n"
        )
    };
    for (what, text, parts) in [
        ("no YAML", head("{podSelector: ["), &["document 2, line 6: unclosed bracket"][..]),
        ("an unknown field", head("{podSelectr: {}}"), &["spec.podSelectr: unknown field: did you mean podSelector?"]),
        ("a wrong type", head("{podSelector: {}, policyTypes: Ingress}"), &["spec.policyTypes: invalid type"]),
        ("a wrong value", head("{podSelector: {}, policyTypes: [ingress]}"), &["write Ingress or Egress"]),
        (
            "leading zeros",
            head("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 010.0.0.0/8}}]}]}"),
            &["from[0].ipBlock.cidr: \"010.0.0.0/8\" has leading zeros", "write \"10.0.0.0/8\""],
        ),
        (
            "no CIDR",
            head("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0}}]}]}"),
            &["spec.ingress[0].from[0].ipBlock.cidr: ", "10.0.0"],
        ),
        (
            "another version",
            head("{}").replace("networking.k8s.io/v1", "networking.k8s.io/v1beta1"),
            &["apiVersion", "v1beta1"],
        ),
        ("a template", head("{podSelector: {matchLabels: {{ .Values.labels }}}}"), &["--render"]),
    ] {
        let place = place_to_check();
        place.write("head/web.yaml", format!("a: 1\n---\n{text}"));
        for format in ["markdown", "json", "table"] {
            let Ended { status, stdout, stderr } = place.run(&format!("{CHECK} --format {format}"));
            assert_eq!((status, stderr.as_str()), (Some(2), ""), "{what}: {stdout}");
            assert!(stdout.contains("Could not decide"), "{what}: {stdout}");
            let plain = if format == "json" { stdout.replace("\\\"", "\"") } else { stdout.replace('\\', "") };
            for part in [&["web.yaml"][..], parts].concat() {
                assert!(plain.contains(part), "{what}, {format}: {part:?} is not in {plain}");
            }
            if format == "table" {
                println!("{what}\n{stdout}");
            }
        }
    }
}

#[test]
fn empty_flows_are_not_an_error_but_no_evidence() {
    let place = place_to_check();
    place.write("flows.ndjson", "");
    let ended = place.run(EVALUATE);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("0 flows judged by 1 policy"), "{}", ended.stderr);
    place.write("head/web.yaml", SNAPSHOT.rsplit("---\n").next().unwrap().replace("name: db,", "name: more,"));
    let ended = place.run(CHECK);
    assert_eq!(ended.status, Some(0), "{}", ended.stdout);
    assert!(ended.stdout.contains("Evidence is unknown"), "{}", ended.stdout);
    let ended = place.run(&format!("{CHECK} --min-window 1h"));
    assert_eq!(ended.status, Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("Pending"), "{}", ended.stdout);
}
