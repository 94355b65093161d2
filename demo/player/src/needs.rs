//! What a play needs of the machine.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// Type information of the running kernel, by which the agent finds its way in it.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// What is missing, and how to come by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedError {
    /// Not root.
    #[error("needs root, to make cgroups and a network namespace and to load eBPF programs: run it with sudo")]
    Root,
    /// No cgroup2.
    #[error("needs cgroup2, and /proc/mounts names none: mount -t cgroup2 none /sys/fs/cgroup/unified")]
    Cgroup2,
    /// No BTF.
    #[error("needs a kernel >= 5.8 with BTF, and {BTF} is not there: most distributions' own kernels have it")]
    Btf,
    /// No agent.
    #[error("needs the capture agent, and {} is not there: cargo build --release -p foretell-capture", .0.display())]
    Capture(PathBuf),
}

/// The cgroup2 mount, once everything is there.
///
/// # Errors
/// [`NeedError`] with the first thing that is missing.
pub fn check(capture: &Path) -> Result<PathBuf, NeedError> {
    if !Uid::effective().is_root() {
        return Err(NeedError::Root);
    }
    if !Path::new(BTF).exists() {
        return Err(NeedError::Btf);
    }
    if !capture.is_file() {
        return Err(NeedError::Capture(capture.to_owned()));
    }
    cgroup2_mount(&fs::read_to_string("/proc/mounts").unwrap_or_default()).ok_or(NeedError::Cgroup2)
}

/// The first mount of type cgroup2: on a hybrid machine it is not where one would look.
fn cgroup2_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_source, target, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(target))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_on_pure_and_hybrid_machines() {
        let pure = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mount(pure), Some("/sys/fs/cgroup".into()));
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mount(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroup2_mount("proc /proc proc rw 0 0\n"), None);
    }
}
