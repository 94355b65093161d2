//! Compiles the eBPF programs with clang. Without clang it writes an empty object.

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
        // So that `cargo check` needs no clang. An agent with an empty object refuses to start.
        let cause = if stub { "FORETELL_BPF_STUB=1" } else { "no clang found" };
        println!("cargo::warning=foretell-capture is built without its eBPF programs ({cause}) and will not capture");
        // Cargo treats a missing file as changed, so the next build looks for clang again.
        println!("cargo::rerun-if-changed={}", out.join("clang-was-found").display());
        fs::write(&object, [])?;
        return Ok(());
    }
    compile(&clang, &folder.join(SOURCES[0]), &object)
}

fn compile(clang: &OsStr, source: &Path, object: &Path) -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_ENDIAN")? != "little" {
        return Err("the eBPF programs support little-endian machines only".into());
    }
    // Paths of the build machine must not be in the object: builds of the same source must be identical.
    let folder = source.parent().ok_or("the eBPF source has no parent folder")?;
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
