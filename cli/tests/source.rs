//! Reading the two revisions of a change, from real Git repositories and folders.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod source_repository;

use std::fs;
use std::path::Path;

use foretell_cli::source::error::SourceError;
use foretell_cli::source::{Loaded, Request, Revisions, load};
use source_repository::{Repository, deployment, policy};

fn request(repository: &Repository, base: &str, head: &str) -> Request {
    let revisions = Revisions::Git { repo: repository.path(), base: base.to_owned(), head: head.to_owned() };
    Request { revisions, paths: Vec::new(), namespace: "default".to_owned(), render: None }
}

fn folders(base: &Path, head: &Path) -> Request {
    let revisions = Revisions::Folders { base: base.to_owned(), head: head.to_owned() };
    Request { revisions, paths: Vec::new(), namespace: "default".to_owned(), render: None }
}

fn error(request: &Request) -> SourceError {
    match load(request) {
        Err(error) => error,
        Ok(loaded) => panic!("no error, but {loaded:?}"),
    }
}

/// `default/web` of each side, in order.
fn names(loaded: &Loaded) -> (Vec<String>, Vec<String>) {
    let named = |sourced: &[foretell_policy::change::revisions::Sourced]| {
        sourced.iter().map(|s| format!("{}/{}", s.object.id().namespace, s.object.id().name)).collect()
    };
    (named(&loaded.change.before), named(&loaded.change.after))
}

#[test]
fn a_branch_is_compared_with_its_base() {
    let repository = Repository::new();
    repository.write("policies/web.yaml", &policy("web", "a"));
    repository.write("README.md", "kind: NetworkPolicy");
    let base = repository.commit();
    repository.branch("feature");
    repository.write(
        "policies/db.json",
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"db"},"spec":{}}"#,
    );
    repository.remove("policies/web.yaml");
    repository.commit();

    let loaded = load(&request(&repository, "main", "feature")).unwrap();
    assert_eq!(names(&loaded), (vec!["default/web".to_owned()], vec!["default/db".to_owned()]));
    assert!(base.starts_with(&loaded.base) && loaded.base.len() < 12, "{}", loaded.base);
    let place = &loaded.change.after[0].place;
    assert_eq!(place.to_string(), "policies/db.json, document 1");
    assert_eq!((loaded.change.undecided.len(), loaded.change.not_judged.len()), (0, 0));
}

#[test]
fn if_the_base_has_moved_on_the_merge_is_judged() {
    let repository = Repository::new();
    repository.write("a.yaml", &policy("a", "x"));
    repository.write("b.yaml", &policy("b", "x"));
    repository.commit();
    repository.branch("feature");
    repository.write("c.yaml", &policy("c", "x"));
    repository.commit();
    repository.checkout("main");
    repository.write("a.yaml", &policy("a", "changed-at-the-base"));
    repository.remove("b.yaml");
    repository.write("d.yaml", &policy("d", "x"));
    repository.commit();
    let before = repository.state();

    let loaded = load(&request(&repository, "main", "feature")).unwrap();
    let (at_base, merged) = names(&loaded);
    assert_eq!(
        (at_base.join(" "), merged.join(" ")),
        ("default/a default/d".to_owned(), "default/a default/c default/d".to_owned())
    );
    assert_eq!(
        loaded.change.before[0].object, loaded.change.after[0].object,
        "the branch does not undo the base's change"
    );
    assert_eq!(repository.state(), before, "neither work tree nor index nor refs are touched");

    // The base has every commit of the branch: there is no change.
    let loaded = load(&request(&repository, "main", "main~1")).unwrap();
    assert_eq!(loaded.change.before, loaded.change.after);
}

#[test]
fn a_conflict_names_its_files() {
    let repository = Repository::new();
    repository.write("policies/wéb.yaml", &policy("web", "a"));
    repository.write("other.yaml", "a: 1\n");
    repository.commit();
    repository.branch("feature");
    repository.write("policies/wéb.yaml", &policy("web", "b"));
    repository.commit();
    repository.checkout("main");
    repository.write("policies/wéb.yaml", &policy("web", "c"));
    repository.commit();
    let error = error(&request(&repository, "main", "feature"));
    assert!(matches!(&error, SourceError::Conflict { files, .. } if files == &["policies/wéb.yaml"]), "{error:?}");
    assert!(error.to_string().contains("conflict in policies/wéb.yaml"), "{error}");
}

#[test]
fn a_missing_repository_revision_or_path_is_named_with_the_fix() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1\n");
    repository.commit();
    repository.orphan("elsewhere");
    repository.write("b.yaml", "b: 1\n");
    repository.commit();
    let nowhere = tempfile::tempdir().unwrap();
    let mut outside = request(&repository, "main", "main");
    outside.revisions =
        Revisions::Git { repo: nowhere.path().to_owned(), base: "main".to_owned(), head: "main".to_owned() };
    let mut absent = outside.clone();
    absent.revisions =
        Revisions::Git { repo: nowhere.path().join("absent"), base: "main".to_owned(), head: "main".to_owned() };
    let mut bad_path = request(&repository, "main", "main");
    bad_path.paths = vec!["a[".to_owned()];
    let mut typo = request(&repository, "main", "main");
    typo.paths = vec!["a.yaml".to_owned(), "polices/**".to_owned()];
    for (what, request, parts) in [
        ("no such base", request(&repository, "no-such", "main"), vec!["--base \"no-such\"", "fetch-depth: 0"]),
        ("no such head", request(&repository, "main", "0123456789"), vec!["--head \"0123456789\"", "fetch"]),
        ("an option", request(&repository, "main", "--all"), vec!["--head \"--all\""]),
        ("a tree", request(&repository, "main", "main:"), vec!["--head \"main:\""]),
        ("nothing", request(&repository, "", "main"), vec!["--base \"\""]),
        ("other histories", request(&repository, "main", "elsewhere"), vec!["no commit in common"]),
        ("no repository", outside, vec!["not a Git repository", "--repo", &nowhere.path().display().to_string()]),
        ("no folder", absent, vec!["absent", "--repo"]),
        ("no glob", bad_path, vec!["--path \"a[\"", "unclosed"]),
        ("a path that matches nothing", typo, vec!["--path \"polices/**\"", "matches no file"]),
    ] {
        let message = error(&request).to_string();
        for part in parts {
            assert!(message.contains(part), "{what}: {part:?} in {message}");
        }
        assert!(!message.contains('\n'), "{what}: {message}");
    }
}

#[test]
fn a_shallow_clone_says_how_to_deepen_it() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1\n");
    repository.commit();
    repository.branch("feature");
    repository.write("b.yaml", "b: 1\n");
    repository.commit();
    repository.checkout("main");
    repository.write("c.yaml", "c: 1\n");
    repository.commit();
    let clone = repository.shallow_clone();
    let error = error(&request(&clone, "origin/main", "origin/feature"));
    assert!(matches!(error, SourceError::ShallowClone { .. }), "{error:?}");
    assert!(error.to_string().contains("fetch-depth: 0"), "{error}");
}

#[test]
fn paths_limit_which_files_are_read() {
    let repository = Repository::new();
    for path in ["policies/a.yaml", "policies/deep/b.yaml", "apps/policies/c.yaml", "d.yml"] {
        let name = path.rsplit('/').next().unwrap().split('.').next().unwrap();
        repository.write(path, &policy(name, "x"));
    }
    repository.commit();
    for (paths, expected) in [
        (&[][..], "a b c d"),
        (&["policies"], "a b"),
        (&["./policies/"], "a b"),
        (&["policies/**"], "a b"),
        (&["policies/*"], "a b"),
        (&["policies/*.yaml"], "a"),
        (&["**/policies"], "a b c"),
        (&["*.yml"], "d"),
        (&["**/*.yaml"], "a b c"),
        (&["policies/deep", "d.yml"], "b d"),
        (&["."], "a b c d"),
        (&["policies/{a,x}.yaml"], "a"),
    ] {
        let mut request = request(&repository, "main", "main");
        request.paths = paths.iter().map(|&path| path.to_owned()).collect();
        let names: Vec<_> =
            load(&request).unwrap().change.after.iter().map(|sourced| sourced.object.id().name).collect();
        assert_eq!(names.join(" "), expected, "{paths:?}");
    }
}

#[test]
fn links_submodules_and_large_files_are_not_manifests() {
    let repository = Repository::new();
    repository.write("a.yaml", &policy("a", "x"));
    repository.commit();
    repository.branch("feature");
    std::os::unix::fs::symlink("a.yaml", repository.path().join("link.yaml")).unwrap();
    repository.submodule("sub.yaml");
    repository.write("data.json", &format!("{{\"kind\": \"Pod\", \"x\": \"{}\"}}", "x".repeat(17 << 20)));
    repository.commit();
    let loaded = load(&request(&repository, "main", "feature")).unwrap();
    assert_eq!(names(&loaded).1, ["default/a"]);
    let [named] = &loaded.change.not_judged[..] else { panic!("{:?}", loaded.change) };
    assert!(named.to_string().starts_with("data.json: is larger than 16 MiB"), "{named}");

    repository.write("all.yaml", &format!("{}---\na: {}\n", policy("b", "x"), "x".repeat(17 << 20)));
    repository.commit();
    assert_eq!(load(&request(&repository, "main", "feature")).unwrap().change.undecided.len(), 1);
}

#[test]
fn folders_are_compared() {
    let (base, head) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, app) in [(base.path(), "a"), (head.path(), "b")] {
        fs::create_dir_all(folder.join("x/.git")).unwrap();
        fs::write(folder.join("x/web.yaml"), policy("web", app)).unwrap();
        fs::write(folder.join("x/.git/hidden.yaml"), policy("hidden", app)).unwrap();
        std::os::unix::fs::symlink("/", folder.join("x/loop")).unwrap();
    }
    let loaded = load(&folders(base.path(), head.path())).unwrap();
    assert_eq!(names(&loaded), (vec!["default/web".to_owned()], vec!["default/web".to_owned()]));
    assert_ne!(loaded.change.before[0].object, loaded.change.after[0].object);
    assert_eq!(loaded.base, base.path().display().to_string());

    let absent = head.path().join("absent");
    assert!(error(&folders(&absent, head.path())).to_string().contains("absent"));
    fs::write(head.path().join("file"), "").unwrap();
    assert!(error(&folders(base.path(), &head.path().join("file"))).to_string().contains("cannot read"));
}

#[test]
fn rendered_manifests_are_compared() {
    let repository = Repository::new();
    repository.write("chart/templates/web.yaml", &policy("{{ name }}", "{{ app }}"));
    repository.write("chart/app", "a");
    repository.commit();
    repository.branch("feature");
    repository.write("chart/app", "b");
    repository.commit();
    let before = repository.state();

    let mut request = request(&repository, "main", "feature");
    request.namespace = "prod".to_owned();
    request.render = Some(
        "echo a message >&2; sed \"s/{{ name }}/web/; s/{{ app }}/$(cat chart/app)/\" chart/templates/web.yaml"
            .to_owned(),
    );
    let loaded = load(&request).unwrap();
    assert_eq!(names(&loaded), (vec!["prod/web".to_owned()], vec!["prod/web".to_owned()]));
    assert_ne!(loaded.change.before[0].object, loaded.change.after[0].object);
    assert_eq!(loaded.change.after[0].place.file, "(rendered)");
    assert_eq!(repository.state(), before);

    for (command, parts) in [
        ("echo what is wrong >&2; exit 3", vec!["base revision", "exit status: 3", "what is wrong"]),
        ("test \"$(cat chart/app)\" = a", vec!["merged revision", "exit status: 1"]),
        ("kill -9 $$", vec!["signal: 9"]),
        ("no-such-command-here", vec!["exit status: 127", "not found"]),
    ] {
        request.render = Some(command.to_owned());
        let message = error(&request).to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message}");
        }
    }
    request.render = Some("echo 'kind: Pod'; echo 'a: ['".to_owned());
    assert_eq!(load(&request).unwrap().change.undecided.len(), 2);
    request.render = Some("true".to_owned());
    assert!(load(&request).unwrap().change.after.is_empty());
    request.render = Some("cat".to_owned());
    load(&request).unwrap();

    let mut in_folders = folders(&repository.path(), &repository.path());
    in_folders.render = Some("cat chart/templates/web.yaml | sed 's/{{ [a-z]* }}/x/g'".to_owned());
    assert_eq!(names(&load(&in_folders).unwrap()).1, ["default/x"]);
}

#[test]
fn a_bare_repository_and_a_linked_work_tree_can_be_read() {
    let repository = Repository::new();
    repository.write("sub/web.yaml", &policy("web", "a"));
    repository.commit();
    let mut request = request(&repository, "main", "main");
    for repo in [repository.bare_clone().path(), repository.linked_work_tree(), repository.path().join("sub")] {
        request.revisions = Revisions::Git { repo, base: "main".to_owned(), head: "main".to_owned() };
        request.render = None;
        assert_eq!(load(&request).unwrap().change.after[0].place.file, "sub/web.yaml");
        request.render = Some("cat sub/web.yaml".to_owned());
        assert_eq!(names(&load(&request).unwrap()).1, ["default/web"]);
    }
}

#[test]
fn settings_come_from_the_base() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1\n");
    repository.commit();
    repository.write(".foretell.yaml", "exceptions: {requireOnBase: true}\n");
    repository.commit();
    repository.branch("feature");
    repository.write(".foretell.yaml", "exceptions: {requireOnBase: false}\n");
    repository.commit();
    repository.write(".foretell.yaml", "# nothing\n");
    repository.commit();
    for (base, required) in [("main~1", false), ("main", true), ("feature~1", false), ("feature", false)] {
        let loaded = load(&request(&repository, base, "feature")).unwrap();
        assert_eq!(loaded.settings.exceptions.require_on_base, required, "{base}");
    }
    for (text, part) in [
        ("exceptions: {requireOnBas: true}\n", "requireOnBas"),
        ("exceptions: {requireOnBase: maybe}\n", "line 1"),
        ("a: [\n", "line"),
        ("window: 7d\n", "window"),
    ] {
        repository.write(".foretell.yaml", text);
        repository.commit();
        let message = error(&request(&repository, "feature", "feature")).to_string();
        assert!(message.starts_with(".foretell.yaml at the base revision: ") && message.contains(part), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".foretell.yaml"), "exceptions: {requireOnBase: true}\n").unwrap();
    assert!(load(&folders(folder.path(), folder.path())).unwrap().settings.exceptions.require_on_base);
}

#[test]
fn a_hundred_thousand_files_are_read() {
    let repository = Repository::new();
    repository.fast_import(|n| {
        let folder = format!("apps/{}/{}/{n}", n / 5_000, n / 100);
        match n % 100 {
            0 => (format!("{folder}/policy.yaml"), policy(&format!("p{n}"), "x")),
            1..5 => (format!("{folder}/deployment.yaml"), deployment(&format!("d{n}"), "x")),
            5..20 => (format!("{folder}/values.yaml"), format!("image: {n}\n")),
            20..30 => (format!("{folder}/package.json"), format!("{{\"name\": \"kind-{n}\"}}")),
            _ => (format!("{folder}/main.rs"), format!("// {n}\n")),
        }
    });
    let start = std::time::Instant::now();
    let loaded = load(&request(&repository, "main", "main")).unwrap();
    println!("read in {:?}", start.elapsed());
    assert_eq!(loaded.change.after.len(), 5_000);

    let mut narrowed = request(&repository, "main", "main");
    narrowed.paths = vec!["apps/0/0".to_owned()];
    let start = std::time::Instant::now();
    assert_eq!(load(&narrowed).unwrap().change.after.len(), 5);
    println!("narrowed in {:?}", start.elapsed());
}

#[test]
fn commands_of_the_user_and_hooks_of_the_repository_do_not_run() {
    let repository = Repository::new();
    repository.write("a.yaml", &policy("a", "x"));
    repository.commit();
    let trap = repository.path().join("sprung");
    let script = format!("#!/bin/sh\ntouch {}\n", trap.display());
    for hook in ["post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"] {
        repository.executable(&format!(".git/hooks/{hook}"), &script);
    }
    repository.executable("fsmonitor", &script);
    repository.configure("core.fsmonitor", &repository.path().join("fsmonitor").display().to_string());
    repository.configure("core.pager", &format!("touch {}", trap.display()));
    let _ = fs::remove_file(&trap);
    let mut request = request(&repository, "main", "main");
    load(&request).unwrap();
    request.render = Some("cat a.yaml".to_owned());
    load(&request).unwrap();
    assert!(!trap.exists());
}
