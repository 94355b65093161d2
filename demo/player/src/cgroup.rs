//! The play's own cgroups, laid out as kubelet lays them out, and gone when the play is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

const PREFIX: &str = "foretell-demo-";
/// How long a cgroup may take to be empty after its last process was killed.
const EMPTIES_WITHIN: Duration = Duration::from_secs(5);

/// A folder in cgroup2 with everything below it; removed when dropped, after the processes in it have ended.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
}

impl Cgroups {
    /// Makes the play's folder, and clears away those of plays that were killed before they could.
    ///
    /// # Errors
    /// Where no folder can be made in cgroup2.
    pub fn make(mount: &Path) -> anyhow::Result<Self> {
        for left in left_behind(mount) {
            let _busy = remove(&left);
        }
        let root = mount.join(format!("{PREFIX}{}", std::process::id()));
        let problem = || format!("cannot make the cgroup {}: is cgroup2 writable here?", root.display());
        fs::create_dir(&root).with_context(problem)?;
        Ok(Self { root })
    }

    /// A folder of the play's.
    #[must_use]
    pub fn path(&self, below: &Path) -> PathBuf {
        self.root.join(below)
    }

    /// Makes a cgroup below the play's.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn add(&self, below: &Path) -> anyhow::Result<()> {
        let path = self.path(below);
        fs::create_dir_all(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))
    }

    /// Removes a cgroup and what is below it, as kubelet does when a pod has ended.
    ///
    /// # Errors
    /// Where there are processes in it still.
    pub fn remove(&self, below: &Path) -> anyhow::Result<()> {
        let path = self.path(below);
        remove(&path).with_context(|| format!("cannot remove the cgroup {}", path.display()))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Err(problem) = remove(&self.root) {
            eprintln!("foretell-demo: cannot remove the cgroup {}: {problem}", self.root.display());
        }
    }
}

/// From the bottom up: a cgroup folder's files are the kernel's and go with it.
fn remove(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    let began = Instant::now();
    loop {
        match fs::remove_dir(path) {
            Err(problem) if problem.kind() == io::ErrorKind::ResourceBusy && began.elapsed() < EMPTIES_WITHIN => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

fn left_behind(mount: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(mount).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse::<u32>().ok());
            pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
        })
        .map(|entry| entry.path())
        .collect()
}
