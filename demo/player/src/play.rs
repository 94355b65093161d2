//! A play from its beginning to its end.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::args::Play;
use crate::capture::{Agent, Orders};
use crate::cast::{Cast, Families, cast};
use crate::cgroup::Cgroups;
use crate::recording::Recording;
use crate::scenario::Scenario;
use crate::stop::{GLANCE, Stop};
use crate::template::{Times, fill};
use crate::troupe::{PlayerId, Troupe};
use crate::{needs, network, pod};

/// How often is said how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// How many of the calls that went wrong are told of.
const MOST_TROUBLES: usize = 5;

/// Plays a scenario, records it, and leaves nothing but the recording, however it ends.
///
/// # Errors
/// Where the machine lacks something, the scenario does not fit the snapshot, or the play does not go as the scenario says.
pub fn play(args: &Play) -> anyhow::Result<()> {
    let Play { snapshot_template, scenario, capture, output, seconds: _, window } = args;
    let template = read(snapshot_template)?;
    let scenario = Scenario::read(&read(scenario)?).with_context(|| scenario.display().to_string())?;
    let now = Timestamp::now();
    // The pods, as far as they are known before the play: times make no difference to them.
    let provisional = fill(&template, &Times { start: now, job_start: now, job_end: now });
    let provisional = provisional.with_context(|| snapshot_template.display().to_string())?;
    let pods = pod::read(&provisional).with_context(|| snapshot_template.display().to_string())?;
    let families = network::families();
    let cast = cast(&scenario, &pods, families)?;
    check_length(args, &scenario)?;
    let mount = needs::check(capture)?;

    let stop = Stop::on_signals()?;
    let recording = Recording::begin(output)?;
    network::leave()?;
    let node: BTreeSet<IpAddr> = scenario.node.addresses.iter().copied().collect();
    let speaks = |ip: &&IpAddr| ip.is_ipv4() || families == Families::V4AndV6;
    let own: Vec<IpAddr> = node.iter().filter(speaks).copied().collect();
    network::furnish(&own, &cast.addresses.difference(&node).copied().collect())?;

    // Dropped from the last to the first: processes end before their cgroups go.
    let cgroups = Cgroups::make(&mount)?;
    let mut troupe = Troupe::new();
    for part in &cast.parts {
        cgroups.add(&part.cgroup)?;
        troupe.engage(part, |below| cgroups.path(below))?;
    }
    troupe.wait_until_ready(&stop)?;

    let start = Timestamp::now();
    let flows = recording.flows();
    let mut agent = Agent::start(&Orders {
        program: capture,
        kubepods: &cgroups.path(Path::new("kubepods")),
        node: &scenario.node.name,
        flows: &flows,
        window: Duration::from_secs((*window).into()),
    })?;
    agent.wait_until_attached(&stop)?;
    if families == Families::V4 {
        eprintln!("This machine has no IPv6: what the scenario does over it is left out.");
    }
    eprintln!("{} pods are up, and the capture agent watches them.", pods.len() - 1);

    let mut stage = Stage { args, scenario: &scenario, cast: &cast, cgroups: &cgroups, stop: &stop };
    let times = stage.perform(start, &mut troupe, &mut agent)?;
    troupe.rest(&stop)?;
    agent.finish(&stop)?;
    let troubles = troupe.troubles();
    if !troubles.is_empty() {
        let told = troubles[..troubles.len().min(MOST_TROUBLES)].join("\n  ");
        bail!("{} calls did not go as the scenario says; nothing was recorded:\n  {told}", troubles.len());
    }
    let contents = recording.finish(&fill(&template, &times)?)?;
    eprintln!("Recorded {} flows and {} reports in {}.", contents.flows, contents.reports, output.display());
    if !contents.lost.is_empty() {
        eprintln!("The agent says that it lost something: {:?}.", contents.lost);
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn check_length(args: &Play, scenario: &Scenario) -> anyhow::Result<()> {
    let least = scenario.job.starts_after.0 + scenario.job.ends_after.0 + Duration::from_secs(1);
    if args.length() < least {
        bail!("--seconds {}: the scenario's job needs {least:?}", args.seconds);
    }
    Ok(())
}

struct Stage<'a> {
    args: &'a Play,
    scenario: &'a Scenario,
    cast: &'a Cast,
    cgroups: &'a Cgroups,
    stop: &'a Stop,
}

/// The job: to come, on the stage since, or gone.
enum JobState {
    ToCome,
    On(PlayerId, Timestamp),
    Gone { start: Timestamp, end: Timestamp },
}

impl Stage<'_> {
    /// From the first call to the last.
    fn perform(&mut self, start: Timestamp, troupe: &mut Troupe, agent: &mut Agent) -> anyhow::Result<Times> {
        troupe.begin_all()?;
        let began = Instant::now();
        let length = self.args.length();
        let mut told = Duration::ZERO;
        let mut job = JobState::ToCome;
        while began.elapsed() < length {
            self.stop.check()?;
            agent.check()?;
            job = self.play_job(job, began.elapsed(), troupe)?;
            troupe.check()?;
            if began.elapsed() >= told + PROGRESS {
                told += PROGRESS;
                eprintln!("  {} s of {} s played", told.as_secs(), length.as_secs());
            }
            std::thread::sleep(GLANCE.min(length.saturating_sub(began.elapsed())));
        }
        match job {
            JobState::Gone { start: job_start, end: job_end } => Ok(Times { start, job_start, job_end }),
            _ => bail!("{} has not ended by the end of the play", self.cast.job.name),
        }
    }

    fn play_job(&self, job: JobState, elapsed: Duration, troupe: &mut Troupe) -> anyhow::Result<JobState> {
        match job {
            JobState::ToCome if elapsed >= self.scenario.job.starts_after.0 => {
                let start = Timestamp::now();
                self.cgroups.add(&self.cast.job.cgroup)?;
                let player = troupe.engage(&self.cast.job, |below| self.cgroups.path(below))?;
                troupe.wait_until_ready(self.stop)?;
                troupe.begin(player)?;
                eprintln!("  {} has started", self.cast.job.name);
                Ok(JobState::On(player, start))
            }
            JobState::On(player, start) if troupe.has_ended(player)? => {
                let end = Timestamp::now();
                self.cgroups.remove(&self.cast.job_cgroup)?;
                eprintln!("  {} has ended", self.cast.job.name);
                Ok(JobState::Gone { start, end })
            }
            job => Ok(job),
        }
    }
}
