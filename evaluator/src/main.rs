//! The evaluator.
use clap::Parser as _;
use foretell_evaluator::{args::Args, run::run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(Args::parse()).await
}
