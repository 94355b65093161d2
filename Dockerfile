# Foretell's images, as `make images` makes them without Docker: the same paths, users, entrypoints and labels.
#
#     docker build --target foretell-capture --build-arg REVISION=$(git rev-parse HEAD) -t foretell-capture .
#
# scripts/tests/images.sh holds what is said here against what scripts/images makes.

FROM rust:1.95-bookworm AS build
RUN apt-get update && \
    apt-get install -y --no-install-recommends clang && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /foretell
COPY . .
# Statically linked; see scripts/images. The eBPF programs are built into foretell-capture by clang.
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
LABEL org.opencontainers.image.description="The node agent: sees every pod's TCP, UDP and SCTP flows through eBPF."
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
LABEL org.opencontainers.image.description="Admission: refuses policies that no API server would enforce, and tidies what is promoted."
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
LABEL org.opencontainers.image.description="Answers pull requests on GitHub: what a change of network policy would deny."
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
LABEL org.opencontainers.image.description="The program in every container of the demo's shop: listens, answers, and calls others."
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
LABEL org.opencontainers.image.description="Judges a cluster's traffic by its audit policies, and answers whoever asks."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell-evaluator/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell-evaluator"]

# The last stage: what `docker build .` makes where no target is named.
FROM scratch AS foretell
ARG REVISION=""
LABEL org.opencontainers.image.title="foretell"
LABEL org.opencontainers.image.description="Tells what a Kubernetes NetworkPolicy would deny, from the traffic that really flowed."
LABEL org.opencontainers.image.source="https://github.com/foretell-dev/foretell"
LABEL org.opencontainers.image.version="0.1.0"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/foretell/ /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/foretell"]
