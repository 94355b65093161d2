//! Compiles the eBPF programs with clang, or leaves an empty object where there is no clang.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const SOURCES: [&str; 7] = ["flows.bpf.c", "datagram.h", "tcp.h", "table.h", "packet.h", "flow.h", "uapi.h"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?).join("bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let object = out.join("flows.bpf.o");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", folder.join(source).display());
    }
    println!("cargo::rerun-if-env-changed=FORETELL_BPF_STUB");
    println!("cargo::rerun-if-env-changed=CLANG");

    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let stub = env::var_os("FORETELL_BPF_STUB").is_some_and(|value| value == "1");
    if stub || Command::new(&clang).arg("--version").output().is_err() {
        // Checking the workspace needs no clang; an agent built like this says so when it is started.
        let cause = if stub { "FORETELL_BPF_STUB=1" } else { "no clang found" };
        println!("cargo::warning=foretell-capture is built without its eBPF programs ({cause}) and will not capture");
        // A file that is not there has always changed: the next build looks for clang again.
        println!("cargo::rerun-if-changed={}", out.join("clang-was-found").display());
        fs::write(&object, [])?;
        return Ok(());
    }
    compile(&clang, &folder.join(SOURCES[0]), &object)
}

fn compile(clang: &OsStr, source: &Path, object: &Path) -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_ENDIAN")? != "little" {
        return Err("the eBPF programs read headers as little-endian machines do".into());
    }
    // Where it was built is nobody's business, and no reason for two builds of one source to differ.
    let folder = source.parent().ok_or("the eBPF sources are in a folder")?;
    let status = Command::new(clang)
        .args(["-target", "bpfel", "-mcpu=v3", "-O2", "-g", "-nostdinc", "-Wall", "-Wextra", "-Werror", "-c"])
        .arg(format!("-ffile-prefix-map={}=bpf", folder.display()))
        .args(["-fdebug-compilation-dir", "."])
        .arg(source)
        .arg("-o")
        .arg(object)
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("clang failed on {}: {status}", source.display()).into()) }
}
