# Foretell's images, the same as `make images` builds without Docker: paths, users, entrypoints and labels.
#
#     docker build --target foretell-capture --build-arg REVISION=$(git rev-parse HEAD) -t foretell-capture .
#
# scripts/tests/images.sh compares this file with scripts/images.

FROM rust:1.95-bookworm AS build
RUN apt-get update && \
    apt-get install -y --no-install-recommends clang && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /foretell
COPY . .
# Statically linked; see scripts/programs. clang builds the eBPF programs of foretell-capture.
RUN RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/usr/local/cargo=/cargo" \
    cargo build --locked --profile image --target "$(rustc -vV | sed -n 's/^host: //p')" \
        -p foretell-cli -p foretell-capture -p foretell-demo \
        -p foretell-evaluator -p foretell-webhook -p foretell-reporter && \
    for program in foretell foretell-capture foretell-evaluator foretell-webhook foretell-reporter foretell-demo; do \
        install -D -m 755 target/*/image/$program /out/$program/$program && \
        install -m 644 LICENSE /out/$program/LICENSE; \
    done && \
    install -d -m 1777 /out/foretell/tmp

FROM scratch AS foretell-capture
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell-capture"
LABEL org.opencontainers.image.description="The node agent: records TCP, UDP and SCTP flows of pods with eBPF."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell-capture/ /
USER 0:0
WORKDIR /
ENTRYPOINT ["/foretell-capture"]

FROM scratch AS foretell-webhook
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell-webhook"
LABEL org.opencontainers.image.description="Admission webhook: rejects invalid audit policies and cleans up promoted ones."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell-webhook/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell-webhook"]

FROM scratch AS foretell-reporter
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell-reporter"
LABEL org.opencontainers.image.description="Comments on GitHub pull requests: what a change of network policies would deny."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell-reporter/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell-reporter"]

FROM scratch AS foretell-demo
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell-demo"
LABEL org.opencontainers.image.description="The program in each container of the demo: it listens, answers and calls others."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell-demo/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell-demo"]

FROM scratch AS foretell-evaluator
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell-evaluator"
LABEL org.opencontainers.image.description="Evaluates a cluster's traffic against its audit policies and answers queries."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell-evaluator/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell-evaluator"]

# The last stage is what `docker build .` builds without a target.
FROM scratch AS foretell
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell"
LABEL org.opencontainers.image.description="Shows what a Kubernetes NetworkPolicy would deny, from recorded traffic."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell"]
