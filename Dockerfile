# A slim image: the binary, nothing else, as a user without rights.
# A tag moves. To build twice from the same bases, name them by digest:
# --build-arg BUILD_IMAGE=rust:1.95-slim-bookworm@sha256:… --build-arg RUN_IMAGE=debian:bookworm-slim@sha256:…
# (docker buildx imagetools inspect debian:bookworm-slim shows it.)
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock askama.toml ./
COPY src src
COPY migrations migrations
# Named in Cargo.toml, not built.
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --features otel && cp target/release/rtmsd /rtmsd

FROM ${RUN_IMAGE}
RUN groupadd --system --gid 10001 rtmsd && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/rtmsd --create-home rtmsd
COPY --from=build /rtmsd /usr/local/bin/rtmsd
# A number: a cluster that refuses root can tell that this is not root.
USER 10001:10001
WORKDIR /var/lib/rtmsd
# The port is left to PORT or ZM_RTMS_PORT; 3000 is the default.
ENV DATA_DIR=/var/lib/rtmsd/data
RUN mkdir -m 0700 data
VOLUME /var/lib/rtmsd/data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["rtmsd", "health"]
ENTRYPOINT ["rtmsd"]
CMD ["serve"]
