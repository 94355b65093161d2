//! What a person who watches is shown, and what of it is held against what was shown before.

use std::{env, fs, io};

use foretell_tests::cluster::Cluster;
use foretell_tests::machine;

/// Says what happens; the test harness keeps it to itself unless it is told not to.
pub(crate) fn tell(what: &str, shown: &str) {
    println!("\n━━ {what}\n");
    if !shown.is_empty() {
        println!("{}", shown.trim_end());
    }
}

/// With `FORETELL_STAY` the cluster runs on until whoever watches presses Enter.
pub(crate) fn stay(cluster: &Cluster) {
    if env::var_os("FORETELL_STAY").is_none_or(|value| value.is_empty()) {
        return;
    }
    let reached = format!("export KUBECONFIG={}", cluster.kubeconfig().display());
    tell("The cluster runs until you press Enter", &reached);
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// A comment without what is another each time: how often and when something was seen, and of which commits it speaks.
pub(crate) fn redacted(comment: &str) -> String {
    let line = |line: &str| -> String {
        let mut cells: Vec<&str> = line.split(" | ").collect();
        match line {
            _ if line.starts_with("<!-- ") => line.rsplitn(3, ' ').last().unwrap().to_owned() + " … -->",
            _ if line.starts_with("| `D-") => {
                (cells[4], cells[5]) = ("…", "…");
                cells.join(" | ")
            }
            _ if line.contains(" flow records of ") => "… flow records".to_owned(),
            _ if line.starts_with("Judged ") => "Judged …".to_owned(),
            _ => line.to_owned(),
        }
    };
    comment.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Compares with a file in `tests/golden/story`; with `FORETELL_UPDATE_GOLDEN` it is written.
pub(crate) fn golden(name: &str, text: &str) {
    let path = machine::root().join("tests/golden/story").join(name);
    if env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; `make golden` writes it. It is now:\n{text}", path.display());
}
