//! Label selectors, checked as by upstream's `ValidateLabelSelector`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::resource::object::fault::FieldError;
use crate::resource::object::path::Path;
use crate::resource::validation::{Strictness, api_errors, names};

pub(super) fn check(selector: &LabelSelector, strictness: Strictness, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    let labels = Path::Field(path, "matchLabels");
    for (key, value) in selector.match_labels.iter().flatten() {
        names::check_label(key, value, &labels, faults);
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
            let problem = format!("required: {operator} needs at least one value to compare with");
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            faults.push(values_path.fault(problem).required(detail));
        }
        operator @ ("Exists" | "DoesNotExist") if !values.is_empty() => {
            let problem = format!("{operator} does not compare with values: leave values out, or write In or NotIn");
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            faults.push(values_path.fault(problem).forbidden(detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            let problem = format!("{other:?} is not an operator: write In, NotIn, Exists or DoesNotExist");
            let fault = Path::Field(path, "operator").fault(problem);
            faults.push(fault.invalid_text(other, "not a valid selector operator"));
        }
    }
    if let Err(problem) = names::qualified(&requirement.key) {
        let fault = Path::Field(path, "key").fault(problem);
        faults.push(fault.invalid_texts(&requirement.key, &api_errors::qualified(&requirement.key)));
    }
    if strictness == Strictness::Stored {
        return;
    }
    for (n, value) in values.iter().enumerate() {
        if let Err(problem) = names::label_value(value) {
            let fault = Path::Item(&values_path, n).fault(problem);
            faults.push(fault.invalid_texts(value, &api_errors::label_value(value)));
        }
    }
}
