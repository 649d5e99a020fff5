# One image per service: `docker build --build-arg SERVICE=text-to-sql --tag switchyard/text-to-sql .`, or `make images`.
#
# terraform/generated/images.json lists the services, the code that each image holds and the command that it runs;
# docker/requirements has the packages of each. Tests compare both with the import graph and with requirements.lock.

# Not pinned to a digest, so that a patch release of Python needs no commit. A release build passes the tested digest.
ARG PYTHON_IMAGE=python:3.13-slim-trixie


# --- build: the packages in /opt/venv, the code in /app -------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS build
COPY requirements.bootstrap.txt /build/
RUN pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement /build/requirements.bootstrap.txt
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
RUN uv venv --quiet /opt/venv
COPY requirements.lock /build/
COPY docker/requirements /build/requirements
ARG SERVICE
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --require-hashes --no-deps -r /build/requirements/${SERVICE}.txt -c /build/requirements.lock
RUN --mount=type=bind,target=/source \
    python /source/docker/assemble.py ${SERVICE} /source /app && python -m compileall -q /app


# --- service: what runs ---------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS service
RUN groupadd --gid 10001 switchyard \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin switchyard
COPY docker/rds-global-bundle.pem /etc/ssl/certs/rds-global-bundle.pem
COPY docker/healthcheck.py /usr/local/lib/healthcheck.py
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/packages/faststream-sqs:/app/packages/latency-failover:/app/packages/switchyard-client \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SWITCHYARD_HEALTH_PORT=8080
WORKDIR /app
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-S", "-E", "/usr/local/lib/healthcheck.py"]
# Declared here, so that a volume that ECS mounts there keeps its mode: every user may write to it.
VOLUME /tmp
USER 10001:10001
CMD ["/app/start"]
ARG VERSION=0.1.0
ARG REVISION=dev
ARG SERVICE
ENV SWITCHYARD_CODE_VERSION=${REVISION}
LABEL org.opencontainers.image.title="switchyard/${SERVICE}" \
      org.opencontainers.image.description="The ${SERVICE} service of Switchyard" \
      org.opencontainers.image.vendor="The Switchyard authors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app


# --- cli: the `switchyard` command, for migrations in AWS and for operators -----------------------------------------
FROM service AS cli
COPY docker/switchyard /usr/local/bin/switchyard
# The image starts no local stack: the environment holds every address.
ENV SWITCHYARD_ENV=aws
HEALTHCHECK NONE


# --- identity-servers: the identity provider and the token exchange of docker-compose.yml ----------------------------
FROM build AS identity-build
COPY switchyard/devstack/identity/servers.txt /build/
RUN uv venv --quiet /opt/identity
RUN --mount=type=cache,target=/root/.cache/uv \
    VIRTUAL_ENV=/opt/identity uv pip install --require-hashes --no-deps -r /build/servers.txt

FROM service AS identity-servers
COPY --from=identity-build /opt/identity /opt/identity
ENV SWITCHYARD_LOCAL_IDENTITY_SERVERS=/opt/identity/bin


# The target of a build without `--target`.
FROM service
