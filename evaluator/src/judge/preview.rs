//! What a change of policies would do to the traffic of the window.

use foretell_policy::report::data::Report;
use foretell_policy::report::preview::Preview;
use foretell_service::refusal::Refusal;
use jiff::{SignedDuration, Timestamp};

use crate::judge::assembled::Assembled;
use crate::judge::report::{Question, report};
use crate::window::Window;

/// Judges a change at `at`, on the cluster as it was last assembled. `kept` is how long the evaluator keeps traffic.
///
/// # Errors
/// [`Refusal`]: 400 the change is not valid or its window is longer than the evaluator keeps traffic.
pub fn preview(
    assembled: &Assembled,
    window: &Window,
    kept: SignedDuration,
    mut preview: Preview,
    at: Timestamp,
) -> Result<Report, Refusal> {
    let change = std::mem::take(&mut preview.change).read().map_err(Refusal::bad_request)?;
    let seconds = |seconds: u32| SignedDuration::from_secs(seconds.into());
    let length = preview.window_seconds.map_or(kept, seconds);
    if length > kept {
        return Err(Refusal::bad_request(format!(
            "windowSeconds: the evaluator keeps {} s of traffic; request a shorter window, or start it with a longer --window",
            kept.as_secs()
        )));
    }
    let min_window = preview.min_window_seconds.map(seconds);
    let question = Question { change: &change, from: at - length, min_window, preview: Some(&preview) };
    Ok(report(&assembled.later(window, at), window, &question))
}

#[cfg(test)]
mod tests {
    use foretell_policy::report::data::Decision;
    use foretell_policy::report::preview::WireChange;
    use serde_json::{Value, json};

    use crate::scene::{Scene, WINDOW, flow, noon, spec};

    use super::*;

    fn question(after: &Value) -> Preview {
        let change = json!({"before": [], "after": after});
        Preview {
            base: "main".to_owned(),
            head: "topic".to_owned(),
            window_seconds: None,
            min_window_seconds: None,
            exceptions_on_base_only: false,
            ranges: std::collections::BTreeMap::new(),
            cni: None,
            change: serde_json::from_value::<WireChange>(change).unwrap(),
        }
    }

    fn denying(kind: &str) -> Value {
        let metadata = json!({"namespace": "shop", "name": "web"});
        let object =
            json!({"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec("web", &[])});
        json!([{"object": object, "place": {"file": "web.yaml", "document": 1, "item": ""}}])
    }

    fn ask(scene: &mut Scene, question: Preview) -> Result<Report, Refusal> {
        let assembled = scene.assembled();
        preview(&assembled, &scene.window, WINDOW, question, noon())
    }

    #[test]
    fn a_change_is_judged_over_the_window_that_was_requested() {
        let mut scene = Scene::new(&[]).flow(&flow("batch", "web", 8080)).watched("n1", "11:00:00", "12:00:00");
        let question = || question(&denying("NetworkPolicy"));
        let report = ask(&mut scene, question()).unwrap();
        assert_eq!((report.decision, report.denials.len()), (Decision::Blocked, 1));
        assert_eq!((report.base.as_str(), report.head.as_str()), ("main", "topic"));
        assert_eq!((report.evidence.from, report.at), (noon() - WINDOW, noon()));
        let short = ask(&mut scene, Preview { window_seconds: Some(30), ..question() }).unwrap();
        assert_eq!((short.decision, short.denials.len()), (Decision::MayMerge, 0), "the flow is a minute old");
        let pending = Preview { window_seconds: Some(30), min_window_seconds: Some(7200), ..question() };
        assert_eq!(ask(&mut scene, pending).unwrap().decision, Decision::Pending);
    }

    #[test]
    fn a_change_that_cannot_be_judged_is_refused() {
        let mut scene = Scene::new(&[]);
        let kept = u32::try_from(WINDOW.as_secs()).unwrap();
        let question_of = |seconds| Preview { window_seconds: Some(seconds), ..question(&json!([])) };
        assert!(ask(&mut scene, question_of(kept)).is_ok());
        for (question, part) in [
            (question_of(kept + 1), "windowSeconds: the evaluator keeps 86400 s of traffic"),
            (question(&denying("NetworkPolicie")), "change.after[0]"),
        ] {
            let refusal = ask(&mut scene, question).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400);
            assert!(refusal.message.contains(part), "{}", refusal.message);
        }
    }
}
