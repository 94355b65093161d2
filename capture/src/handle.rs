//! Opens a cgroup by its id: no walk, and no race with folders made and removed meanwhile.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// `FILEID_KERNFS` of the kernel's `exportfs.h`: the handle is the 64-bit id, which on cgroup2 is the cgroup's.
const FILEID_KERNFS: i32 = 0xfe;

/// What the kernel calls `struct file_handle`, with room for such an id.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

/// What is known of a cgroup id.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Its folder.
    At(PathBuf),
    /// There is no such cgroup any more.
    Gone,
    /// The kernel does not say: `CAP_DAC_READ_SEARCH` is missing, or a seccomp profile forbids it.
    Unknown,
}

/// Finds a cgroup's folder below a cgroup2 mount.
#[must_use]
pub fn find(mount: &Path, cgroup: u64) -> Found {
    match open(mount, cgroup).and_then(|folder| fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))) {
        // A removed folder may be open for a moment longer.
        Ok(path) if path.to_string_lossy().ends_with(" (deleted)") => Found::Gone,
        Ok(path) => Found::At(path),
        Err(error) if error.raw_os_error() == Some(libc::ESTALE) => Found::Gone,
        Err(_) => Found::Unknown,
    }
}

fn open(mount: &Path, cgroup: u64) -> io::Result<OwnedFd> {
    let mount = File::open(mount)?;
    let mut handle = KernfsHandle { bytes: 8, kind: FILEID_KERNFS, id: cgroup.to_ne_bytes() };
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    #[expect(unsafe_code, reason = "no crate wraps open_by_handle_at(2)")]
    // SAFETY: the handle is laid out as struct file_handle, says how many bytes of id follow, and outlives the call; a
    // descriptor that is not negative is new and owned by nobody else.
    unsafe {
        let descriptor = libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), flags);
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor)) }
    }
}
