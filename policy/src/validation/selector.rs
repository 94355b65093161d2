//! Label selectors, after upstream's `ValidateLabelSelector`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{Strictness, names};
use crate::object::FieldError;
use crate::object::path::Path;

pub(super) fn check(selector: &LabelSelector, strictness: Strictness, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    let labels = Path::Field(path, "matchLabels");
    for (key, value) in selector.match_labels.iter().flatten() {
        names::check_label(key, value, &Path::Field(&labels, key), faults);
    }
    let expressions = Path::Field(path, "matchExpressions");
    for (n, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        check_requirement(requirement, strictness, &Path::Item(&expressions, n), faults);
    }
}

fn check_requirement(
    requirement: &LabelSelectorRequirement,
    strictness: Strictness,
    path: &Path<'_>,
    faults: &mut Vec<FieldError>,
) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let values_path = Path::Field(path, "values");
    match requirement.operator.as_str() {
        operator @ ("In" | "NotIn") if values.is_empty() => {
            faults.push(values_path.fault(format!("required: {operator} needs at least one value to compare with")));
        }
        operator @ ("Exists" | "DoesNotExist") if !values.is_empty() => {
            faults.push(
                values_path.fault(format!("{operator} compares with no value: leave values out, or write In or NotIn")),
            );
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => faults.push(
            Path::Field(path, "operator")
                .fault(format!("{other:?} is no operator: write In, NotIn, Exists or DoesNotExist")),
        ),
    }
    if let Err(problem) = names::qualified(&requirement.key) {
        faults.push(Path::Field(path, "key").fault(problem));
    }
    if strictness == Strictness::Stored {
        return;
    }
    for (n, value) in values.iter().enumerate() {
        if let Err(problem) = names::label_value(value) {
            faults.push(Path::Item(&values_path, n).fault(problem));
        }
    }
}
