//! Compiles the eBPF programs with clang, or leaves an empty object where there is no clang.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const MAIN_SOURCE: &str = "flows.bpf.c";

fn main() {
    let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("bpf");
    let object = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("flows.bpf.o");
    for entry in fs::read_dir(&sources).expect("the bpf folder is part of the crate") {
        println!("cargo::rerun-if-changed={}", entry.expect("readable folder").path().display());
    }
    println!("cargo::rerun-if-changed={}", sources.display());
    println!("cargo::rerun-if-env-changed=FORETELL_BPF_STUB");
    println!("cargo::rerun-if-env-changed=CLANG");
    println!("cargo::rerun-if-env-changed=PATH");

    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let stub = env::var_os("FORETELL_BPF_STUB").is_some_and(|value| value == "1");
    if stub || Command::new(&clang).arg("--version").output().is_err() {
        // Checking the workspace needs no clang; an agent built like this says so when it is started.
        let cause = if stub { "FORETELL_BPF_STUB=1" } else { "no clang found" };
        println!("cargo::warning=foretell-capture is built without its eBPF programs ({cause}) and will not capture");
        fs::write(&object, []).expect("OUT_DIR is writable");
        return;
    }
    compile(&clang, &sources.join(MAIN_SOURCE), &object);
}

fn compile(clang: &std::ffi::OsStr, source: &Path, object: &Path) {
    let little = env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|endian| endian == "little");
    let target = if little { "bpfel" } else { "bpfeb" };
    assert!(little, "the eBPF programs read headers as little-endian machines do; {target} is not supported");
    let status = Command::new(clang)
        .args(["-target", target, "-mcpu=v3", "-O2", "-g", "-nostdinc", "-Wall", "-Wextra", "-Werror", "-c"])
        .arg(source)
        .arg("-o")
        .arg(object)
        .status()
        .expect("clang was found a moment ago");
    assert!(status.success(), "clang failed on {}", source.display());
}
