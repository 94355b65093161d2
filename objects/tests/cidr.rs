//! The network that a CIDR means, in every form that any version of Kubernetes accepted.

use foretell_objects::model::cidr::{OldForm, parse_cidr};

#[test]
fn every_form_of_a_cidr_is_parsed_as_its_network() {
    for (text, net, old_form) in [
        ("10.0.0.0/8", "10.0.0.0/8", None),
        ("0.0.0.0/0", "0.0.0.0/0", None),
        ("10.9.8.7/32", "10.9.8.7/32", None),
        ("::/0", "::/0", None),
        ("2001:db8::/32", "2001:db8::/32", None),
        ("2001:0DB8:0:0::/64", "2001:db8::/64", None),
        ("10.1.2.3/8", "10.0.0.0/8", Some(OldForm::HostBits)),
        ("2001:db8::1/64", "2001:db8::/64", Some(OldForm::HostBits)),
        ("010.0.0.0/8", "10.0.0.0/8", Some(OldForm::LeadingZeros)),
        ("010.0.0.1/08", "10.0.0.0/8", Some(OldForm::LeadingZeros)),
        ("10.0.0.0/08", "10.0.0.0/8", Some(OldForm::LeadingZeros)),
        ("02001:db8::/32", "2001:db8::/32", Some(OldForm::LeadingZeros)),
        ("::ffff:10.00.0.0/104", "10.0.0.0/8", Some(OldForm::LeadingZeros)),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", Some(OldForm::MappedIpv4)),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8", Some(OldForm::MappedIpv4)),
        ("::ffff:0:0/96", "0.0.0.0/0", Some(OldForm::MappedIpv4)),
        ("::ffff:10.0.0.0/64", "::/64", Some(OldForm::MappedIpv4)),
    ] {
        let parsed = parse_cidr(text).unwrap();
        assert_eq!((parsed.net.to_string().as_str(), parsed.old_form), (net, old_form), "{text}");
    }
}

#[test]
fn an_invalid_cidr_is_quoted_with_the_problem() {
    for (text, problem) in [
        ("10.0.0.0/33", r#""10.0.0.0/33": prefix length over 32"#),
        ("::/129", r#""::/129": prefix length over 128"#),
        ("10.0.0.0/99999999999", r#""10.0.0.0/99999999999": prefix length over 32"#),
        ("10.0.0.1", r#""10.0.0.1": no prefix length: write "10.0.0.1/32" for this single address"#),
        ("::1", r#""::1": no prefix length: write "::1/128" for this single address"#),
        ("", r#""": not a CIDR: write, for example, 10.9.8.0/24 or 2001:db8::/64"#),
        ("10.0.0.0/", r#""10.0.0.0/": "" is not a prefix length: write a number from 0 to 32"#),
        ("10.0.0.0/+8", r#""10.0.0.0/+8": "+8" is not a prefix length: write a number from 0 to 32"#),
        ("10.0.0/8", r#""10.0.0/8": "10.0.0" is not an IP address: write, for example, 10.9.8.0/24 or 2001:db8::/64"#),
        (
            "10.0.0.256/32",
            r#""10.0.0.256/32": "10.0.0.256" is not an IP address: write, for example, 10.9.8.0/24 or 2001:db8::/64"#,
        ),
        (
            "fe80::1%eth0/64",
            r#""fe80::1%eth0/64": "fe80::1%eth0" is not an IP address: write, for example, 10.9.8.0/24 or 2001:db8::/64"#,
        ),
    ] {
        assert_eq!(parse_cidr(text).unwrap_err(), problem);
    }
    for text in [
        "10..0.0/8",
        "10.0.0./8",
        "1O.0.0.0/8",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0.0 /8",
        "10.0.0.0/8/8",
        "/8",
        "/",
        "a::g/8",
        "1:2:3/64",
        ":::/0",
        "٣.0.0.0/8",
    ] {
        assert!(parse_cidr(text).is_err(), "{text}");
    }
}
