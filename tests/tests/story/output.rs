//! The output for a person who watches, and the part of it that is compared with golden files.

use std::{env, io};

use foretell_tests::cluster::Cluster;

/// Prints a step of the story. The test harness hides it without `--nocapture`.
pub(crate) fn show(what: &str, shown: &str) {
    println!("\n━━ {what}\n");
    if !shown.is_empty() {
        println!("{}", shown.trim_end());
    }
}

/// With `FORETELL_STAY` the cluster keeps running until someone presses Enter.
pub(crate) fn stay(cluster: &Cluster) {
    if env::var_os("FORETELL_STAY").is_none_or(|value| value.is_empty()) {
        return;
    }
    let reached = format!("export KUBECONFIG={}", cluster.kubeconfig().display());
    show("The cluster runs until you press Enter", &reached);
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// A comment without the parts that differ between runs: counts, times and commits.
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
