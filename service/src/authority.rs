//! A certificate that a service makes for itself and keeps in a Secret, which all its replicas share.
//!
//! The authority that signs it is made with it, signs nothing else, and its key is thrown away at once: there is none to be
//! stolen. With each renewal comes another authority; clients are given the new one and the one before it, so that they
//! trust both while replicas change over.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use x509_parser::pem::Pem;

/// How long a certificate is valid.
const VALID: SignedDuration = SignedDuration::from_hours(150 * 24);
/// How long before its end another one takes its place.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(50 * 24);
/// Clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);
/// How often the Secret is looked at.
pub const LOOK_AGAIN: Duration = Duration::from_secs(20);

const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// A certificate, its key and what to trust, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The authorities that clients should trust: of this certificate and of the one before it.
    pub authorities: String,
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The Secret cannot be read or written.
    #[error("Secret {namespace}/{name}: {problem}")]
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What the API server says.
        problem: String,
    },
    /// None can be made.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Where the certificate is kept, and for which names it is.
#[derive(Clone)]
pub struct Authority {
    client: Client,
    namespace: String,
    secret: String,
    names: Vec<String>,
}

impl Authority {
    /// A certificate for these DNS names, kept in this Secret.
    #[must_use]
    pub fn new(client: Client, namespace: &str, secret: &str, names: Vec<String>) -> Self {
        Self { client, namespace: namespace.to_owned(), secret: secret.to_owned(), names }
    }

    /// The certificate as it is kept; where there is none, or it ends soon, or is for other names, one that is made now and
    /// kept. Of replicas that make one at a time one wins, and all show the winner's.
    ///
    /// # Errors
    /// [`AuthorityError`], with the Secret.
    pub async fn current(&self) -> Result<Identity, AuthorityError> {
        loop {
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
            let kept = secrets.get_opt(&self.secret).await.map_err(|error| self.fault(&error))?;
            let former = kept.as_ref().and_then(identity);
            if let Some(former) = former.as_ref().filter(|former| is_good(former, &self.names, Timestamp::now())) {
                return Ok(former.clone());
            }
            let made = make(&self.names, former.as_ref(), Timestamp::now())?;
            let written = if let Some(mut secret) = kept {
                secret.data.get_or_insert_default().extend(data(&made));
                // With the resourceVersion that was read: who comes second is refused.
                secrets.replace(&self.secret, &PostParams::default(), &secret).await
            } else {
                let metadata = ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() };
                let secret = Secret { metadata, data: Some(data(&made).collect()), ..Secret::default() };
                secrets.create(&PostParams::default(), &secret).await
            };
            match written {
                Ok(_) => return Ok(made),
                Err(Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(self.fault(&error)),
            }
        }
    }

    fn fault(&self, error: &Error) -> AuthorityError {
        let problem = error.to_string();
        AuthorityError::Secret { namespace: self.namespace.clone(), name: self.secret.clone(), problem }
    }
}

/// The names by which a Service is asked: in the cluster, and through `kubectl port-forward`.
#[must_use]
pub fn names_of(service: &str, namespace: &str) -> Vec<String> {
    let own = format!("{service}.{namespace}");
    vec![format!("{own}.svc"), format!("{own}.svc.cluster.local"), own, "localhost".to_owned()]
}

/// A certificate that nobody trusts, for a service that has no other yet: who asks for its health does not look at it.
///
/// # Errors
/// [`AuthorityError::Make`].
pub fn stopgap(names: &[String]) -> Result<Identity, AuthorityError> {
    Ok(make(names, None, Timestamp::now())?)
}

fn data(identity: &Identity) -> impl Iterator<Item = (String, ByteString)> {
    let Identity { authorities, certificate, key } = identity.clone();
    let entries = [(CA, authorities), (CERTIFICATE, certificate), (KEY, key)];
    entries.into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())))
}

fn identity(secret: &Secret) -> Option<Identity> {
    let data = secret.data.as_ref()?;
    let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
    Some(Identity { authorities: text(CA)?, certificate: text(CERTIFICATE)?, key: text(KEY)? })
}

/// Whether it is for these names and does not end soon.
fn is_good(identity: &Identity, names: &[String], now: Timestamp) -> bool {
    let Some(Ok(pem)) = Pem::iter_from_buffer(identity.certificate.as_bytes()).next() else { return false };
    let Ok(certificate) = pem.parse_x509() else { return false };
    let Ok(end) = Timestamp::from_second(certificate.validity().not_after.timestamp()) else { return false };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
    let has = |name: &String| {
        let mut known = alternatives.value.general_names.iter();
        known.any(|known| matches!(known, x509_parser::extensions::GeneralName::DNSName(dns) if dns == name))
    };
    end.duration_since(now) > RENEW_BEFORE && names.iter().all(has)
}

/// Makes an authority and the one certificate that it signs.
fn make(names: &[String], former: Option<&Identity>, now: Timestamp) -> Result<Identity, rcgen::Error> {
    let [begin, end] = [now - BACKDATED, now + VALID].map(|at| {
        let (year, month, day) = day(at);
        date_time_ymd(year, month, day)
    });
    let mut authority = CertificateParams::new(Vec::new())?;
    // Told apart by its name: a bundle may hold two.
    authority.distinguished_name.push(DnType::CommonName, format!("Foretell, {now:.0}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (authority.not_before, authority.not_after) = (begin, end);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;

    let mut leaf = CertificateParams::new(names.to_vec())?;
    if let Some(name) = names.first() {
        leaf.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (begin, end);
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &Issuer::new(authority, authority_key))?;

    // Of the former bundle its first one: the one that signed the certificate which may still be shown.
    let former = former.and_then(|former| first_block(&former.authorities)).unwrap_or_default();
    Ok(Identity {
        authorities: authority_certificate.pem() + former,
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn first_block(bundle: &str) -> Option<&str> {
    const END: &str = "-----END CERTIFICATE-----";
    let end = bundle.find(END)? + END.len();
    // The line feed belongs to it.
    bundle.get(..=end).or_else(|| bundle.get(..end))
}

/// A day is exact enough for a beginning that is backdated, and for an end that lies months away.
fn day(at: Timestamp) -> (i32, u8, u8) {
    let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    (day.year().into(), u8::try_from(day.month()).unwrap_or(1), u8::try_from(day.day()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["foretell-webhook.foretell.svc", "foretell-webhook.foretell.svc.cluster.local"].map(str::to_owned).into()
    }

    #[test]
    fn a_certificate_is_good_until_its_end_is_near_and_for_its_names_alone() {
        let now = Timestamp::now();
        let made = make(&names(), None, now).unwrap();
        assert!(is_good(&made, &names(), now));
        assert!(is_good(&made, &names(), now + SignedDuration::from_hours(98 * 24)));
        assert!(!is_good(&made, &names(), now + SignedDuration::from_hours(101 * 24)));
        assert!(!is_good(&made, &["elsewhere.example".to_owned()], now));
    }

    #[test]
    fn a_renewal_is_trusted_beside_the_former_one_and_nothing_older_is() {
        let first = make(&names(), None, Timestamp::now()).unwrap();
        let second = make(&names(), Some(&first), Timestamp::now()).unwrap();
        let third = make(&names(), Some(&second), Timestamp::now()).unwrap();
        assert_eq!(second.authorities.matches("BEGIN").count(), 2);
        assert!(second.authorities.ends_with(&first.authorities));
        assert_eq!(third.authorities.matches("BEGIN").count(), 2);
        assert!(!third.authorities.contains(first.authorities.trim()));
    }

    #[test]
    fn what_was_made_can_be_shown() {
        crate::kubernetes::use_one_tls_provider();
        let made = make(&names(), None, Timestamp::now()).unwrap();
        crate::tls::server_config(made.certificate.as_bytes(), made.key.as_bytes(), "it").unwrap();
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }
}
