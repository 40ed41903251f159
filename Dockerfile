# One image per service out of one file. It takes the checkout as `npm ci && npm run build` left it, so that an image
# and the machine it was made on run the same bytes:
#   npm ci && npm run build && docker compose build
ARG BASE=debian:trixie-slim

FROM ${BASE} AS system
WORKDIR /opt/enclaver
RUN ldconfig -p | grep -q libstdc++.so.6 || \
    (apt-get update && apt-get install -y --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/*)
# Where Node keeps what it made of the TypeScript, a bound on V8's young generation, one heap of malloc: less memory, quicker starts
ENV NODE_COMPILE_CACHE=/opt/enclaver/dist/compile-cache NODE_OPTIONS=--max-semi-space-size=1 MALLOC_ARENA_MAX=1

# All of the checkout: what builds enclaves needs what goes into them
FROM system AS checkout
COPY . .

# skopeo and cosign, with which it reaches registries and signs
FROM checkout AS builder
RUN scripts/setup --only registry
ARG USER=1000:1000
RUN mkdir -p dist/compile-cache && chown "${USER}" dist/compile-cache
USER ${USER}
RUN node_modules/.bin/node scripts/compile-cache.ts
ENTRYPOINT ["/opt/enclaver/node_modules/.bin/node", "/opt/enclaver/services/builder/src/main.ts"]

FROM checkout AS lean
RUN node_modules/.bin/node scripts/lean.ts

# Node, the code and its libraries
FROM system AS core
COPY --from=lean /opt/enclaver .
ENTRYPOINT ["/opt/enclaver/cli/bin/enclaver"]

# What Node makes of the TypeScript sources is kept in the image, for the user that reads it: roots are read-only
FROM core AS service
ARG USER=1000:1000
RUN mkdir -p dist/compile-cache && chown "${USER}" dist/compile-cache
USER ${USER}
RUN node_modules/.bin/node scripts/compile-cache.ts

FROM service AS outer-proxy
USER 0:0
ENTRYPOINT ["/opt/enclaver/deploy/compose/as-user", \
  "/opt/enclaver/node_modules/.bin/node", "/opt/enclaver/services/outer-proxy/src/main.ts"]

FROM service AS log-relay
ENTRYPOINT ["/opt/enclaver/node_modules/.bin/node", "/opt/enclaver/services/log-relay/src/main.ts"]

FROM service AS webhooks
ENTRYPOINT ["/opt/enclaver/node_modules/.bin/node", "/opt/enclaver/services/webhooks/src/main.ts"]

# QEMU and its vsock device for the qemu backend, nats-server for the whole stack in one container
FROM core AS runtime
RUN scripts/setup --only runtime

FROM runtime AS supervisor
ARG USER=1000:1000
COPY --from=service /opt/enclaver/dist/compile-cache dist/compile-cache
RUN chown -R "${USER}" dist/compile-cache
USER ${USER}
ENTRYPOINT ["/opt/enclaver/node_modules/.bin/node", "/opt/enclaver/services/supervisor/src/main.ts"]

# Base of release images: `enclaver build` adds /enclave/application.eif and /enclave/enclaver.yaml
FROM runtime AS enclaver
RUN node_modules/.bin/node scripts/compile-cache.ts
ENTRYPOINT ["/opt/enclaver/cli/bin/enclaver", "run", "--publish-all", "/enclave/application.eif"]
