# An image per process: `docker build --target text-to-sql .`, or `make images` for all of them.
#
# An image holds the code that its process imports and the packages that this code imports, no more; tests compare both
# with the import graph and with requirements.lock. Names are the catalogue's, with dashes.

# A patch release of Python must not need a commit here. A release build passes the digest that it was tested with.
ARG PYTHON_IMAGE=python:3.13-slim-trixie


# --- what images are built with -------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.8
RUN pip install --no-cache-dir --root-user-action=ignore uv==${UV_VERSION}
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
RUN uv venv --quiet /opt/venv
WORKDIR /app
COPY requirements.lock /build/
COPY docker/requirements /build/

# Every process: the contracts, the broker, the mechanism.
FROM build AS code
COPY contracts contracts
COPY packages/faststream-sqs/faststream_sqs faststream_sqs
COPY switchyard switchyard
COPY services/__init__.py services/

# Agents that call models: failover between two of them, too.
FROM code AS agent-code
COPY packages/latency-failover/latency_failover latency_failover

# What specialists have in common is how they are started.
FROM code AS specialist-code
COPY services/specialists/__init__.py services/specialists/__main__.py services/specialists/

FROM agent-code AS model-specialist-code
COPY services/specialists/__init__.py services/specialists/__main__.py services/specialists/models.py services/specialists/


# --- what every image begins with -----------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 switchyard \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin switchyard
COPY docker/rds-global-bundle.pem /etc/ssl/certs/rds-global-bundle.pem
COPY docker/healthcheck.py /usr/local/lib/healthcheck.py
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SWITCHYARD_HEALTH_PORT=8080
WORKDIR /app
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-S", "-E", "/usr/local/lib/healthcheck.py"]
ARG VERSION=0.1.0
ARG REVISION=dev
ENV SWITCHYARD_CODE_VERSION=${REVISION}
LABEL org.opencontainers.image.vendor="The Switchyard authors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Declared here, so that a volume that ECS mounts there keeps its mode: anybody may write to it.
VOLUME /tmp
USER 10001:10001


# --- the orchestrator's two processes -------------------------------------------------------------------------------
FROM build AS router-build
RUN uv pip install --require-hashes --no-deps -r /build/router.txt -c /build/requirements.lock
COPY --from=code /app .
COPY services/orchestrator services/orchestrator
RUN python -m compileall -q .

FROM runtime AS router
LABEL org.opencontainers.image.title="switchyard/router" \
      org.opencontainers.image.description="Publishes the next events of a case: a pure function of the event"
COPY --from=router-build /opt/venv /opt/venv
COPY --from=router-build /app .
CMD ["python", "-m", "services.orchestrator", "router"]

FROM build AS case-manager-build
RUN uv pip install --require-hashes --no-deps -r /build/case-manager.txt -c /build/requirements.lock
COPY --from=code /app .
COPY services/orchestrator services/orchestrator
RUN python -m compileall -q .

FROM runtime AS case-manager
LABEL org.opencontainers.image.title="switchyard/case-manager" \
      org.opencontainers.image.description="Whatever waits or counts: intake, close, timers, gather, approvals, control"
COPY --from=case-manager-build /opt/venv /opt/venv
COPY --from=case-manager-build /app .
CMD ["python", "-m", "services.orchestrator", "case_manager"]


# --- the agents -----------------------------------------------------------------------------------------------------
FROM build AS triage-build
RUN uv pip install --require-hashes --no-deps -r /build/triage.txt -c /build/requirements.lock
COPY --from=model-specialist-code /app .
COPY services/specialists/triage services/specialists/triage
RUN python -m compileall -q .

FROM runtime AS triage
LABEL org.opencontainers.image.title="switchyard/triage" \
      org.opencontainers.image.description="Decides which specialist fits a question"
COPY --from=triage-build /opt/venv /opt/venv
COPY --from=triage-build /app .
CMD ["python", "-m", "services.specialists", "triage"]

FROM build AS text-to-sql-build
RUN uv pip install --require-hashes --no-deps -r /build/text-to-sql.txt -c /build/requirements.lock
COPY --from=model-specialist-code /app .
COPY services/specialists/text_to_sql services/specialists/text_to_sql
RUN python -m compileall -q .

FROM runtime AS text-to-sql
LABEL org.opencontainers.image.title="switchyard/text-to-sql" \
      org.opencontainers.image.description="Answers from Snowflake, as the asking user"
COPY --from=text-to-sql-build /opt/venv /opt/venv
COPY --from=text-to-sql-build /app .
CMD ["python", "-m", "services.specialists", "text_to_sql"]

FROM build AS compliance-build
RUN uv pip install --require-hashes --no-deps -r /build/compliance.txt -c /build/requirements.lock
COPY --from=model-specialist-code /app .
COPY services/specialists/compliance services/specialists/compliance
RUN python -m compileall -q .

FROM runtime AS compliance
LABEL org.opencontainers.image.title="switchyard/compliance" \
      org.opencontainers.image.description="The gate: rules on person, moment and draft, and a judged rubric"
COPY --from=compliance-build /opt/venv /opt/venv
COPY --from=compliance-build /app .
CMD ["python", "-m", "services.specialists", "compliance"]

FROM build AS drafter-build
RUN uv pip install --require-hashes --no-deps -r /build/drafter.txt -c /build/requirements.lock
COPY --from=agent-code /app .
COPY services/drafter services/drafter
RUN python -m compileall -q .

FROM runtime AS drafter
LABEL org.opencontainers.image.title="switchyard/drafter" \
      org.opencontainers.image.description="Writes answers and emails; from Bedrock, or from OpenAI when Bedrock is late"
COPY --from=drafter-build /opt/venv /opt/venv
COPY --from=drafter-build /app .
CMD ["python", "-m", "services.drafter"]

FROM build AS email-sender-build
RUN uv pip install --require-hashes --no-deps -r /build/email-sender.txt -c /build/requirements.lock
COPY --from=specialist-code /app .
COPY services/specialists/email_sender services/specialists/email_sender
RUN python -m compileall -q .

FROM runtime AS email-sender
LABEL org.opencontainers.image.title="switchyard/email-sender" \
      org.opencontainers.image.description="Sends what was approved, once"
COPY --from=email-sender-build /opt/venv /opt/venv
COPY --from=email-sender-build /app .
CMD ["python", "-m", "services.specialists", "email_sender"]

FROM build AS email-feedback-build
RUN uv pip install --require-hashes --no-deps -r /build/email-feedback.txt -c /build/requirements.lock
COPY --from=specialist-code /app .
COPY services/specialists/email_feedback services/specialists/email_feedback
RUN python -m compileall -q .

FROM runtime AS email-feedback
LABEL org.opencontainers.image.title="switchyard/email-feedback" \
      org.opencontainers.image.description="The opt-out page, and the mail provider's reports as events"
COPY --from=email-feedback-build /opt/venv /opt/venv
COPY --from=email-feedback-build /app .
CMD ["python", "-m", "services.specialists", "email_feedback"]


# --- audit ----------------------------------------------------------------------------------------------------------
FROM build AS audit-build
RUN uv pip install --require-hashes --no-deps -r /build/audit.txt -c /build/requirements.lock
COPY --from=code /app .
COPY services/audit services/audit
RUN python -m compileall -q .

FROM runtime AS audit
LABEL org.opencontainers.image.title="switchyard/audit" \
      org.opencontainers.image.description="Writes every transition to the log, gives it its position, checkpoints it"
COPY --from=audit-build /opt/venv /opt/venv
COPY --from=audit-build /app .
CMD ["python", "-m", "services.audit"]


# --- people's tools -------------------------------------------------------------------------------------------------
# The command: `switchyard migrate` in AWS runs in it. Replay folds the log through every service's own code.
FROM build AS cli-build
RUN uv pip install --require-hashes --no-deps -r /build/cli.txt -c /build/requirements.lock
COPY --from=code /app .
COPY services services
RUN python -m compileall -q .

FROM runtime AS cli
LABEL org.opencontainers.image.title="switchyard/cli" \
      org.opencontainers.image.description="The switchyard command, for migrations and operators"
COPY --from=cli-build /opt/venv /opt/venv
COPY --from=cli-build /app .
COPY docker/switchyard /usr/local/bin/switchyard
# It holds no stack of its own: the shell's environment says where everything is.
ENV SWITCHYARD_ENV=aws
HEALTHCHECK NONE
CMD ["switchyard", "--help"]

# What stands in for Bedrock, OpenAI, SES and Snowflake in docker compose, and what makes bus and tables there.
FROM build AS simulators-build
RUN uv pip install --require-hashes --no-deps -r /build/simulators.txt -c /build/requirements.lock
COPY --from=code /app .
COPY demo demo
COPY services services
RUN python -m compileall -q .

FROM runtime AS simulators
LABEL org.opencontainers.image.title="switchyard/simulators" \
      org.opencontainers.image.description="For development only: scripted models, a mailbox, a warehouse; provisioning"
COPY --from=simulators-build /opt/venv /opt/venv
COPY --from=simulators-build /app .
CMD ["python", "-m", "switchyard.devstack.simulators.models", "--host", "0.0.0.0", "--port", "8080"]
