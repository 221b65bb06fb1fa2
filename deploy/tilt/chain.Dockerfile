# A chain of one validator for local Kubernetes, built from the repository's root.
FROM golang:1.26-bookworm AS build
WORKDIR /localnet
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
COPY tests/localnet .
RUN ./localnet build

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /localnet /localnet
COPY --from=build /root/.cache/pocket-localnet /home/node/.cache/pocket-localnet
ENV HOME=/home/node
RUN useradd --uid 65532 --home-dir /home/node node && chown -R node /home/node
USER 65532
# Runs until standard input ends.
ENTRYPOINT ["/localnet/localnet", "run"]
