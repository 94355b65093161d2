//! Sends batches to the evaluator: in order, numbered, kept until each is acknowledged.
//!
//! The agent never waits for it. A batch is in the evaluator's database when it is acknowledged; one that was sent and not
//! acknowledged is sent again under its number, and counts once. What does not fit while the evaluator is away is lost and
//! counted: the next report that gets through says so.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, mem, thread};

use anyhow::Context as _;
use foretell_service::evaluator::{Batch, Evaluator, EvaluatorError};
use tracing::{error, info, warn};

/// How long after a failure the next attempt comes; it doubles up to the second.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// How long the last batches may take: a pod has ten seconds to end.
const LAST_WORDS: Duration = Duration::from_secs(7);

/// What the agent hands over to.
#[derive(Debug)]
pub struct Shipper {
    shared: Arc<Shared>,
    agent: String,
    boot: String,
    sequence: u64,
    most_bytes: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Queued>,
    bytes: usize,
    full: u64,
    refused: u64,
    is_ending: bool,
}

#[derive(Debug)]
struct Queued {
    batch: Batch,
    flows: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shipper {
    /// Starts to send; the evaluator need not be there yet.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(evaluator: Evaluator, agent: &str, queue_bytes: u32) -> anyhow::Result<Self> {
        // Another one each time that it is read: which run of the agent a number belongs to.
        let boot = fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot name this run of the agent")?;
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
            most_bytes: queue_bytes as usize,
            thread: Some(thread),
        })
    }

    /// Takes a batch, if there is room.
    pub fn enqueue(&mut self, lines: Vec<u8>, flows: u64) {
        let mut queue = self.shared.lock();
        // One that alone is larger than all the room is tried all the same.
        if !queue.batches.is_empty() && queue.bytes + lines.len() > self.most_bytes {
            // A window without flows is a loss too: nobody learns that it was watched.
            queue.full += flows.max(1);
            return;
        }
        self.sequence += 1;
        queue.bytes += lines.len();
        let (agent, boot, sequence) = (self.agent.clone(), self.boot.clone(), self.sequence);
        queue.batches.push_back(Queued { batch: Batch { agent, boot, sequence, lines }, flows });
        self.shared.changed.notify_all();
    }

    /// What was lost since this was last asked, by cause.
    pub fn take_lost(&mut self) -> Vec<(&'static str, u64)> {
        let mut queue = self.shared.lock();
        vec![("queue_full", mem::take(&mut queue.full)), ("refused", mem::take(&mut queue.refused))]
    }

    /// Sends what is left, for some seconds at most, and says what could not be sent.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + LAST_WORDS;
        let mut queue = self.shared.lock();
        queue.is_ending = true;
        self.shared.changed.notify_all();
        while !queue.batches.is_empty() {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                let (batches, flows) = (queue.batches.len(), queue.batches.iter().map(|it| it.flows).sum::<u64>());
                error!(batches.unsent = batches, "Ends with {batches} batches of {flows} flows that were not sent");
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

/// Sends batch after batch until all is sent and no more will come.
fn send(shared: &Shared, evaluator: &Evaluator, runtime: &tokio::runtime::Runtime) {
    let (mut rest, mut said) = (REST.0, String::new());
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
                if !mem::take(&mut said).is_empty() {
                    info!("The evaluator takes flows again");
                }
                rest = REST.0;
                acknowledge(shared, |_, _| ());
            }
            Err(problem) if !problem.is_transient() => {
                error!(batch.sequence = sequence, "The evaluator refuses a batch, which is lost: {problem}");
                acknowledge(shared, |queue, flows| queue.refused += flows.max(1));
            }
            Err(problem) => {
                say_once(&mut said, &problem);
                let queue = shared.lock();
                // The end is waited for, not new batches.
                let wait = shared.changed.wait_timeout_while(queue, rest, |queue| !queue.is_ending);
                let is_ending = wait.unwrap_or_else(PoisonError::into_inner).0.is_ending;
                if is_ending {
                    thread::sleep(REST.0 / 4);
                }
                rest = (rest * 2).min(REST.1);
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

fn say_once(said: &mut String, problem: &EvaluatorError) {
    let problem = problem.to_string();
    if *said != problem {
        warn!("Flows are kept here until the evaluator takes them: {problem}");
        *said = problem;
    }
}
