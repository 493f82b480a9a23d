# Stands in for `rust:…-bookworm` where no registry of images is at hand: this machine's toolchain on a Debian made from
# packages. `scripts/image.sh` builds it, with the toolchain's folder as the context `toolchain`.
ARG DEBIAN_IMAGE=docker.io/library/debian:bookworm-slim
FROM ${DEBIAN_IMAGE}
RUN apt-get update && \
    apt-get install -y --no-install-recommends build-essential ca-certificates cmake git python3-venv && \
    rm -rf /var/lib/apt/lists/*
COPY --from=toolchain bin /usr/local/bin
COPY --from=toolchain lib /usr/local/lib
ENV CARGO_HOME=/usr/local/cargo
