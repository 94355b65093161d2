//! Which revisions are judged.

use crate::scene::{PROMOTED, STATUS, Scene, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_merge_of_base_and_head_is_judged() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    // The base moves: its settings count, and its changes are not attributed to the pull request.
    scene.shop.commit("main", None, &[("payments/policies/postgres.yaml", None)]);
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    let body = &scene.shop.comments(number)[0].body;
    assert!(body.contains(&format!("against `{}`", &scene.shop.tip("main")[..7])), "{body}");
    assert!(!body.contains("payments/postgres"), "{body}");

    scene.shop.commit("main", None, &[(".foretell.yaml", Some("exceptions: {require: yes}\n"))]);
    scene.deliver("d-2", number, "reopened").await;
    let status = scene.status("promote", "error").await;
    assert!(status.description.contains(".foretell.yaml at the base"), "{}", status.description);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_and_a_truncated_tree_cannot_be_decided() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.shop.commit("main", None, &[(PROMOTED, Some("# Written meanwhile\n"))]);
    scene.deliver("d-1", number, "opened").await;
    let status = scene.status("promote", "error").await;
    assert!(status.description.contains("into main causes a conflict"), "{}", status.description);

    scene.shop.commit("notes", Some("main"), &[("notes.yaml", Some("a: b\n"))]);
    let number = scene.shop.open("notes", "main");
    scene.shop.hide_files();
    scene.deliver("d-2", number, "opened").await;
    let status = scene.status("notes", "error").await;
    assert!(status.description.contains("more files than GitHub lists"), "{}", status.description);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_moves_while_it_is_judged_gets_no_answer() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    let former = scene.shop.tip("promote");
    scene.deliver("d-1", number, "opened").await;
    // The mock server has not done its test merge yet, so the reporter waits. It gets no delivery for this push.
    scene.fix("promote");
    scene.status("promote", "success").await;
    assert!(scene.shop.statuses(&former).is_empty());
    assert_eq!(scene.shop.comments(number).iter().map(|comment| comment.edits).collect::<Vec<_>>(), [0]);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pull_requests_with_one_head_get_the_worse_status() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let blocked = scene.promotion("promote");
    scene.deliver("d-1", blocked, "opened").await;
    scene.status("promote", "failure").await;
    // The same head into a branch where it changes nothing.
    scene.shop.commit("stacked", Some("promote"), &[]);
    let harmless = scene.shop.open("promote", "stacked");
    scene.deliver("d-2", harmless, "opened").await;
    until("the delivery is answered", async || scene.deliver("d-2", harmless, "opened").await == 200).await;
    scene.status("promote", "failure").await;
    assert_eq!(scene.github.requests(STATUS), 1);
    scene.shop.close(blocked);
    scene.deliver("d-3", blocked, "closed").await;
    scene.status("promote", "success").await;
    scene.github.assert_clean();
}
