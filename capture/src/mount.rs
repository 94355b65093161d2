//! Finds the cgroup2 mount and kubelet's folder in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where kubelet's cgroup drivers put pods: systemd, cgroupfs, and both of them below the cgroup root that kind configures.
const KUBEPODS: [&str; 4] = ["kubepods.slice", "kubepods", "kubelet.slice/kubelet-kubepods.slice", "kubelet/kubepods"];

/// The folder to which the programs are attached, and its mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The cgroup2 mount.
    pub mount: PathBuf,
    /// The folder below which packets are observed.
    pub path: PathBuf,
}

/// Why no folder was found.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No cgroup2 file system is mounted.
    #[error(
        "no cgroup2 file system is mounted (/proc/mounts lists none): mount it, or in a container add the host's as a hostPath volume"
    )]
    NoCgroup2,
    /// There is no folder of kubelet.
    #[error("no kubepods folder below {}: is this a Kubernetes node? If so, name its folder with --cgroup", .0.display())]
    NoKubepods(PathBuf),
    /// The given folder is not in a cgroup2 mount.
    #[error("--cgroup {}: is not in a cgroup2 file system (mounted at {})", .path.display(), .mounts)]
    NotCgroup2 {
        /// The given folder.
        path: PathBuf,
        /// The cgroup2 mounts.
        mounts: String,
    },
    /// The given folder cannot be read.
    #[error("--cgroup {}: {problem}", .path.display())]
    Unreadable {
        /// The given folder.
        path: PathBuf,
        /// The operating system's error.
        problem: io::Error,
    },
}

/// Finds the mount of the given folder, or kubelet's folder if none is given.
///
/// # Errors
/// [`NodeError`] if there is no such folder in a cgroup2 file system.
pub fn find(given: Option<&Path>) -> Result<Node, NodeError> {
    let mounts = cgroup2_mounts(&fs::read("/proc/mounts").unwrap_or_default());
    if mounts.is_empty() {
        return Err(NodeError::NoCgroup2);
    }
    let Some(given) = given else { return find_kubepods(&mounts) };
    let path = given.canonicalize().map_err(|problem| NodeError::Unreadable { path: given.to_owned(), problem })?;
    // The innermost mount, if mounts are nested.
    match mounts.iter().filter(|mount| path.starts_with(mount)).max_by_key(|mount| mount.as_os_str().len()) {
        Some(mount) if path.is_dir() => Ok(Node { mount: mount.clone(), path }),
        _ => {
            let mounts: Vec<_> = mounts.iter().map(|mount| mount.display().to_string()).collect();
            Err(NodeError::NotCgroup2 { path, mounts: mounts.join(", ") })
        }
    }
}

fn find_kubepods(mounts: &[PathBuf]) -> Result<Node, NodeError> {
    for mount in mounts {
        for folder in KUBEPODS {
            let path = mount.join(folder);
            if path.is_dir() {
                return Ok(Node { mount: mount.clone(), path });
            }
        }
    }
    Err(NodeError::NoKubepods(mounts[0].clone()))
}

/// Mount points of type cgroup2 in /proc/mounts, which writes blanks as octal escapes.
fn cgroup2_mounts(mounts: &[u8]) -> Vec<PathBuf> {
    String::from_utf8_lossy(mounts)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_source, target, kind) = (fields.next()?, fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(target.replace("\\040", " ").replace("\\011", "\t")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_in_pure_and_hybrid_setups() {
        let hybrid = b"tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(cgroup2_mounts(hybrid), [PathBuf::from("/sys/fs/cgroup/unified")]);
        let pure = b"cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        assert_eq!(cgroup2_mounts(pure), [PathBuf::from("/sys/fs/cgroup")]);
        assert_eq!(cgroup2_mounts(b"host /a\\040b cgroup2 rw 0 0\nbroken\n"), [PathBuf::from("/a b")]);
    }

    #[test]
    fn kubelets_folder_is_found_in_every_layout() {
        for folder in KUBEPODS {
            let mount = tempfile::tempdir().unwrap();
            fs::create_dir_all(mount.path().join(folder)).unwrap();
            let node = find_kubepods(&[mount.path().to_owned()]).unwrap();
            assert_eq!(node.path, mount.path().join(folder));
        }
    }

    #[test]
    fn the_error_for_a_missing_folder_names_it_and_the_option() {
        let mount = tempfile::tempdir().unwrap();
        let error = find_kubepods(&[mount.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("--cgroup"), "{error}");
        assert!(error.contains(&mount.path().display().to_string()), "{error}");
    }
}
