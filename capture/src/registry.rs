//! Which cgroup id is which pod, remembered for some time after the cgroup has gone.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::handle::{self, Found};
use crate::mount::Node;
use crate::pod;

/// Sweeps for which a cgroup that has gone is remembered: its last packets may be read that late.
const REMEMBERED_SWEEPS: u32 = 30;
/// Upper bound of what is remembered, far over the cgroups of any node.
const MOST: usize = 262_144;

/// Who a cgroup belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A pod, by its UID or a static pod's config hash.
    Pod(Arc<str>),
    /// A cgroup that is there and is no pod's.
    Host,
    /// It was gone before it could be looked up: whose it was is lost.
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
    /// Learns the cgroups there are now at and below the node's folder.
    #[must_use]
    pub fn new(node: Node) -> Self {
        let mut registry = Self { node, entries: HashMap::new(), sweep: 0 };
        registry.walk();
        registry
    }

    /// The owner of a cgroup. An unknown one is looked for at once, while it is likely to exist still.
    pub fn owner(&mut self, cgroup: u64) -> Owner {
        if let Some(entry) = self.entries.get_mut(&cgroup) {
            entry.used = self.sweep;
            return entry.owner.clone();
        }
        // The kernel gives no id to a socket that is closing down.
        if cgroup == 0 {
            return Owner::Host;
        }
        let owner = match handle::find(&self.node.mount, cgroup) {
            Found::At(folder) => self.owner_of(&folder),
            Found::Gone => Owner::Gone,
            // Once an id: what a walk does not find is remembered as gone, and ids are never used again.
            Found::Unknown => {
                self.walk();
                self.entries.get(&cgroup).map_or(Owner::Gone, |entry| entry.owner.clone())
            }
        };
        self.insert(cgroup, owner.clone());
        owner
    }

    /// Walks once more and forgets what was neither found nor asked for in the last sweeps.
    pub fn sweep(&mut self) {
        self.sweep += 1;
        self.walk();
        let sweep = self.sweep;
        self.entries.retain(|_, entry| sweep - entry.used <= REMEMBERED_SWEEPS);
    }

    fn insert(&mut self, cgroup: u64, owner: Owner) {
        if self.entries.len() < MOST || self.entries.contains_key(&cgroup) {
            self.entries.insert(cgroup, Entry { owner, used: self.sweep });
        }
    }

    fn walk(&mut self) {
        let mut folders = vec![self.node.path.clone()];
        while let Some(folder) = folders.pop() {
            // A folder may go while it is read: then it has no cgroup to learn.
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
    fn pods_are_learnt_by_walking_and_remembered_when_gone() {
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
        assert_eq!(registry.owner(cgroup), pod, "asking for it counts as use");
        for _ in 0..=REMEMBERED_SWEEPS {
            registry.sweep();
        }
        assert_eq!(registry.entries.get(&cgroup).map(|entry| &entry.owner), None);
    }

    #[test]
    fn a_cgroup_made_later_is_found_when_asked_for() {
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
