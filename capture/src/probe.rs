//! Loads and attaches the eBPF programs and reads their maps.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, ProgramError};
use aya::{Ebpf, EbpfError, EbpfLoader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::warn;

use crate::mount::Node;
use crate::record::{Event, FlowKey, KEY_BYTES, SUMS_BYTES, Sums};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/flows.bpf.o"));

const CONTROL_BYTES: usize = 16;

/// The programs' counters, in the order of `enum count` in `bpf/flow.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that did not fit into the ring buffer.
    pub ring_full: u64,
    /// Flows that did not fit into the table.
    pub table_full: u64,
    /// Packets with unreadable headers.
    pub unparsable: u64,
    /// Fragments, which have no ports, except the first of a packet.
    pub fragments: u64,
    /// Multicast and broadcast packets, which are skipped.
    pub multicast: u64,
}

/// Sizes of the maps.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Entries of the flow table.
    pub flows: u32,
    /// Bytes of the ring buffer.
    pub ring_bytes: u32,
}

/// The attached programs. Dropping it detaches them.
pub struct Probe {
    flows: HashMap<MapData, [u8; KEY_BYTES], [u8; SUMS_BYTES]>,
    events: RingBuf<MapData>,
    counts: PerCpuArray<MapData, u64>,
    control: Array<MapData, [u8; CONTROL_BYTES]>,
    max_flows: usize,
    programs: Ebpf,
}

/// Whether the eBPF programs were compiled in, which needs clang.
#[must_use]
pub fn is_built_in() -> bool {
    !OBJECT.is_empty()
}

/// Checks that the programs were compiled in.
///
/// # Errors
/// If they were not. The error explains how to build an agent with them.
pub fn must_be_built_in() -> anyhow::Result<()> {
    if !is_built_in() {
        bail!(
            "this agent was built without its eBPF programs because clang was not found: install it (apt-get install clang) \
             and build the agent again"
        );
    }
    Ok(())
}

impl Probe {
    /// Loads the programs and attaches them to the node's cgroup. From `settled` (monotonic nanoseconds) on, the first datagram
    /// of a flow counts as a request, and this is not marked as a guess.
    ///
    /// # Errors
    /// If the kernel refuses. The error names the missing capability or kernel version.
    pub fn attach(node: &Node, sizes: Sizes, settled: u64) -> anyhow::Result<Self> {
        must_be_built_in()?;
        allow_locked_memory();
        let mut programs = EbpfLoader::new()
            .map_max_entries("flows", sizes.flows)
            .map_max_entries("events", ring_size(sizes.ring_bytes))
            .load(OBJECT)
            .map_err(explain_load)?;
        let mut probe_control = Array::try_from(take(&mut programs, "control")?)?;
        set_control(&mut probe_control, 0, settled)?;
        let probe_maps = (
            HashMap::try_from(take(&mut programs, "flows")?)?,
            RingBuf::try_from(take(&mut programs, "events")?)?,
            PerCpuArray::try_from(take(&mut programs, "counts")?)?,
        );
        let cgroup = File::open(&node.path).with_context(|| format!("cannot open {}", node.path.display()))?;
        for (name, at) in
            [("foretell_egress", CgroupSkbAttachType::Egress), ("foretell_ingress", CgroupSkbAttachType::Ingress)]
        {
            let program: &mut CgroupSkb = programs
                .program_mut(name)
                .ok_or_else(|| anyhow!("the eBPF object has no program {name}"))?
                .try_into()?;
            program.load().map_err(explain_program)?;
            // Links accept only this mode. Several agents can still be attached at the same time.
            program
                .attach(cgroup.as_fd(), at, CgroupAttachMode::Single)
                .map_err(explain_program)
                .with_context(|| format!("cannot attach to {}", node.path.display()))?;
        }
        let (flows, events, counts) = probe_maps;
        Ok(Self { flows, events, counts, control: probe_control, max_flows: sizes.flows as usize, programs })
    }

    /// The kernel's ids of the programs, for example for `bpftool prog show id`.
    #[must_use]
    pub fn program_ids(&self) -> Vec<u32> {
        self.programs.programs().filter_map(|(_, program)| program.info().ok()).map(|info| info.id()).collect()
    }

    /// Waits until there are events, at most for this span. The kernel wakes the agent early only if the ring fills up.
    ///
    /// # Errors
    /// If polling fails.
    pub fn wait(&self, span: Duration) -> io::Result<()> {
        let span = Timespec::try_from(span).unwrap_or_default();
        match poll(&mut [PollFd::new(&self.events, PollFlags::IN)], Some(&span)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next announced flow, if there is one.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(record) = self.events.next() {
            if let Some(event) = Event::read(&record) {
                return Some(event);
            }
        }
        None
    }

    /// Begins a window in the kernel, which then notes the time of each flow's first packet in it.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn begin_window(&mut self, window: u32, settled: u64) -> anyhow::Result<()> {
        set_control(&mut self.control, window, settled)
    }

    /// Reads every entry of the flow table. Entries that are created or removed meanwhile may be missed or read twice.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn read_flows(&self, mut each: impl FnMut(FlowKey, Sums)) -> anyhow::Result<()> {
        // If the key at the cursor is removed, the kernel starts from the beginning. The limit ends the loop despite churn.
        for entry in self.flows.iter().take(self.max_flows.saturating_mul(4)) {
            let (key, sums) = entry.context("cannot read the flow table")?;
            if let (Some(key), Some(sums)) = (FlowKey::read(&key), Sums::read(&sums)) {
                each(key, sums);
            }
        }
        Ok(())
    }

    /// Removes an entry of the flow table.
    ///
    /// # Errors
    /// If the map cannot be written. A missing entry is not an error.
    pub fn remove_flow(&mut self, key: &FlowKey) -> anyhow::Result<()> {
        match self.flows.remove(&key.write()) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context("cannot remove from the flow table"),
        }
    }

    /// The counters since the start, summed over all CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn counts(&self) -> anyhow::Result<Counts> {
        let of = |index: u32| -> anyhow::Result<u64> {
            let per_cpu = self.counts.get(&index, 0).context("cannot read the kernel's counts")?;
            Ok(per_cpu.iter().sum())
        };
        Ok(Counts { ring_full: of(0)?, table_full: of(1)?, unparsable: of(2)?, fragments: of(3)?, multicast: of(4)? })
    }
}

fn take(programs: &mut Ebpf, name: &str) -> anyhow::Result<aya::maps::Map> {
    programs.take_map(name).ok_or_else(|| anyhow!("the eBPF object has no map {name}"))
}

fn set_control(control: &mut Array<MapData, [u8; CONTROL_BYTES]>, window: u32, settled: u64) -> anyhow::Result<()> {
    let mut bytes = [0; CONTROL_BYTES];
    bytes[..4].copy_from_slice(&window.to_ne_bytes());
    bytes[8..].copy_from_slice(&settled.to_ne_bytes());
    control.set(0, bytes, 0).context("cannot write the control map")
}

/// The kernel requires a power of two that is at least the page size.
fn ring_size(bytes: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    bytes.max(page).next_power_of_two()
}

/// Kernels before 5.11 charge maps to this limit; later ones do not. A failure is only logged.
fn allow_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        tracing::debug!(%error, "Cannot raise RLIMIT_MEMLOCK: {error}");
    }
}

fn explain_load(error: EbpfError) -> anyhow::Error {
    let denied = source_errno(&error).is_some_and(is_denied);
    let error = anyhow::Error::new(error).context("the kernel refused the eBPF maps");
    if denied { error.context(needs_capabilities()) } else { error }
}

fn explain_program(error: ProgramError) -> anyhow::Error {
    let (denied, invalid) = match source_errno(&error) {
        Some(errno) => (is_denied(errno), errno == rustix::io::Errno::INVAL.raw_os_error()),
        None => (false, false),
    };
    if let ProgramError::LoadError { verifier_log, .. } = &error {
        warn!("The log of the kernel's verifier: {verifier_log}");
    }
    let error = anyhow::Error::new(error);
    if denied {
        error.context(needs_capabilities())
    } else if invalid {
        error.context("the kernel refused the eBPF programs; Linux 5.8 or later is needed")
    } else {
        error.context("the kernel refused the eBPF programs")
    }
}

fn source_errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(errno) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(errno);
        }
        cause = error.source();
    }
    None
}

fn is_denied(errno: i32) -> bool {
    errno == rustix::io::Errno::PERM.raw_os_error() || errno == rustix::io::Errno::ACCESS.raw_os_error()
}

/// Names the capabilities that this process lacks.
fn needs_capabilities() -> String {
    use rustix::thread::{CapabilitySet, capabilities};
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let missing: Vec<&str> = [
        (CapabilitySet::BPF, "CAP_BPF"),
        (CapabilitySet::PERFMON, "CAP_PERFMON"),
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    ]
    .into_iter()
    .filter(|(capability, _)| !effective.contains(*capability))
    .map(|(_, name)| name)
    .collect();
    if missing.is_empty() {
        "not permitted, although this process has CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: does a seccomp profile or kernel lockdown forbid bpf(2)?"
            .to_owned()
    } else {
        format!("not permitted: this process lacks {}; run it as root or add the capabilities", missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C compiler checks the size and the offsets of `struct control`.
    #[test]
    fn the_c_header_asserts_the_layout_and_the_indexes_that_this_module_uses() {
        let header = include_str!("../bpf/flow.h");
        for line in [
            format!("_Static_assert(sizeof(struct control) == {CONTROL_BYTES}, "),
            "ASSERT_OFFSET(struct control, window, 0);".to_owned(),
            "ASSERT_OFFSET(struct control, settled, 8);".to_owned(),
            "enum count { RING_FULL = 0, TABLE_FULL = 1, UNPARSABLE = 2, FRAGMENTS = 3, MULTICAST = 4, COUNTS };"
                .to_owned(),
        ] {
            assert!(header.contains(&line), "{line}");
        }
    }

    #[test]
    fn the_ring_size_is_a_power_of_two_of_at_least_a_page() {
        let page = u32::try_from(rustix::param::page_size()).unwrap();
        assert_eq!(ring_size(1), page);
        assert_eq!(ring_size(page + 1), 2 * page);
        assert_eq!(ring_size(4 << 20), 4 << 20);
    }

    #[test]
    fn the_error_number_is_found_below_other_errors() {
        let io_error = io::Error::from_raw_os_error(libc::EPERM);
        let error = MapError::SyscallError(aya::sys::SyscallError { call: "bpf_map_create", io_error });
        assert_eq!(source_errno(&error), Some(libc::EPERM));
        assert_eq!(source_errno(&io::Error::other("no number")), None);
    }
}
