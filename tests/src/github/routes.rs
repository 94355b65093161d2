//! The responses of the mock server.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extracted;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64_MIME;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Value, json};

use super::{APP_ID, Comment, INSTALLATION, LOGIN, Pull, Repository, Shared, State, Status};

/// An error response, and whether the request was invalid.
struct Refused {
    status: StatusCode,
    message: String,
    is_breach: bool,
}

type Answer = Result<(StatusCode, Value), Refused>;

pub(super) fn router(state: Arc<Shared>) -> Router {
    // As GitHub: large bodies are rejected for their content, not for their size.
    Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable()).with_state(state)
}

async fn answer(
    Extracted(shared): Extracted<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut state = shared.lock();
    let request = format!("{method} {uri}");
    let answer = match shared.contract.operation(method.as_str(), uri.path()) {
        None => Err(breach(StatusCode::NOT_FOUND, "Not Found: the mock server does not have this operation")),
        Some((operation, filled)) => {
            state.requests.push(operation.to_owned());
            if state.failures.front().is_some_and(|failure| failure.operation == operation)
                && let Some(failure) = state.failures.pop_front()
            {
                let headers: HeaderMap = failure
                    .headers
                    .iter()
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                    .collect();
                return (failure.status, headers, json!({"message": "made to fail"}).to_string()).into_response();
            }
            let query = pairs(uri.query().unwrap_or_default());
            authorise(&shared, &state, operation, &headers)
                .and_then(|()| check_contract(&shared, operation, &query, &body))
                .and_then(|()| act(&mut state, operation, &filled, &query, &body))
        }
    };
    let (status, value) = match answer {
        Ok(answer) => answer,
        Err(Refused { status, message, is_breach }) => {
            if is_breach {
                state.breaches.push(format!("{request}: {status}: {message}"));
            }
            (status, json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
        }
    };
    (status, [("content-type", "application/json; charset=utf-8")], value.to_string()).into_response()
}

fn breach(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status, message: message.into(), is_breach: true }
}

fn missing() -> Refused {
    Refused { status: StatusCode::NOT_FOUND, message: "Not Found".to_owned(), is_breach: false }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// Checks the token: operations of the App need the App's token, all others a token of its installation.
fn authorise(shared: &Shared, state: &State, operation: &str, headers: &HeaderMap) -> Result<(), Refused> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("user-agent").is_none() {
        return Err(breach(StatusCode::FORBIDDEN, "Request forbidden by administrative rules: no User-Agent"));
    }
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| breach(StatusCode::UNAUTHORIZED, "Requires authentication"))?;
    if operation.contains(" /app") {
        return app_token(shared, token).map_err(|why| breach(StatusCode::UNAUTHORIZED, why));
    }
    match state.tokens.get(token) {
        Some(end) if *end > Timestamp::now() => Ok(()),
        // A token may expire during a request; clients have to handle that.
        _ => Err(Refused {
            status: StatusCode::UNAUTHORIZED,
            message: "Bad credentials".to_owned(),
            is_breach: state.tokens.is_empty() && !token.starts_with("ghs_"),
        }),
    }
}

fn app_token(shared: &Shared, token: &str) -> Result<(), String> {
    let mut validation = Validation::new(Algorithm::RS256);
    // `iss` is checked below: GitHub also accepts a number, which the library does not.
    validation.set_required_spec_claims(&["exp"]);
    let claims = jsonwebtoken::decode::<Value>(token, &shared.public_key, &validation);
    let claims = claims.map_err(|error| format!("A JSON web token could not be decoded: {error}"))?.claims;
    let now = Timestamp::now().as_second();
    let time = |name: &str| claims[name].as_i64().ok_or_else(|| format!("'{name}' is missing"));
    let (begin, end) = (time("iat")?, time("exp")?);
    if begin > now {
        return Err(format!("'iat' is {} s in the future", begin - now));
    }
    if end > now + 600 {
        return Err("'exp' is too far in the future".to_owned());
    }
    let issuer = claims["iss"].as_str().map_or_else(|| claims["iss"].to_string(), str::to_owned);
    if issuer == APP_ID.to_string() { Ok(()) } else { Err(format!("'iss' {issuer} is not an App")) }
}

fn check_contract(shared: &Shared, operation: &str, query: &[(String, String)], body: &[u8]) -> Result<(), Refused> {
    let faults = shared.contract.faults(operation, query, body);
    if faults.is_empty() {
        return Ok(());
    }
    Err(breach(StatusCode::UNPROCESSABLE_ENTITY, format!("Validation Failed: {}", faults.join("; "))))
}

fn act(state: &mut State, operation: &str, filled: &[String], query: &[(String, String)], body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let ok = |value: Value| Ok((StatusCode::OK, value));
    match operation.split_once(" /repos/{owner}/{repo}/") {
        None => ok(match operation {
            "GET /app" => json!({"id": APP_ID, "slug": LOGIN.trim_end_matches("[bot]"), "name": "Foretell"}),
            "GET /app/installations" => {
                page(vec![json!({"id": INSTALLATION, "app_id": APP_ID, "suspended_at": null})], query)
            }
            "GET /app/hook/deliveries" => page(state.deliveries.clone(), query),
            "GET /installation/repositories" => {
                let all = state.repositories.keys();
                let all = all.map(|(owner, name)| json!({"name": name, "owner": {"login": owner}, "archived": false}));
                let all: Vec<Value> = all.collect();
                json!({"total_count": all.len(), "repositories": page(all, query)})
            }
            _ => return new_token(state, &filled[0]),
        }),
        Some((method, rest)) => {
            let id = state.new_id();
            let key = (filled[0].clone(), filled[1].clone());
            let repository = state.repositories.get_mut(&key).ok_or_else(missing)?;
            in_repository(
                repository,
                &format!("{method} {rest}"),
                filled.get(2).map_or("", String::as_str),
                query,
                &body,
                id,
            )
        }
    }
}

fn new_token(state: &mut State, installation: &str) -> Answer {
    if installation != INSTALLATION.to_string() {
        return Err(missing());
    }
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    // Longer than the 40 characters of older tokens.
    let token = format!("ghs_{}", format!("{:08x}", state.new_id()).repeat(9));
    state.tokens.insert(token.clone(), end);
    let value =
        json!({"token": token, "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "permissions": {}});
    Ok((StatusCode::CREATED, value))
}

fn in_repository(
    repository: &mut Repository,
    operation: &str,
    named: &str,
    query: &[(String, String)],
    body: &Value,
    id: u64,
) -> Answer {
    let ok = |value: Value| Ok((StatusCode::OK, value));
    let number = named.parse::<u64>().unwrap_or_default();
    match operation {
        "GET pulls" => {
            let open: Vec<u64> =
                repository.pulls.iter().filter(|(_, pull)| pull.is_open).map(|(number, _)| *number).collect();
            ok(page(open.into_iter().map(|number| pull(repository, number)).collect(), query))
        }
        "GET pulls/{pull_number}" => {
            let Repository { history, pulls, .. } = repository;
            let found = pulls.get_mut(&number).ok_or_else(missing)?;
            let (base, head) = (history.tip(&found.base), history.tip(&found.head));
            let is_merged = found.merged.as_ref().is_some_and(|(b, h, _)| (b, h) == (&base, &head));
            let shown = pull(repository, number);
            if !is_merged && repository.pulls[&number].is_open {
                // As GitHub, which merges in the background: the next request shows the result.
                let merged = repository.history.merge(&base, &head);
                repository.pulls.get_mut(&number).unwrap().merged = Some((base, head, merged));
            }
            ok(shown)
        }
        "GET git/commits/{commit_sha}" => {
            let commit = repository.history.commits.get(named).ok_or_else(missing)?;
            let parents: Vec<Value> = commit.parents.iter().map(|sha| json!({"sha": sha})).collect();
            ok(json!({"sha": named, "tree": {"sha": named}, "parents": parents, "message": ""}))
        }
        "GET git/ref/{ref}" => {
            let branch = named.strip_prefix("heads/").ok_or_else(missing)?;
            let sha = repository.history.branches.get(branch).ok_or_else(missing)?;
            ok(json!({"ref": format!("refs/heads/{branch}"), "object": {"type": "commit", "sha": sha}}))
        }
        "GET git/trees/{tree_sha}" => {
            let files = &repository.history.commits.get(named).ok_or_else(missing)?.files;
            let entries: Vec<Value> = files
                .iter()
                .map(|(path, sha)| {
                    let size = repository.history.blobs[sha].len();
                    json!({"path": path, "mode": "100644", "type": "blob", "sha": sha, "size": size})
                })
                .collect();
            ok(json!({"sha": named, "tree": entries, "truncated": repository.hides_files}))
        }
        "GET git/blobs/{file_sha}" => {
            let content = repository.history.blobs.get(named).ok_or_else(missing)?;
            ok(
                json!({"sha": named, "size": content.len(), "encoding": "base64", "content": BASE64_MIME.encode(content)}),
            )
        }
        "GET issues/{issue_number}/comments" => {
            let own = repository.comments.iter().filter(|(of, _)| *of == number);
            ok(page(own.map(|(_, comment)| comment_json(comment)).collect(), query))
        }
        "POST issues/{issue_number}/comments" => {
            if !repository.pulls.contains_key(&number) {
                return Err(missing());
            }
            let text = body["body"].as_str().unwrap_or_default().to_owned();
            let comment = Comment { id, login: LOGIN.to_owned(), body: text, edits: 0 };
            let value = comment_json(&comment);
            repository.comments.push((number, comment));
            Ok((StatusCode::CREATED, value))
        }
        "PATCH issues/comments/{comment_id}" => {
            let comment = repository.comments.iter_mut().find(|(_, comment)| comment.id == number);
            let (_, comment) = comment.ok_or_else(missing)?;
            if comment.login != LOGIN {
                return Err(breach(StatusCode::FORBIDDEN, "Resource not accessible by integration"));
            }
            body["body"].as_str().unwrap_or_default().clone_into(&mut comment.body);
            comment.edits += 1;
            ok(comment_json(comment))
        }
        "GET commits/{ref}/statuses" => {
            let own = repository.statuses.iter().rev().filter(|(of, _)| of == named);
            ok(page(own.map(|(_, status)| status_json(status)).collect(), query))
        }
        "POST statuses/{sha}" => {
            if !repository.history.commits.contains_key(named) {
                return Err(breach(StatusCode::UNPROCESSABLE_ENTITY, format!("No commit found for SHA: {named}")));
            }
            let text = |name: &str, absent: &str| body[name].as_str().unwrap_or(absent).to_owned();
            let status = Status {
                state: text("state", ""),
                context: text("context", "default"),
                description: text("description", ""),
            };
            let value = status_json(&status);
            repository.statuses.push((named.to_owned(), status));
            Ok((StatusCode::CREATED, value))
        }
        _ => Err(breach(StatusCode::NOT_IMPLEMENTED, "in the description, but not in the mock server")),
    }
}

/// A pull request as GitHub shows it: before the test merge of its two tips is done, it shows the previous one.
pub(super) fn pull(repository: &Repository, number: u64) -> Value {
    let Pull { head, base, is_open, merged } = &repository.pulls[&number];
    let tips = [base, head].map(|branch| repository.history.tip(branch));
    let (mergeable, commit) = match merged {
        Some((b, h, merged)) if [b, h] == [&tips[0], &tips[1]] => (json!(merged.is_some()), json!(merged)),
        Some((_, _, former)) => (Value::Null, json!(former)),
        None => (Value::Null, Value::Null),
    };
    json!({
        "number": number,
        "state": if *is_open { "open" } else { "closed" },
        "draft": false,
        "head": {"ref": head, "sha": tips[1]},
        "base": {"ref": base, "sha": tips[0]},
        "mergeable": mergeable,
        "merge_commit_sha": commit,
    })
}

fn comment_json(comment: &Comment) -> Value {
    let is_bot = comment.login.ends_with("[bot]");
    let user = json!({"login": comment.login, "type": if is_bot { "Bot" } else { "User" }});
    json!({"id": comment.id, "user": user, "body": comment.body})
}

fn status_json(status: &Status) -> Value {
    let Status { state, context, description } = status;
    json!({"state": state, "context": context, "description": description, "target_url": null})
}

/// A page of a list.
fn page(all: Vec<Value>, query: &[(String, String)]) -> Value {
    let number = |name: &str, absent: usize| {
        let given = query.iter().find(|(known, _)| known == name);
        given.and_then(|(_, value)| value.parse().ok()).unwrap_or(absent)
    };
    let (size, page) = (number("per_page", 30), number("page", 1));
    all.into_iter().skip(size * (page - 1)).take(size).collect()
}
