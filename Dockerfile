# syntax=docker/dockerfile:1
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# --build-arg EXTRA=aws adds boto3, which Amazon SES by its API and secrets of AWS need.
ARG EXTRA=none
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python3 -m venv /opt/relay
COPY requirements-build.lock requirements.lock requirements-aws.lock pyproject.toml README.md ./
RUN /opt/relay/bin/pip install --require-hashes --requirement requirements-build.lock \
 && /opt/relay/bin/pip install --require-hashes --requirement requirements.lock \
 && if [ "$EXTRA" = aws ]; then /opt/relay/bin/pip install --require-hashes --requirement requirements-aws.lock; fi
COPY relay ./relay
RUN /opt/relay/bin/pip install --no-deps --no-build-isolation . \
 && /opt/relay/bin/python -m compileall -q /opt/relay

FROM ${BASE}
ENV PATH=/opt/relay/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10025 --home-dir /var/lib/relay --shell /usr/sbin/nologin relay \
 && install -d -o relay -g relay -m 0700 /var/lib/relay \
 && install -d -m 0755 /etc/relay
COPY --from=build /opt/relay /opt/relay
COPY deploy/container/relay.toml /etc/relay/relay.toml
USER 10025:10025
VOLUME /var/lib/relay
EXPOSE 2525 2465 9225
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9225/readyz', timeout=4)"]
ENTRYPOINT ["relay"]
CMD ["serve", "--config", "/etc/relay/relay.toml"]
