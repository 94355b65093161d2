//! Manifests as users write them into Git.

pub(crate) fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// A NetworkPolicy with the annotation that says where it was promoted from.
pub(crate) fn promoted(namespace: &str, name: &str, from: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}, annotations: {{foretell.dev/promoted-from: {from}}}}}\nspec: {spec}\n"
    )
}

pub(crate) fn audit(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: kguardian.dev/v1alpha1\nkind: AuditNetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

pub(crate) fn audit_cluster(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: kguardian.dev/v1alpha1\nkind: AuditClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

/// A controller with a pod template, as Git holds it.
pub(crate) fn workload(kind: &str, namespace: &str, name: &str, labels: &str, ports: &str) -> String {
    let (api, spec) = (
        match kind {
            "Pod" => "v1",
            "Job" | "CronJob" => "batch/v1",
            _ => "apps/v1",
        },
        format!("{{containers: [{{name: c, image: c, ports: {ports}}}]}}"),
    );
    let template = format!("{{metadata: {{labels: {labels}}}, spec: {spec}}}");
    let metadata = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}");
    match kind {
        "Pod" => format!("{metadata}, labels: {labels}}}\nspec: {spec}\n"),
        "Job" => format!("{metadata}}}\nspec: {{template: {template}}}\n"),
        "CronJob" => {
            format!("{metadata}}}\nspec: {{schedule: '@daily', jobTemplate: {{spec: {{template: {template}}}}}}}\n")
        }
        "StatefulSet" => format!(
            "{metadata}}}\nspec: {{serviceName: {name}, selector: {{matchLabels: {{app: {name}}}}}, template: {template}}}\n"
        ),
        _ => format!("{metadata}}}\nspec: {{selector: {{matchLabels: {{app: {name}}}}}, template: {template}}}\n"),
    }
}
