//! The peers of a rule of an admin policy.

use crate::model::cidr::parse_cidr;
use crate::resource::admin_view::Peer;
use crate::resource::object::Kind;
use crate::resource::object::path::Path;
use crate::resource::validation::Strictness;
use crate::resource::validation::admin::{Check, repeated};

/// The largest number of networks or domain names of a peer, for all kinds.
const MOST_TEXTS: usize = 25;
const LONGEST_CIDR: usize = 43;

impl Check<'_> {
    pub(super) fn peer(&mut self, peer: &Peer<'_>, path: &Path<'_>) {
        let Peer { namespaces, pods, nodes, networks, domain_names } = *peer;
        let given = [namespaces.is_some(), pods.is_some(), nodes.is_some(), networks.is_some(), domain_names.is_some()];
        match given.into_iter().filter(|given| *given).count() {
            0 => self.fault(path, "selects no peer: write namespaces or pods, or in an egress rule nodes or networks"),
            1 => {}
            _ => self.fault(path, "combines several kinds of selectors: write each as a separate peer"),
        }
        if let Some(namespaces) = namespaces {
            self.selector(namespaces, &Path::Field(path, "namespaces"));
        }
        if let Some(pods) = pods {
            self.pods(pods, &Path::Field(path, "pods"));
        }
        if let Some(nodes) = nodes {
            self.selector(nodes, &Path::Field(path, "nodes"));
        }
        if let Some(networks) = networks {
            self.networks(networks, &Path::Field(path, "networks"));
        }
        if let Some(names) = domain_names {
            self.domain_names(names, &Path::Field(path, "domainNames"));
        }
    }

    fn networks(&mut self, networks: &[String], path: &Path<'_>) {
        self.count(networks.len(), 1..=MOST_TEXTS, path);
        for (n, text) in networks.iter().enumerate() {
            let path = Path::Item(path, n);
            if text.len() > LONGEST_CIDR {
                self.fault(&path, format!("{} characters: a CIDR has at most {LONGEST_CIDR}", text.len()));
            } else if let Err(problem) = parse_cidr(text) {
                self.fault(&path, problem);
            }
        }
        self.no_repetition(networks, path);
    }

    fn domain_names(&mut self, names: &[String], path: &Path<'_>) {
        if self.policy.kind == Kind::BaselineAdminNetworkPolicy {
            return self.fault(path, "unknown field: a BaselineAdminNetworkPolicy has no domainNames");
        }
        self.count(names.len(), 1..=MOST_TEXTS, path);
        // Former versions of the definition accepted some names that today's does not.
        let checked = if self.strictness == Strictness::New { names } else { &[] };
        for (n, name) in checked.iter().enumerate().filter(|(_, name)| !is_domain_name(name)) {
            let problem = format!(
                "{name:?} is not a domain name: write a name with a dot, for example example.com or *.example.com"
            );
            self.fault(&Path::Item(path, n), problem);
        }
        self.no_repetition(names, path);
    }

    fn no_repetition(&mut self, texts: &[String], path: &Path<'_>) {
        for (n, text) in repeated(texts) {
            self.fault(&Path::Item(path, n), format!("{text:?} is listed twice: write it once"));
        }
    }
}

/// Whether a text has at least two labels of letters, digits, `-` and `_`. The first may be a star, and a dot may end the name.
fn is_domain_name(text: &str) -> bool {
    let text = text.strip_prefix("*.").unwrap_or(text);
    let text = text.strip_suffix('.').unwrap_or(text);
    text.contains('.') && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
