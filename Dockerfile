# The static binary and nothing else, as a user without rights; the root file system may be read-only. For each platform the
# same: docker buildx build --platform linux/amd64,linux/arm64 .
# A tag moves. To build twice from the same base, name it by digest: --build-arg BUILD_IMAGE=rust:1.95-alpine@sha256:…
# (docker buildx imagetools inspect rust:1.95-alpine shows it.)
ARG BUILD_IMAGE=rust:1.95-alpine

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
# The dependencies, as a layer of their own: it is built again only when they change.
COPY Cargo.toml Cargo.lock ./
# Named in Cargo.toml, not built.
COPY benches benches
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs && \
    cargo build --release --locked --features otel && rm -r src
COPY askama.toml ./
COPY migrations migrations
COPY src src
# The sources may be older than the placeholders that were built above.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --features otel && \
    strip -o /rtmsd target/release/rtmsd
WORKDIR /image
RUN mkdir state && mkdir -m 0700 state/data state/recordings && \
    echo 'rtmsd:x:10001:10001::/var/lib/rtmsd:/nologin' >passwd && echo 'rtmsd:x:10001:' >group

FROM scratch
COPY --from=build /image/passwd /image/group /etc/
COPY --from=build --chown=10001:10001 /image/state /var/lib/rtmsd
COPY --from=build /rtmsd /usr/local/bin/rtmsd
# A number: a cluster that refuses root can tell that this is not root.
USER 10001:10001
WORKDIR /var/lib/rtmsd
# The port is left to PORT or ZM_RTMS_PORT; 3000 is the default.
ENV DATA_DIR=/var/lib/rtmsd/data
VOLUME /var/lib/rtmsd/data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/rtmsd", "health"]
ENTRYPOINT ["/usr/local/bin/rtmsd"]
CMD ["serve"]
