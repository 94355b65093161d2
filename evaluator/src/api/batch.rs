//! Reads a batch of an agent's flows and reports.

use std::collections::HashMap;
use std::io::Read;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use foretell_objects::model::flow::Line;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::traffic::Tally;
use foretell_service::access::caller::Caller;
use foretell_service::contract::{AGENT, Accepted, BOOT, SEQUENCE};
use foretell_service::refusal::Refusal;

use crate::store::batches::Batch;
use crate::window::{RowKey, row};

/// Largest body in bytes.
pub(super) const LARGEST: usize = 8 << 20;
/// Largest decompressed body in bytes, against decompression bombs.
const LARGEST_DECOMPRESSED: u64 = 64 << 20;

/// The headers of a batch.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    agent: String,
    boot: String,
    sequence: i64,
}

impl Header {
    /// Reads the headers and checks that the caller may send this agent's batches.
    pub(super) fn read(headers: &HeaderMap, caller: &Caller) -> Result<Self, Refusal> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
            value.ok_or_else(|| Refusal::bad_request(format!("header {name} is missing")))
        };
        let (agent, boot, sequence) = (header(AGENT)?.to_owned(), header(BOOT)?.to_owned(), header(SEQUENCE)?);
        let number = sequence.parse().ok().filter(|number| *number > 0);
        let wrong = || Refusal::bad_request(format!("header {SEQUENCE}: {sequence:?} is not a number from 1"));
        let header = Self { sequence: number.ok_or_else(wrong)?, agent, boot };
        check_caller(caller, &header.agent)?;
        Ok(header)
    }
}

/// An agent may send batches of the node that its pod runs on. The API server attests the node in the agent's token.
fn check_caller(caller: &Caller, agent: &str) -> Result<(), Refusal> {
    let Caller { name, node, is_operator } = caller;
    match node {
        _ if *is_operator => Ok(()),
        Some(node) if node == agent => Ok(()),
        Some(node) => Err(Refusal::forbidden(format!("{name} runs on node {node} and cannot send batches of {agent}"))),
        None => Err(Refusal::forbidden(format!(
            "the token of {name} names no node; an agent must use its pod's token, and Kubernetes 1.32 or later adds the node"
        ))),
    }
}

/// A batch, and the answer to it if it is counted.
pub(super) fn read(
    header: Header,
    headers: &HeaderMap,
    body: &[u8],
    cluster: &Cluster,
) -> Result<(Batch, Accepted), Refusal> {
    let Header { agent, boot, sequence } = header;
    let text = decompressed(headers, body)?;
    let (mut sums, mut reports, mut flows) = (HashMap::<RowKey, Tally>::new(), Vec::new(), 0);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let number = number + 1;
        let line = Line::parse(line).map_err(|error| Refusal::bad_request(format!("line {number}: {error}")))?;
        let node = match &line {
            Line::Flow(flow) => flow.node.as_ref(),
            Line::Report(report) => Some(&report.node),
        };
        if let Some(node) = node.filter(|node| **node != agent) {
            return Err(Refusal::forbidden(format!("line {number}: {agent} cannot send traffic of node {node}")));
        }
        match line {
            Line::Flow(mut flow) => {
                // A flow need not name the node: the agent's is meant.
                flow.node = Some(agent.clone());
                flows += 1;
                let (key, tally) = row(&flow, cluster);
                sums.entry(key).and_modify(|sum| sum.add(&tally)).or_insert(tally);
            }
            Line::Report(report) => reports.push(report),
        }
    }
    let accepted = Accepted { flows, reports: reports.len() as u64, duplicate: false };
    Ok((Batch { agent, boot, sequence, rows: sums.into_iter().collect(), reports }, accepted))
}

fn decompressed(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok(""), |value| value.to_str());
    let reader: Box<dyn Read + '_> = match encoding {
        Ok("" | "identity") => return Ok(body.to_vec()),
        Ok("gzip") => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Ok("zstd") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body);
            Box::new(decoder.map_err(|error| Refusal::bad_request(format!("the body is not zstd: {error}")))?)
        }
        _ => {
            return Err(Refusal::bad_request("header content-encoding: use gzip, zstd or identity"));
        }
    };
    limited(reader, LARGEST_DECOMPRESSED)
}

fn limited(reader: impl Read, largest: u64) -> Result<Vec<u8>, Refusal> {
    let mut text = Vec::new();
    let read = reader.take(largest + 1).read_to_end(&mut text);
    read.map_err(|error| Refusal::bad_request(format!("the body cannot be decompressed: {error}")))?;
    if text.len() as u64 > largest {
        return Err(Refusal::too_large(format!("the decompressed body is larger than {largest} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn caller(node: Option<&str>, is_operator: bool) -> Caller {
        Caller { name: "agent".to_owned(), node: node.map(str::to_owned), is_operator }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        pairs.iter().map(pair).collect()
    }

    fn header() -> Header {
        Header { agent: "n1".to_owned(), boot: "b".to_owned(), sequence: 1 }
    }

    fn flow(node: Option<&str>, port: u16) -> String {
        let mut flow = json!({"start": "2026-11-21T11:00:00Z", "end": "2026-11-21T11:00:01Z", "src": {"ip": "10.0.0.1"},
            "dst": {"ip": "10.0.0.2"}, "protocol": "TCP", "port": port, "connections": 2});
        if let Some(node) = node {
            flow["node"] = node.into();
        }
        flow.to_string()
    }

    fn report(node: &str) -> String {
        json!({"report": {"node": node, "start": "2026-11-21T11:00:00Z", "end": "2026-11-21T11:00:10Z"}}).to_string()
    }

    fn read_lines(lines: &[String]) -> Result<(Batch, Accepted), Refusal> {
        read(header(), &HeaderMap::new(), lines.join("\n").as_bytes(), &Cluster::default())
    }

    #[test]
    fn every_header_is_needed_and_checked() {
        let complete = [(AGENT, "n1"), (BOOT, "b"), (SEQUENCE, "1")];
        let operator = caller(None, true);
        assert_eq!(Header::read(&headers(&complete), &operator), Ok(header()));
        for missing in [AGENT, BOOT, SEQUENCE] {
            let rest: Vec<_> = complete.into_iter().filter(|(name, _)| *name != missing).collect();
            let mut empty = rest.clone();
            empty.push((missing, ""));
            for given in [rest, empty] {
                let refusal = Header::read(&headers(&given), &operator).unwrap_err();
                assert_eq!(refusal, Refusal::bad_request(format!("header {missing} is missing")));
            }
        }
        for sequence in ["0", "-1", "one", "1.5", "99999999999999999999"] {
            let refusal = Header::read(&headers(&[(AGENT, "n1"), (BOOT, "b"), (SEQUENCE, sequence)]), &operator);
            let refusal = refusal.unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400);
            assert!(refusal.message.contains(SEQUENCE) && refusal.message.contains(sequence), "{}", refusal.message);
        }
    }

    #[test]
    fn an_agent_sends_batches_of_its_own_node_only() {
        for (node, is_operator, part) in [
            (Some("n1"), false, None),
            (None, true, None),
            (Some("n2"), true, None),
            (Some("n2"), false, Some("runs on node n2")),
            (None, false, Some("names no node")),
        ] {
            match (check_caller(&caller(node, is_operator), "n1"), part) {
                (Ok(()), None) => {}
                (Err(refusal), Some(part)) => {
                    assert_eq!(refusal.status.as_u16(), 403);
                    assert!(refusal.message.contains(part), "{}", refusal.message);
                }
                (found, _) => panic!("{node:?} {is_operator}: {found:?}"),
            }
        }
    }

    #[test]
    fn flows_are_summed_and_get_the_agents_node() {
        let lines = [flow(None, 80), report("n1"), flow(Some("n1"), 80), String::new(), flow(None, 81)];
        let (batch, accepted) = read_lines(&lines).unwrap();
        assert_eq!(accepted, Accepted { flows: 3, reports: 1, duplicate: false });
        assert_eq!((batch.agent.as_str(), batch.boot.as_str(), batch.sequence), ("n1", "b", 1));
        let mut rows: Vec<_> = batch.rows.iter().map(|(key, sum)| (key.port, &*key.node, sum.connections)).collect();
        rows.sort_unstable();
        assert_eq!(rows, [(80, "n1", 4), (81, "n1", 2)]);
        assert_eq!(batch.reports.len(), 1);
        let (empty, accepted) = read_lines(&[]).unwrap();
        assert!(empty.rows.is_empty() && accepted.flows == 0);
    }

    #[test]
    fn one_bad_line_refuses_the_batch_and_is_named() {
        for (lines, status, message) in [
            ([flow(None, 80), "{".to_owned()], 400, "line 2: "),
            ([flow(None, 80).replace("10.0.0.2", "here"), flow(None, 80)], 400, "line 1: "),
            ([flow(None, 80), flow(Some("n2"), 80)], 403, "line 2: n1 cannot send traffic of node n2"),
            ([report("n2"), flow(None, 80)], 403, "line 1: n1 cannot send traffic of node n2"),
        ] {
            let refusal = read_lines(&lines).unwrap_err();
            assert_eq!(refusal.status.as_u16(), status, "{}", refusal.message);
            assert!(refusal.message.starts_with(message), "{}", refusal.message);
        }
    }

    #[test]
    fn bodies_are_decompressed_by_their_encoding() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"text").unwrap();
        let (gzip, zstd) = (gzip.finish().unwrap(), zstd::encode_all(&b"text"[..], 1).unwrap());
        let twice = [gzip.clone(), gzip.clone()].concat();
        for (encoding, body, text) in [
            ("identity", b"text".to_vec(), Ok("text")),
            ("gzip", gzip.clone(), Ok("text")),
            ("gzip", twice, Ok("texttext")),
            ("zstd", zstd.clone(), Ok("text")),
            ("gzip", zstd, Err("the body cannot be decompressed")),
            ("zstd", gzip.clone(), Err("the body cannot be decompressed")),
            ("gzip", gzip[..gzip.len() - 5].to_vec(), Err("the body cannot be decompressed")),
            ("br", gzip, Err("header content-encoding: use gzip, zstd or identity")),
        ] {
            match (decompressed(&headers(&[("content-encoding", encoding)]), &body), text) {
                (Ok(found), Ok(text)) => assert_eq!(found, text.as_bytes(), "{encoding}"),
                (Err(refusal), Err(message)) => {
                    assert_eq!(refusal.status.as_u16(), 400);
                    assert!(refusal.message.starts_with(message), "{encoding}: {}", refusal.message);
                }
                (found, _) => panic!("{encoding}: {found:?}"),
            }
        }
        assert_eq!(decompressed(&HeaderMap::new(), b"text").unwrap(), b"text");
    }

    #[test]
    fn a_body_that_decompresses_to_more_than_the_limit_is_refused() {
        assert_eq!(limited(&b"1234"[..], 4).unwrap(), b"1234");
        assert_eq!(limited(&b"12345"[..], 4).unwrap_err().status.as_u16(), 413);
        assert_eq!(limited(std::io::repeat(0), 1 << 10).unwrap_err().status.as_u16(), 413);
    }
}
