//! A certificate with its key and the authorities that clients should trust.
//!
//! The authority that signs a certificate is created together with it and signs nothing else. Its key is dropped at once, so that
//! it cannot be stolen. Each renewal uses another authority. Clients get the new one and the one before it, so that they trust
//! both while replicas change over.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use x509_parser::pem::Pem;

/// How long a certificate is valid.
const LIFETIME: SignedDuration = SignedDuration::from_hours(150 * 24);
/// How long before its end a certificate is renewed.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(50 * 24);
/// Clients' clocks may be behind ours.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// A certificate, its key and the authorities to trust, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The authorities of this certificate and of the one before it.
    pub authorities: String,
    /// The certificate.
    pub certificate: String,
    /// The certificate's private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Identity {
    /// A certificate that no client trusts, for a service that has no other yet: kubelet's health probes do not verify it.
    ///
    /// # Errors
    /// A name is not a DNS name.
    pub fn bootstrap(names: &[String]) -> Result<Self, rcgen::Error> {
        Self::issue(names, None, Timestamp::now())
    }

    /// Creates an authority and the one certificate that it signs. `former` is the identity that it replaces.
    pub(super) fn issue(names: &[String], former: Option<&Self>, now: Timestamp) -> Result<Self, rcgen::Error> {
        let [begin, end] = [now - BACKDATED, now + LIFETIME].map(|at| {
            let (year, month, day) = day(at);
            date_time_ymd(year, month, day)
        });
        let mut authority = CertificateParams::new(Vec::new())?;
        // A bundle may hold two authorities, which clients distinguish by name.
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

        // The first of the former bundle signed the certificate that other replicas may still use.
        let former = former.and_then(|former| first_block(&former.authorities)).unwrap_or_default();
        Ok(Self {
            authorities: authority_certificate.pem() + former,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Whether the certificate ends soon, lacks one of these names or cannot be read.
    pub(super) fn needs_renewal(&self, names: &[String], now: Timestamp) -> bool {
        let Some(Ok(pem)) = Pem::iter_from_buffer(self.certificate.as_bytes()).next() else { return true };
        let Ok(certificate) = pem.parse_x509() else { return true };
        let Ok(end) = Timestamp::from_second(certificate.validity().not_after.timestamp()) else { return true };
        let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return true };
        let has = |name: &String| {
            let mut known = alternatives.value.general_names.iter();
            known.any(|known| matches!(known, x509_parser::extensions::GeneralName::DNSName(dns) if dns == name))
        };
        end.duration_since(now) <= RENEW_BEFORE || !names.iter().all(has)
    }
}

fn first_block(bundle: &str) -> Option<&str> {
    const END: &str = "-----END CERTIFICATE-----";
    let end = bundle.find(END)? + END.len();
    // With the line feed, if there is one.
    bundle.get(..=end).or_else(|| bundle.get(..end))
}

/// A day is exact enough: the beginning is backdated, and the end is months away.
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
    fn a_certificate_is_renewed_fifty_days_before_its_end_or_for_another_name() {
        let issued_at: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let issued = Identity::issue(&names(), None, issued_at).unwrap();
        // 150 days later, at the beginning of the day.
        let end: Timestamp = "2026-06-09T00:00:00Z".parse().unwrap();
        let other = vec!["elsewhere.example".to_owned()];
        let both = [names(), other.clone()].concat();
        let second = SignedDuration::from_secs(1);
        for (case, names, now, is_renewed) in [
            ("new", &names(), issued_at, false),
            ("just before the time", &names(), end - RENEW_BEFORE - second, false),
            ("at the time", &names(), end - RENEW_BEFORE, true),
            ("ended", &names(), end, true),
            ("a subset of its names", &names()[..1].to_vec(), issued_at, false),
            ("another name", &other, issued_at, true),
            ("one more name", &both, issued_at, true),
        ] {
            assert_eq!(issued.needs_renewal(names, now), is_renewed, "{case}");
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_renewed() {
        let now = Timestamp::now();
        let issued = Identity::issue(&names(), None, now).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        for certificate in [String::new(), "no PEM".to_owned(), broken, issued.key.clone()] {
            let identity = Identity { certificate, ..issued.clone() };
            assert!(identity.needs_renewal(&names(), now), "{identity:?}");
        }
        let nameless = Identity::issue(&[], None, now).unwrap();
        assert!(nameless.needs_renewal(&names(), now));
    }

    #[test]
    fn a_renewal_keeps_the_former_authority_and_no_older_one() {
        let first = Identity::issue(&names(), None, Timestamp::now()).unwrap();
        let second = Identity::issue(&names(), Some(&first), Timestamp::now()).unwrap();
        let third = Identity::issue(&names(), Some(&second), Timestamp::now()).unwrap();
        assert_eq!(second.authorities.matches("BEGIN").count(), 2);
        assert!(second.authorities.ends_with(&first.authorities));
        assert_eq!(third.authorities.matches("BEGIN").count(), 2);
        assert!(!third.authorities.contains(first.authorities.trim()));
    }

    #[test]
    fn the_first_certificate_of_a_bundle_is_found_with_and_without_a_last_line_feed() {
        let block = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----";
        assert_eq!(first_block(""), None);
        assert_eq!(first_block(block), Some(block));
        let with_line_feed = format!("{block}\n");
        assert_eq!(first_block(&with_line_feed), Some(with_line_feed.as_str()));
        assert_eq!(first_block(&format!("{block}\n{block}\n")), Some(with_line_feed.as_str()));
    }

    #[test]
    fn an_issued_certificate_works_in_a_server_and_its_key_is_not_printed() {
        crate::kubernetes::use_one_tls_provider();
        let issued = Identity::bootstrap(&names()).unwrap();
        crate::tls::server_config(issued.certificate.as_bytes(), issued.key.as_bytes(), "it").unwrap();
        assert!(!format!("{issued:?}").contains("PRIVATE"));
    }
}
