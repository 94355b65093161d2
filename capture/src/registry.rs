//! Maps cgroup ids to pods, and remembers them for some time after the cgroup was removed.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::handle::{self, CgroupLookup};
use crate::mount::Node;
use crate::pod;

/// Number of sweeps for which a removed cgroup is remembered. Its last packets may be read that late.
const REMEMBERED_SWEEPS: u32 = 30;
/// Maximum number of remembered cgroups, far more than any node has.
const MAX_ENTRIES: usize = 262_144;

/// The owner of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A pod, by its UID or a static pod's config hash.
    Pod(Arc<str>),
    /// The cgroup exists and does not belong to a pod.
    Host,
    /// The cgroup was removed before it could be looked up, so its owner is unknown.
    Gone,
}

#[derive(Debug)]
struct Entry {
    owner: Owner,
    used: u32,
}

/// Owners by cgroup id.
#[derive(Debug)]
pub struct Registry {
    node: Node,
    entries: HashMap<u64, Entry>,
    sweep: u32,
}

impl Registry {
    /// Reads the cgroups that exist now in the node's folder and below.
    #[must_use]
    pub fn new(node: Node) -> Self {
        let mut registry = Self { node, entries: HashMap::new(), sweep: 0 };
        registry.walk();
        registry
    }

    /// The owner of a cgroup. An unknown cgroup is looked up at once, while it probably still exists.
    pub fn owner(&mut self, cgroup: u64) -> Owner {
        if let Some(entry) = self.entries.get_mut(&cgroup) {
            entry.used = self.sweep;
            return entry.owner.clone();
        }
        // The kernel reports the id 0 for a socket that is being closed.
        if cgroup == 0 {
            return Owner::Host;
        }
        let owner = match handle::find(&self.node.mount, cgroup) {
            CgroupLookup::Folder(folder) => self.owner_of(&folder),
            CgroupLookup::Gone => Owner::Gone,
            // One walk per id: an id that the walk does not find is remembered as gone, and ids are never reused.
            CgroupLookup::Unknown => {
                self.walk();
                self.entries.get(&cgroup).map_or(Owner::Gone, |entry| entry.owner.clone())
            }
        };
        self.insert(cgroup, owner.clone());
        owner
    }

    /// Reads the folders again, and forgets cgroups that were neither found nor requested in the last sweeps.
    pub fn sweep(&mut self) {
        self.sweep += 1;
        self.walk();
        let sweep = self.sweep;
        self.entries.retain(|_, entry| sweep - entry.used <= REMEMBERED_SWEEPS);
    }

    fn insert(&mut self, cgroup: u64, owner: Owner) {
        if self.entries.len() < MAX_ENTRIES || self.entries.contains_key(&cgroup) {
            self.entries.insert(cgroup, Entry { owner, used: self.sweep });
        }
    }

    fn walk(&mut self) {
        let mut folders = vec![self.node.path.clone()];
        while let Some(folder) = folders.pop() {
            // A folder may be removed while it is read. Then there is no cgroup to record.
            let Ok(metadata) = fs::symlink_metadata(&folder) else { continue };
            // On cgroup2 a folder's inode number is the cgroup's id.
            let owner = self.owner_of(&folder);
            self.insert(metadata.ino(), owner);
            folders.extend(subfolders(&folder));
        }
    }

    fn owner_of(&self, folder: &Path) -> Owner {
        let path = folder.strip_prefix(&self.node.mount).unwrap_or(folder);
        match pod::uid(&path.to_string_lossy()) {
            Some(uid) => Owner::Pod(uid.into()),
            None => Owner::Host,
        }
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(mount: &Path) -> Registry {
        Registry::new(Node { mount: mount.to_owned(), path: mount.join("kubepods") })
    }

    fn id(folder: &Path) -> u64 {
        fs::metadata(folder).unwrap().ino()
    }

    #[test]
    fn pods_are_found_by_walking_and_remembered_after_their_removal() {
        let mount = tempfile::tempdir().unwrap();
        let container = mount.path().join("kubepods/besteffort/pod123/c");
        fs::create_dir_all(&container).unwrap();
        let mut registry = registry(mount.path());
        let cgroup = id(&container);
        fs::remove_dir(&container).unwrap();
        let pod = Owner::Pod("123".into());
        for _ in 0..REMEMBERED_SWEEPS {
            registry.sweep();
        }
        assert_eq!(registry.owner(cgroup), pod);
        for _ in 0..REMEMBERED_SWEEPS {
            registry.sweep();
        }
        assert_eq!(registry.owner(cgroup), pod, "a lookup counts as use");
        for _ in 0..=REMEMBERED_SWEEPS {
            registry.sweep();
        }
        assert_eq!(registry.entries.get(&cgroup).map(|entry| &entry.owner), None);
    }

    #[test]
    fn a_cgroup_that_is_made_later_is_found() {
        let mount = tempfile::tempdir().unwrap();
        fs::create_dir_all(mount.path().join("kubepods")).unwrap();
        let mut registry = registry(mount.path());
        let container = mount.path().join("kubepods/pod9/c");
        fs::create_dir_all(&container).unwrap();
        registry.walk();
        assert_eq!(registry.owner(id(&container)), Owner::Pod("9".into()));
        assert_eq!(registry.owner(id(&mount.path().join("kubepods"))), Owner::Host);
        assert_eq!(registry.owner(0), Owner::Host);
        assert_eq!(registry.owner(u64::MAX), Owner::Gone);
    }
}
