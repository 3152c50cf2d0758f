# syntax=docker/dockerfile:1
# One image, four entry points: the argument names the service (edge, chat_service, persist_service, notify_service) or the
# command (admin). Everything that compiles or generates stays in the first two stages.
#
#   docker build --tag parley .
#   docker run --read-only --env-file parley.env parley edge

# An exact version, so that two builds of one commit hold the same interpreter. Registries that mirror images may be named
# here, and a digest pinned: --build-arg PYTHON_IMAGE=registry.example/python@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
COPY requirements.lock /tmp/
# Hashes are checked, and nothing is compiled: a package without a wheel for this platform fails the build.
RUN python -m venv --without-pip /opt/parley/venv \
 && pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      --python /opt/parley/venv/bin/python -r /tmp/requirements.lock

FROM ${PYTHON_IMAGE} AS code
WORKDIR /opt/parley
COPY requirements-build.lock /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      -r /tmp/requirements-build.lock
COPY protos protos
RUN mkdir gen \
 && find protos -name '*.proto' -print0 | xargs -0 python -m grpc_tools.protoc -I protos --python_out=gen --grpc_python_out=gen \
 && rm -r protos
COPY mesh mesh
COPY edge edge
COPY chat_service chat_service
COPY persist_service persist_service
COPY notify_service notify_service
COPY admin admin
# The root file system is read-only later, so the byte code is made now.
RUN python -m compileall -q .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Parley" \
      org.opencontainers.image.description="A chat back end that a team runs itself" \
      org.opencontainers.image.licenses="Apache-2.0"
# What is here only to install packages has no place in an image that installs none.
RUN rm -rf /usr/local/lib/python3.11/site-packages/* /usr/local/bin/pip* \
 && groupadd --gid 10001 parley && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin parley
COPY --from=packages /opt/parley/venv /opt/parley/venv
COPY --from=code /opt/parley /opt/parley
WORKDIR /opt/parley
ENV PATH=/opt/parley/venv/bin:$PATH \
    PYTHONPATH=/opt/parley:/opt/parley/gen \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PARLEY_BIND_HOST=0.0.0.0
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# As process 1 Python gets SIGTERM itself, which begins the drain.
ENTRYPOINT ["python", "-m"]
CMD ["edge"]
STOPSIGNAL SIGTERM
