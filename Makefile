# The one door to everything that is done with this repository. `make help` lists the targets.
#
# The recipes are scripts in scripts/, each of which finds a Rust of its own accord (scripts/toolchain.sh).

.PHONY: help setup demo demo-live demo-cluster record images test cluster cluster-down lint fmt bench bench-parts soak mutants golden check-golden deny advisories clean
.DEFAULT_GOAL := help
.SUFFIXES:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' Makefile

setup: ## find or install what demo and test need; name what only root can install
	@scripts/setup test

demo: ## play a pull request through the gate, over recorded traffic (no root, no cluster)
	@scripts/demo

demo-live: ## the same over traffic of a cluster on this machine, captured by eBPF (root, Linux >= 5.8 with BTF)
	@scripts/demo --live

demo-cluster: ## all of Foretell, installed in a cluster on this machine, from a policy to its promotion; STAY=1 keeps it (root)
	@scripts/demo-cluster $(STAY)

record: ## a new recording of that traffic for `make demo` (root, Linux >= 5.8 with BTF)
	@scripts/demo --record

images: ## container images as OCI archives, target/images/*.tar (no Docker, no root)
	@scripts/setup live
	@scripts/images

test: ## everything that has to hold: lints, tests, generated files, dependencies
	@scripts/test

cluster: ## a throwaway Kubernetes with real pods, in namespaces of its own; NODES=2 for two nodes (root, Linux, Go)
	@scripts/cluster up --nodes $(or $(NODES),1)

cluster-down: ## remove every trace of it
	@scripts/cluster down

lint: ## format, clippy, rustdoc, go vet, shellcheck; warnings are errors
	@scripts/lint

fmt: ## format the sources
	@scripts/with-rust cargo fmt --all

bench: ## the engine's figures against their targets, in one table
	@scripts/with-rust cargo bench --locked --package foretell-policy --bench table

bench-parts: ## every benchmark by itself
	@scripts/with-rust cargo bench --locked --workspace

soak: ## property tests and fuzzing for as long as CASES says (default: 5000000 scenes, hours)
	@FORETELL_PROPERTY_CASES=$(or $(CASES),5000000) FORETELL_FUZZ_CASES=$(or $(CASES),5000000) \
		scripts/with-rust cargo test --locked --release --package foretell-policy --test property --test incremental --test fuzz

mutants: ## mutants of the engine that no test notices, against the list of those that are the same engine (hours)
	@scripts/mutants

golden: ## regenerate the generated files (CRDs, the report's schema, golden reports)
	@scripts/golden

check-golden: ## refuse generated files that differ from what would be generated
	@scripts/golden --check

deny: ## licences, bans and sources of dependencies; which way the crates depend
	@scripts/deny bans licenses sources
	@scripts/dependencies

advisories: ## known vulnerabilities of dependencies (fetches the advisory database from github.com)
	@scripts/deny advisories

clean: ## remove what was built
	@scripts/with-rust cargo clean
