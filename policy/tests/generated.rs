//! Generated policies in random scenes: the change that promotes one denies nothing in use but what the policy leaves out by name.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "the oracle is shared with other tests")]

mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use foretell_objects::manifest::documents::documents;
use foretell_objects::model::dialect::{Cni, Dialect};
use foretell_objects::model::flow::{Direction, Outcome};
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::change::revisions::{Change, Place, Sourced};
use foretell_policy::cluster::evidence::Watch;
use foretell_policy::cluster::traffic::Traffic;
use foretell_policy::cluster::workload::Workload;
use foretell_policy::judge::generate::{GenerateError, generate};
use foretell_policy::judge::judgement::{Inputs, judge};
use proptest::prelude::*;

use oracle::generate::{scene, time};
use oracle::objects::{cluster, objects};
use oracle::scene::Scene;

/// The promotion of a policy, from the text that is printed.
fn promotion(text: &str) -> Change {
    let text =
        text.replace("kguardian.dev/v1alpha1", "networking.k8s.io/v1").replace("AuditNetworkPolicy", "NetworkPolicy");
    let value = documents(&text).remove(0).value.unwrap();
    let object: Object = read(value, &Origin::Manifest { default_namespace: String::new() }).unwrap().unwrap();
    let place = Place { file: "it.yaml".to_owned(), document: 1, item: String::new() };
    Change { after: vec![Sourced { object, place }], ..Change::default() }
}

fn check(scene: &Scene, cni: Cni) -> Result<(), String> {
    let (cluster, objects) = (cluster(scene), objects(scene));
    let (from, at) = (time(-60), time(12));
    let mut traffic = Traffic::default();
    for flow in &scene.flows {
        let mut flow = flow.clone();
        flow.outcome = Some(Outcome::Established);
        traffic.add(&flow, &cluster, from, at);
    }
    let watch = Watch::default();
    let nothing = Change::default();
    let inputs = Inputs {
        cluster: &cluster,
        snapshot: &objects,
        change: &nothing,
        traffic: &traffic,
        watch: &watch,
        base: "nothing".to_owned(),
        head: "generated".to_owned(),
        at,
        from,
        min_window: None,
        exceptions_on_base_only: false,
        bad_lines: 0,
        dialect: Dialect::of(cni),
        ranges: BTreeMap::new(),
    };
    let workloads: BTreeSet<Workload> = cluster.pods().map(|(_, pod)| pod.workload.clone()).collect();
    for workload in workloads {
        let generated = match generate(&inputs, &workload, &Direction::BOTH, "it") {
            Ok(generated) => generated,
            Err(GenerateError::HostNetwork(_) | GenerateError::NoStableLabel(_)) => continue,
            Err(error) => return Err(error.to_string()),
        };
        let text = generated.to_yaml();
        let report = judge(&Inputs { change: &promotion(&text), ..inputs.clone() });
        let left = text.lines().filter(|line| line.starts_with("# Left out: ")).count();
        if left != generated.left_out.len() {
            return Err(format!("{cni}: {left} lines\n{text}"));
        }
        for denial in report.unresolved() {
            if !generated.left_out.iter().any(|left| left.is_of(denial)) {
                return Err(format!("{cni}: {workload}: {denial:#?}\n{text}"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_promotion_of_a_generated_policy_denies_only_what_it_leaves_out() {
    let cases = std::env::var("FORETELL_PROPERTY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(scene in scene())| {
        for cni in [Cni::Upstream, Cni::Cilium, Cni::Calico, Cni::KubeRouter, Cni::AwsVpcCni, Cni::OvnKubernetes] {
            check(&scene, cni).map_err(TestCaseError::fail)?;
        }
    });
}
