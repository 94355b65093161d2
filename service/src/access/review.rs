//! Asks the API server who sent a token and whether they have permission.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::access::caller::Caller;
use crate::refusal::Refusal;

/// The node of the pod that a token was made for (KEP-4193).
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// The caller with this token, if they may use this verb on this path.
pub(super) async fn review(
    client: &Client,
    audience: &str,
    token: &str,
    verb: &str,
    path: &str,
) -> Result<Caller, Refusal> {
    let unavailable =
        |error: kube::Error| Refusal::unavailable(format!("the API server cannot check the token: {error}"));
    let review = TokenReview {
        spec: TokenReviewSpec { audiences: Some(vec![audience.to_owned()]), token: token.to_owned() },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(unavailable)?;
    let user = user_of(answer.status, audience)?;
    let caller = caller_of(&user);
    let review = access_review(user, verb, path);
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(unavailable)?;
    if is_allowed(answer.status.as_ref()) {
        return Ok(caller);
    }
    Err(Refusal::forbidden(format!(
        "{} may not {verb} {path}: bind it to a ClusterRole that allows this verb on this nonResourceURL",
        caller.name
    )))
}

/// The user that a valid token belongs to.
fn user_of(status: Option<TokenReviewStatus>, audience: &str) -> Result<UserInfo, Refusal> {
    let status = status.unwrap_or_default();
    let audiences = status.audiences.unwrap_or_default();
    // An authenticator that does not support audiences leaves them out, and would accept any token.
    if status.authenticated != Some(true) || !audiences.iter().any(|known| known == audience) {
        return Err(Refusal::unauthorized(format!("the token is not valid for audience {audience}")));
    }
    Ok(status.user.unwrap_or_default())
}

fn caller_of(user: &UserInfo) -> Caller {
    let node = user.extra.as_ref().and_then(|extra| extra.get(NODE_NAME)?.first().cloned());
    Caller { name: user.username.clone().unwrap_or_default(), node, is_operator: false }
}

fn access_review(user: UserInfo, verb: &str, path: &str) -> SubjectAccessReview {
    let UserInfo { username, groups, uid, extra } = user;
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            extra,
            groups,
            uid,
            user: username,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some(verb.to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

fn is_allowed(status: Option<&SubjectAccessReviewStatus>) -> bool {
    status.is_some_and(|status| status.allowed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn status(authenticated: Option<bool>, audiences: Option<&[&str]>) -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated,
            audiences: audiences.map(|audiences| audiences.iter().map(|&audience| audience.to_owned()).collect()),
            user: Some(UserInfo { username: Some("somebody".to_owned()), ..UserInfo::default() }),
            ..TokenReviewStatus::default()
        }
    }

    #[test]
    fn a_token_counts_only_if_it_is_authenticated_for_our_audience() {
        for (status, is_valid) in [
            (status(Some(true), Some(&["it"])), true),
            (status(Some(true), Some(&["other", "it"])), true),
            (status(Some(true), Some(&["other"])), false),
            (status(Some(true), Some(&[])), false),
            (status(Some(true), None), false),
            (status(Some(false), Some(&["it"])), false),
            (status(None, Some(&["it"])), false),
            (TokenReviewStatus::default(), false),
        ] {
            let user = user_of(Some(status.clone()), "it");
            assert_eq!(user.is_ok(), is_valid, "{status:?}");
            match user {
                Ok(user) => assert_eq!(user.username.as_deref(), Some("somebody")),
                Err(refusal) => assert_eq!(refusal.status.as_u16(), 401),
            }
        }
        assert!(user_of(None, "it").is_err());
    }

    #[test]
    fn the_node_is_the_one_that_the_token_was_made_for() {
        let with = |extra: Option<(&str, &[&str])>| {
            let extra = extra.map(|(name, values)| {
                BTreeMap::from([(name.to_owned(), values.iter().map(|&value| value.to_owned()).collect())])
            });
            caller_of(&UserInfo { username: Some("agent".to_owned()), extra, ..UserInfo::default() })
        };
        assert_eq!(with(Some((NODE_NAME, &["n1"]))).node.as_deref(), Some("n1"));
        for extra in [None, Some((NODE_NAME, &[][..])), Some(("authentication.kubernetes.io/pod-name", &["n1"][..]))] {
            let caller = with(extra);
            assert_eq!((caller.name.as_str(), caller.node, caller.is_operator), ("agent", None, false), "{extra:?}");
        }
    }

    #[test]
    fn permission_is_asked_for_the_whole_user_and_the_path() {
        let user = UserInfo {
            username: Some("agent".to_owned()),
            uid: Some("u".to_owned()),
            groups: Some(vec!["g".to_owned()]),
            extra: Some(BTreeMap::from([("k".to_owned(), vec!["v".to_owned()])])),
        };
        let spec = access_review(user.clone(), "post", "/v1/flows").spec;
        assert_eq!((spec.user, spec.uid, spec.groups, spec.extra), (user.username, user.uid, user.groups, user.extra));
        let attributes = spec.non_resource_attributes.unwrap();
        assert_eq!((attributes.verb.as_deref(), attributes.path.as_deref()), (Some("post"), Some("/v1/flows")));
        assert!(spec.resource_attributes.is_none());
    }

    #[test]
    fn without_an_answer_there_is_no_permission() {
        assert!(!is_allowed(None));
        assert!(!is_allowed(Some(&SubjectAccessReviewStatus::default())));
        assert!(is_allowed(Some(&SubjectAccessReviewStatus { allowed: true, ..SubjectAccessReviewStatus::default() })));
    }
}
