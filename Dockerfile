# A small image: the binary and the C library, run as a user who owns nothing.
#
#     docker build -t nutcrab .
#     docker run -p 22121:22121 -v ./nutcracker.yml:/etc/nutcrab/nutcrab.yml:ro nutcrab
#
# The log goes to stderr. `listen` has to be on 0.0.0.0 to be reached from outside; for the probes
# /livez and /readyz so has the admin listener (--admin-addr). SIGTERM drains, for 10 s at most:
# leave a container a little more than that before it is killed.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin nutcrab && strip --strip-unneeded target/release/nutcrab

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/nutcrab /usr/bin/nutcrab
COPY --from=build /src/packaging/debian/nutcrab.yml /etc/nutcrab/nutcrab.yml
USER nonroot
EXPOSE 22121 22222
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/nutcrab"]
CMD ["-c", "/etc/nutcrab/nutcrab.yml"]
