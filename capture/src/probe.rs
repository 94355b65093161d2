//! Loads the eBPF programs, attaches them, and reads their maps.

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

/// What the kernel side counts, in the order of `enum count` in `bpf/flow.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events for which the ring buffer had no room.
    pub ring_full: u64,
    /// Flows for which the table had no room.
    pub table_full: u64,
    /// Packets whose headers could not be read.
    pub unparsable: u64,
    /// Fragments without ports.
    pub fragments: u64,
    /// Multicast and broadcast packets, which are passed over.
    pub multicast: u64,
}

/// How large the maps are made.
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

/// Says how to get an agent that has its programs.
///
/// # Errors
/// Where they were not compiled in.
pub fn must_be_built_in() -> anyhow::Result<()> {
    if !is_built_in() {
        bail!(
            "this agent was built without its eBPF programs, as there was no clang: install it (apt-get install clang) and \
             build again"
        );
    }
    Ok(())
}

impl Probe {
    /// Loads the programs and attaches them at the node. From `settled` (monotonic nanoseconds) on, the first datagram of a
    /// flow is taken for a request without calling that a guess.
    ///
    /// # Errors
    /// Where the kernel refuses; the error names what is missing.
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
            // The mode that links accept; several agents can be attached side by side all the same.
            program
                .attach(cgroup.as_fd(), at, CgroupAttachMode::Single)
                .map_err(explain_program)
                .with_context(|| format!("cannot attach to {}", node.path.display()))?;
        }
        let (flows, events, counts) = probe_maps;
        Ok(Self { flows, events, counts, control: probe_control, max_flows: sizes.flows as usize, programs })
    }

    /// The kernel's ids of the programs, by which they can be looked up from outside.
    #[must_use]
    pub fn program_ids(&self) -> Vec<u32> {
        self.programs.programs().filter_map(|(_, program)| program.info().ok()).map(|info| info.id()).collect()
    }

    /// Waits until there are events, or for the span at most. The kernel wakes it early only when the ring fills.
    ///
    /// # Errors
    /// Where polling fails.
    pub fn wait(&self, span: Duration) -> io::Result<()> {
        let span = Timespec::try_from(span).unwrap_or_default();
        match poll(&mut [PollFd::new(&self.events, PollFlags::IN)], Some(&span)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next new flow, if there is one.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(record) = self.events.next() {
            if let Some(event) = Event::read(&record) {
                return Some(event);
            }
        }
        None
    }

    /// Begins a window in the kernel: the first packet after it is marked as the window's first.
    ///
    /// # Errors
    /// Where the map cannot be written.
    pub fn begin_window(&mut self, window: u32, settled: u64) -> anyhow::Result<()> {
        set_control(&mut self.control, window, settled)
    }

    /// Reads every entry of the flow table. Entries that come or go meanwhile may be missed or read twice.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub fn read_flows(&self, mut each: impl FnMut(FlowKey, Sums)) -> anyhow::Result<()> {
        // Where a key goes while it is the cursor, the kernel starts again: bounded, so that churn cannot hold it for ever.
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
    /// Where the map cannot be written; that it is not there is none.
    pub fn remove_flow(&mut self, key: &FlowKey) -> anyhow::Result<()> {
        match self.flows.remove(&key.write()) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context("cannot remove from the flow table"),
        }
    }

    /// What was counted since the start, over all CPUs.
    ///
    /// # Errors
    /// Where the map cannot be read.
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

/// The kernel wants a power of two of at least a page.
fn ring_size(bytes: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    bytes.max(page).next_power_of_two()
}

/// Kernels before 5.11 charge maps to this limit; later ones do not ask. Never fatal.
fn allow_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        tracing::debug!(%error, "RLIMIT_MEMLOCK stays as it is: {error}");
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
        warn!("The kernel's verifier says: {verifier_log}");
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

/// Names those that this process lacks.
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
        "not permitted, though CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are there: does a seccomp profile or a lockdown forbid bpf(2)?"
            .to_owned()
    } else {
        format!("not permitted: this process lacks {}; run it as root or grant them", missing.join(", "))
    }
}
