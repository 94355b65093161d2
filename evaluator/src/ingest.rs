//! `POST /v1/flows`: agents' batches.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use foretell_policy::cluster::traffic::Tally;
use foretell_policy::model::flow::{Line, NodeReport};
use foretell_service::access::Caller;
use foretell_service::contract::{AGENT, Accepted, BOOT, SEQUENCE};
use foretell_service::refusal::Refusal;

use crate::state::{POSTGRES, State};
use crate::store::Batch;
use crate::window::{RowKey, row};

/// Bytes of a batch, as sent.
pub const LARGEST: usize = 8 << 20;
/// Bytes of a batch, unpacked: what packs a thousandfold is no batch.
const LARGEST_UNPACKED: u64 = 64 << 20;

/// Takes a batch; answered once it is in the database.
///
/// # Errors
/// [`Refusal`]: 400 a line or a header cannot be read, 403 flows of another node, 503 the database does not answer.
pub async fn flows(
    Shared(state): Shared<Arc<State>>,
    axum::Extension(caller): axum::Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Accepted>, Refusal> {
    let answer = take(&state, &caller, &headers, &body).await;
    if answer.is_err() {
        state.metrics.refused_batches.inc();
    }
    answer.map(Json)
}

async fn take(state: &State, caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Result<Accepted, Refusal> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal::bad_request(format!("header {name} is missing: every batch says whose it is")))
    };
    let agent = header(AGENT)?.to_owned();
    let boot = header(BOOT)?.to_owned();
    let sequence = header(SEQUENCE)?;
    let sequence: i64 = sequence
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Refusal::bad_request(format!("header {SEQUENCE}: {sequence:?} is no number from 1")))?;
    may_speak_for(caller, &agent)?;
    if !state.is_open() {
        return Err(Refusal::unavailable(format!("nothing can be kept yet: {}", state.health.waiting().join("; "))));
    }
    let text = unpacked(headers, body)?;
    let (mut sums, mut reports, mut flows) = (HashMap::<RowKey, Tally>::new(), Vec::<NodeReport>::new(), 0);
    let cluster = state.cluster.load_full();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let wrong = |problem: String| Refusal::bad_request(format!("line {}: {problem}", number + 1));
        match Line::parse(line).map_err(|error| wrong(error.to_string()))? {
            Line::Flow(mut flow) => {
                // Who sends speaks for one node, so a flow need not name it.
                let node = flow.node.get_or_insert_with(|| agent.clone());
                if *node != agent {
                    return Err(Refusal::forbidden(format!(
                        "line {}: {agent} sends a flow of node {node}",
                        number + 1
                    )));
                }
                flows += 1;
                let (key, tally) = row(&flow, &cluster);
                sums.entry(key).and_modify(|sum| sum.add(&tally)).or_insert(tally);
            }
            Line::Report(report) if report.node == agent => reports.push(report),
            Line::Report(NodeReport { node, .. }) => {
                return Err(Refusal::forbidden(format!("line {}: {agent} sends a report of node {node}", number + 1)));
            }
        }
    }
    let accepted = Accepted { flows, reports: reports.len() as u64, duplicate: false };
    let batch = Batch { agent, boot, sequence, rows: sums.into_iter().collect(), reports };
    let counted = match state.store.count(&batch).await {
        Ok(counted) => counted,
        Err(error) => {
            state.health.waits_for(POSTGRES, error.to_string());
            return Err(Refusal::unavailable("the database does not answer; send it again"));
        }
    };
    state.health.has(POSTGRES);
    if !counted {
        state.metrics.duplicate_batches.inc();
        return Ok(Accepted { duplicate: true, ..accepted });
    }
    let Batch { rows, reports, .. } = batch;
    let mut window = state.window();
    for (key, tally) in rows {
        window.add(key, tally);
    }
    for report in &reports {
        window.add_report(report);
    }
    drop(window);
    state.metrics.batches.inc();
    state.metrics.flows.inc_by(accepted.flows);
    state.changed.notify_one();
    Ok(accepted)
}

/// An agent speaks for the node that it runs on, by the word of the API server.
fn may_speak_for(caller: &Caller, agent: &str) -> Result<(), Refusal> {
    let Caller { name, node, is_operator } = caller;
    match node {
        _ if *is_operator => Ok(()),
        Some(node) if node == agent => Ok(()),
        Some(node) => Err(Refusal::forbidden(format!("{name} runs on node {node} and cannot speak for {agent}"))),
        None => Err(Refusal::forbidden(format!(
            "the token of {name} names no node: agents use the token of their pod, and Kubernetes names its node since 1.32"
        ))),
    }
}

fn unpacked(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok(""), |value| value.to_str());
    let reader: Box<dyn Read + '_> = match encoding {
        Ok("" | "identity") => return Ok(body.to_vec()),
        Ok("gzip") => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Ok("zstd") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body);
            Box::new(decoder.map_err(|error| Refusal::bad_request(format!("the body is no zstd: {error}")))?)
        }
        _ => {
            return Err(Refusal::bad_request("header content-encoding: only gzip, zstd and identity are read"));
        }
    };
    let mut text = Vec::new();
    let read = reader.take(LARGEST_UNPACKED + 1).read_to_end(&mut text);
    read.map_err(|error| Refusal::bad_request(format!("the body cannot be unpacked: {error}")))?;
    if text.len() as u64 > LARGEST_UNPACKED {
        return Err(Refusal::too_large(format!("unpacked, the body is larger than {LARGEST_UNPACKED} bytes")));
    }
    Ok(text)
}
