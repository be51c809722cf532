# syntax=docker/dockerfile:1

FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/coordinator
COPY requirements.lock ./
RUN /opt/coordinator/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY models models
COPY streams streams
COPY coordinator coordinator
RUN /opt/coordinator/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/coordinator coordinator
COPY --from=build /opt/coordinator /opt/coordinator
ENV PATH=/opt/coordinator/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    COORDINATOR_DATA_DIR=/var/lib/coordinator/worker \
    COORDINATOR_HTTP_HOST=0.0.0.0 \
    COORDINATOR_HTTP_PORT=9090 \
    COORDINATOR_LOG_FORMAT=json
USER coordinator
WORKDIR /var/lib/coordinator
EXPOSE 9090
# A worker restores its state before it is alive; the start period covers a long changelog.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/health/live', timeout=2)"]
# Time for the last checkpoint is 10 s; docker stop waits just as long by default.
STOPSIGNAL SIGTERM
ENTRYPOINT ["coordinator"]
CMD ["worker"]
