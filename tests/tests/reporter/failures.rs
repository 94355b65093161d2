//! Failures of GitHub and of the evaluator.

use crate::scene::{STATUS, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_evaluator_gives_an_error_status_until_it_is_back() {
    let mut scene = Scene::set().await;
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.deliver("d-1", number, "opened").await;
    let status = scene.status("promote", "error").await;
    let description = "Could not decide yet: the evaluator cannot be reached. Foretell retries automatically.";
    assert_eq!(status.description, description);
    assert!(scene.shop.comments(number).is_empty());
    let _evaluator = scene.evaluator();
    scene.status("promote", "failure").await;
    assert_eq!(scene.shop.comments(number).len(), 1);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_requests_to_github_are_repeated_and_no_comment_is_written_twice() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.github.fail_next(STATUS, 502, &[]);
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    assert_eq!(scene.github.requests(STATUS), 2);

    scene.fix("promote");
    scene.github.expire_tokens();
    scene.github.fail_next("GET /repos/{owner}/{repo}/pulls/{pull_number}", 403, &[("retry-after", "1")]);
    scene.deliver("d-2", number, "synchronize").await;
    scene.status("promote", "success").await;
    assert_eq!(scene.shop.comments(number).len(), 1);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_server_records_invalid_requests() {
    let scene = Scene::set().await;
    let ask = async |path: &str, token: Option<&str>| {
        let mut request =
            reqwest::Client::new().get(format!("{}{path}", scene.github.url)).header("user-agent", "a test");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/app", None).await, 401);
    assert_eq!(ask("/app", Some("a.forged.token")).await, 401);
    assert_eq!(ask("/repos/acme/shop/pulls/1", Some("guessed")).await, 401);
    assert_eq!(ask("/repos/acme/shop/pulls/1/no-such-thing", None).await, 404);
    assert_eq!(scene.github.breaches().len(), 4, "{:?}", scene.github.breaches());
}
