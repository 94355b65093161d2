//! Which cgroup id is which pod, remembered for some time after the cgroup has gone.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        // Once an id: what a walk does not find is remembered as gone, and ids are never used again.
        self.walk();
        if let Some(entry) = self.entries.get(&cgroup) {
            return entry.owner.clone();
        }
        self.insert(cgroup, Owner::Gone);
        Owner::Gone
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
