//! Finds a cgroup by its id, without walking the folders and without a race with folders that come and go.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// `FILEID_KERNFS` of the kernel's `exportfs.h`: the handle is a 64-bit id, which on cgroup2 is the id of the cgroup.
const FILEID_KERNFS: i32 = 0xfe;

/// The kernel's `struct file_handle` with a 64-bit id.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

/// The result of looking up a cgroup id.
#[derive(Debug, PartialEq, Eq)]
pub enum CgroupLookup {
    /// The cgroup exists and has this folder.
    Folder(PathBuf),
    /// The cgroup no longer exists.
    Gone,
    /// The kernel refuses to answer: `CAP_DAC_READ_SEARCH` is missing, or a seccomp profile forbids the call.
    Unknown,
}

/// Finds a cgroup's folder below a cgroup2 mount.
#[must_use]
pub fn find(mount: &Path, cgroup: u64) -> CgroupLookup {
    match open(mount, cgroup).and_then(|folder| fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))) {
        // A removed folder can still be opened for a moment.
        Ok(path) if path.to_string_lossy().ends_with(" (deleted)") => CgroupLookup::Gone,
        Ok(path) => CgroupLookup::Folder(path),
        Err(error) if error.raw_os_error() == Some(libc::ESTALE) => CgroupLookup::Gone,
        Err(_) => CgroupLookup::Unknown,
    }
}

fn open(mount: &Path, cgroup: u64) -> io::Result<OwnedFd> {
    let mount = File::open(mount)?;
    let mut handle = KernfsHandle { bytes: 8, kind: FILEID_KERNFS, id: cgroup.to_ne_bytes() };
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    #[expect(unsafe_code, reason = "no crate wraps open_by_handle_at(2)")]
    // SAFETY: the handle has the layout of struct file_handle, contains the number of id bytes that follow, and lives until
    // the call returns. A descriptor that is not negative is new and has no other owner.
    unsafe {
        let descriptor = libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), flags);
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor)) }
    }
}
