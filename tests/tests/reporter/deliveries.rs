//! Webhook deliveries: signed, repeated, or missed.

use foretell_tests::github::{Delivery, Signature};

use crate::scene::{COMMENT, STATUS, Scene, until};

#[tokio::test(flavor = "multi_thread")]
async fn only_deliveries_that_github_signed_are_accepted() {
    let mut scene = Scene::set().await;
    scene.reporter().await;
    let number = scene.promotion("promote");
    let payload = scene.shop.payload(number, "opened");
    let delivery = Delivery { id: "d-1".to_owned(), event: "pull_request".to_owned(), payload };
    assert_eq!(scene.send(&delivery, Signature::None).await, 401);
    assert_eq!(scene.send(&delivery, Signature::By("guessed".to_owned())).await, 401);
    let ping = Delivery { event: "ping".to_owned(), ..delivery.clone() };
    assert_eq!(scene.send(&ping, Signature::right()).await, 200);
    let push = Delivery { event: "push".to_owned(), ..delivery };
    assert_eq!(scene.send(&push, Signature::right()).await, 204);
    assert!(scene.shop.statuses(&scene.shop.tip("promote")).is_empty());

    let metrics = format!("https://localhost:{}/metrics", scene.reporter_port);
    assert_eq!(scene.client.get(&metrics).send().await.unwrap().status(), 401);
    let shown = scene.client.get(&metrics).bearer_auth("metrics-token").send().await.unwrap().text().await.unwrap();
    assert!(shown.contains(r#"foretell_reporter_deliveries_total{outcome="refused"} 2"#), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_repeated_changes_nothing() {
    let mut scene = Scene::set().await;
    let evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    until("the delivery counts as answered", async || scene.deliver("d-1", number, "opened").await == 200).await;
    // Another delivery of the same state is evaluated again, and changes nothing.
    let previews = evaluator.previews();
    scene.deliver("d-2", number, "reopened").await;
    until("the evaluator is asked again", async || evaluator.previews() > previews).await;
    until("the delivery counts as answered", async || scene.deliver("d-2", number, "reopened").await == 200).await;
    assert_eq!((scene.github.requests(STATUS), scene.github.requests(COMMENT)), (1, 1));
    assert_eq!(scene.shop.comments(number)[0].edits, 0);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_opened_while_the_reporter_was_down_are_answered_at_its_start() {
    let mut scene = Scene::set().await;
    let evaluator = scene.evaluator();
    let number = scene.promotion("promote");
    let closed = scene.promotion("closed");
    scene.shop.close(closed);
    scene.reporter().await;
    scene.status("promote", "failure").await;
    assert!(scene.shop.statuses(&scene.shop.tip("closed")).is_empty());
    assert!(scene.shop.comments(closed).is_empty());

    // The next start evaluates again, and changes nothing.
    scene.stop_reporter().await;
    let previews = evaluator.previews();
    scene.reporter().await;
    until("the evaluator is asked again", async || evaluator.previews() > previews).await;
    until("the delivery counts as answered", async || scene.deliver("d-1", number, "reopened").await == 200).await;
    assert_eq!((scene.github.requests(STATUS), scene.github.requests(COMMENT)), (1, 1));
    scene.github.assert_clean();
}
