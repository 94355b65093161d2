# Everything that is done with this repository starts here. `make help` lists the targets.
#
# The recipes are scripts in scripts/. Each finds Rust itself (scripts/toolchain.sh) and builds what it needs.

.PHONY: help setup demo demo-live demo-cluster record images test cluster cluster-down lint fmt bench bench-parts soak mutants golden check-golden deny advisories clean
.DEFAULT_GOAL := help
.SUFFIXES:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' Makefile

setup: ## find or install what demo and test need; name the packages that only root can install
	@scripts/setup test

demo: ## judge a pull request by recorded traffic (no root, no cluster)
	@scripts/demo

demo-live: ## the same with traffic that eBPF captures in a cluster on this machine (root, Linux >= 5.8 with BTF)
	@scripts/demo --live

demo-cluster: ## install all of Foretell in a cluster on this machine, audit a policy and promote it; STAY=1 keeps the cluster (root)
	@scripts/demo-cluster $(STAY)

record: ## record new traffic for `make demo` (root, Linux >= 5.8 with BTF)
	@scripts/demo --record

images: ## build container images as OCI archives, target/images/*.tar (no Docker, no root)
	@scripts/setup live
	@scripts/images

test: ## run everything that must pass before a merge: lints, tests, generated files, dependencies
	@scripts/test

cluster: ## start a temporary Kubernetes cluster with real pods; NODES=2 for two nodes (root, Linux, Go)
	@scripts/cluster up --nodes $(or $(NODES),1)

cluster-down: ## stop that cluster and remove everything of it
	@scripts/cluster down

lint: ## check format, lints, imports, wording, unused dependencies, scripts; warnings are errors
	@scripts/lint

fmt: ## format the sources
	@scripts/with-rust cargo fmt --all

bench: ## measure the engine and compare with its targets, in one table
	@scripts/with-rust cargo bench --locked --package foretell-policy --bench table

bench-parts: ## run each benchmark on its own
	@scripts/with-rust cargo bench --locked --workspace

soak: ## run property tests and fuzzing with CASES random cases (default: 5000000, hours)
	@FORETELL_PROPERTY_CASES=$(or $(CASES),5000000) FORETELL_FUZZ_CASES=$(or $(CASES),5000000) \
		scripts/with-rust cargo test --locked --release --package foretell-policy --test property --test incremental --test fuzz

mutants: ## find changes of the engine that no test detects (hours)
	@scripts/mutants

golden: ## regenerate the generated files (CRDs, the report's schema, golden reports)
	@scripts/golden

check-golden: ## fail if a generated file is out of date
	@scripts/golden --check

deny: ## check licences, bans and sources of dependencies, and which crate depends on which
	@scripts/deny bans licenses sources
	@scripts/dependencies

advisories: ## check dependencies for known vulnerabilities (fetches the advisory database from github.com)
	@scripts/deny advisories

clean: ## remove build output
	@scripts/with-rust cargo clean
