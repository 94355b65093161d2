//! Arguments that cannot be used are refused by name, with a fix, before anything starts.

use std::process::Command;

#[test]
fn arguments_that_cannot_be_used_are_refused_by_name() {
    for (arguments, status, message) in [
        (&["--database-url=postgres://it/it", "--data-dir=/it"][..], 2, "--data-dir"),
        (
            &["--database-url=postgres://it/it", "--window=soon"],
            2,
            "is not a span of time; write a number and one of the units",
        ),
        (&["--database-url=postgres://it/it", "--listen=here"], 2, "--listen"),
        (&["--database-url=postgres://it/it", "--tls-cert-file=it.crt"], 2, "--tls-key-file"),
        (&["--database-url=postgres://it/it", "--log=a=b=c"], 1, "--log a=b=c"),
        (&["--database-url=mysql://me:secret@it/it"], 1, "write postgres://USER:PASSWORD@HOST/DATABASE"),
    ] {
        let evaluator = env!("CARGO_BIN_EXE_foretell-evaluator");
        let ended = Command::new(evaluator).args(arguments).env_clear().output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(status), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
}
