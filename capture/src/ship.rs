//! Sends numbered batches to the evaluator, in order, and keeps each until it is acknowledged.
//!
//! The agent never waits for the evaluator. An acknowledged batch is in the evaluator's database. A batch without an
//! acknowledgement is sent again with the same number, so it counts once. If the queue is full, further batches are lost; the
//! next report that the evaluator receives contains their number.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, mem, thread};

use anyhow::Context as _;
use foretell_service::evaluator::{Batch, Evaluator, EvaluatorError};
use tracing::{error, info, warn};

/// The pause after the first failure. It doubles after each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How long sending the last batches may take: the agent's pod has ten seconds for its termination.
const FINISH_TIMEOUT: Duration = Duration::from_secs(7);
/// The pause between attempts while the agent stops.
const FINISH_PAUSE: Duration = Duration::from_millis(250);

/// A queue of batches and the thread that sends them.
#[derive(Debug)]
pub struct Shipper {
    shared: Arc<Shared>,
    agent: String,
    boot: String,
    sequence: u64,
    max_bytes: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<QueuedBatch>,
    bytes: usize,
    /// Flows that did not fit.
    full: u64,
    /// Flows that the evaluator refused.
    refused: u64,
    is_ending: bool,
}

#[derive(Debug)]
struct QueuedBatch {
    batch: Batch,
    flows: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shipper {
    /// Starts the thread that sends. The evaluator may start later.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(evaluator: Evaluator, agent: &str, queue_bytes: u32) -> anyhow::Result<Self> {
        // The kernel returns a new UUID for each reading. It identifies the run of the agent to which a number belongs.
        let boot = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .context("cannot read an identifier for this run of the agent")?;
        let shared = Arc::new(Shared::default());
        let sending = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread =
            thread::Builder::new().name("ship".to_owned()).spawn(move || send(&sending, &evaluator, &runtime))?;
        Ok(Self {
            shared,
            agent: agent.to_owned(),
            boot: boot.trim().to_owned(),
            sequence: 0,
            max_bytes: queue_bytes as usize,
            thread: Some(thread),
        })
    }

    /// Adds a batch to the queue. If the queue is full, the batch is dropped and counted.
    pub fn enqueue(&mut self, lines: Vec<u8>, flows: u64) {
        let mut queue = self.shared.lock();
        // A batch that is larger than the queue is still accepted if the queue is empty.
        if !queue.batches.is_empty() && queue.bytes + lines.len() > self.max_bytes {
            // A lost window without flows also counts: the evaluator does not learn that the node was observed.
            queue.full += flows.max(1);
            return;
        }
        self.sequence += 1;
        queue.bytes += lines.len();
        let (agent, boot, sequence) = (self.agent.clone(), self.boot.clone(), self.sequence);
        queue.batches.push_back(QueuedBatch { batch: Batch { agent, boot, sequence, lines }, flows });
        self.shared.changed.notify_all();
    }

    /// Number of flows that were lost since the previous call, by cause.
    pub fn take_lost(&mut self) -> Vec<(&'static str, u64)> {
        let mut queue = self.shared.lock();
        vec![("queue_full", mem::take(&mut queue.full)), ("refused", mem::take(&mut queue.refused))]
    }

    /// Sends the remaining batches, for a few seconds at most, and logs how many could not be sent.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        let mut queue = self.shared.lock();
        queue.is_ending = true;
        self.shared.changed.notify_all();
        while !queue.batches.is_empty() {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                let (batches, flows) = (queue.batches.len(), queue.batches.iter().map(|it| it.flows).sum::<u64>());
                error!(
                    batches.unsent = batches,
                    "The agent stops with {batches} unsent batches ({flows} flows are lost)"
                );
                return;
            }
            queue = self.shared.changed.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(queue);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends batches until the queue is empty and ending.
fn send(shared: &Shared, evaluator: &Evaluator, runtime: &tokio::runtime::Runtime) {
    let (mut pause, mut last_warning) = (FIRST_PAUSE, String::new());
    loop {
        let mut queue = shared.lock();
        let batch = loop {
            match queue.batches.front() {
                Some(front) => break front.batch.clone(),
                None if queue.is_ending => return,
                None => queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(queue);
        let sequence = batch.sequence;
        match runtime.block_on(evaluator.send(&batch)) {
            Ok(_) => {
                if !mem::take(&mut last_warning).is_empty() {
                    info!("The evaluator accepts flows again");
                }
                pause = FIRST_PAUSE;
                acknowledge(shared, |_, _| ());
            }
            Err(problem) if !problem.is_transient() => {
                error!(batch.sequence = sequence, "The evaluator refuses batch {sequence}, which is lost: {problem}");
                acknowledge(shared, |queue, flows| queue.refused += flows.max(1));
            }
            Err(problem) => {
                warn_once(&mut last_warning, &problem);
                let queue = shared.lock();
                // New batches do not shorten the pause; the end of the agent does.
                let wait = shared.changed.wait_timeout_while(queue, pause, |queue| !queue.is_ending);
                let is_ending = wait.unwrap_or_else(PoisonError::into_inner).0.is_ending;
                if is_ending {
                    thread::sleep(FINISH_PAUSE);
                }
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

fn acknowledge(shared: &Shared, note: impl FnOnce(&mut Queue, u64)) {
    let mut queue = shared.lock();
    if let Some(sent) = queue.batches.pop_front() {
        queue.bytes -= sent.batch.lines.len();
        note(&mut queue, sent.flows);
    }
    shared.changed.notify_all();
}

/// Logs a problem, unless it is the same as the previous one.
fn warn_once(last_warning: &mut String, problem: &EvaluatorError) {
    let problem = problem.to_string();
    if *last_warning != problem {
        warn!("The agent keeps flows until the evaluator accepts them: {problem}");
        *last_warning = problem;
    }
}
