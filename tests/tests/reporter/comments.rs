//! Comments on pull requests, and when they are edited.

use foretell_tests::github::LOGIN;
use foretell_tests::golden;

use crate::scene::{CONTEXT, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_forgets_callers_is_blocked_until_it_is_fixed() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    assert_eq!(scene.deliver("d-1", number, "opened").await, 202);
    let status = scene.status("promote", "failure").await;
    assert_eq!(status.description, "Blocked: 2 connections in use would be denied");
    let comments = scene.shop.comments(number);
    let [comment] = &comments[..] else { panic!("one comment, not {comments:?}") };
    assert_eq!(comment.login, LOGIN);
    for caller in ["`Deployment/prometheus`", "`CronJob/settlement`"] {
        assert!(comment.body.contains(caller), "{caller} is missing in\n{}", comment.body);
    }
    golden::compare("reporter/blocked.md", &scene.redacted(&comment.body));

    scene.fix("promote");
    assert_eq!(scene.deliver("d-2", number, "synchronize").await, 202);
    scene.status("promote", "success").await;
    let edited = scene.shop.comments(number);
    assert_eq!((edited.len(), edited[0].id, edited[0].edits), (1, comment.id, 1));
    golden::compare("reporter/fixed.md", &scene.redacted(&edited[0].body));
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_without_policies_gets_a_status_and_no_comment() {
    let mut scene = Scene::set().await;
    // No evaluator is needed, and none runs.
    scene.reporter().await;
    scene.shop.commit("notes", Some("main"), &[("README.md", Some("# Another shop\n"))]);
    let number = scene.shop.open("notes", "main");
    assert_eq!(scene.deliver("d-1", number, "opened").await, 202);
    let status = scene.status("notes", "success").await;
    assert_eq!(status.description, "May merge: no policy changed, and nothing that policies look at.");
    assert!(scene.shop.comments(number).is_empty());
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_another_account_with_the_marker_is_not_edited() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.shop.write_comment(number, "somebody", &format!("<!-- foretell: {CONTEXT} f00 -->\nAll is well"));
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    let comments = scene.shop.comments(number);
    assert_eq!(comments.iter().map(|comment| comment.login.as_str()).collect::<Vec<_>>(), ["somebody", LOGIN]);
    scene.github.assert_clean();
}
