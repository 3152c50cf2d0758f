# syntax=docker/dockerfile:1
# One image, four entry points: the argument names the service (edge, chat_service, persist_service, notify_service) or the
# command (admin). Everything that installs or generates stays in the first stage.
#
#   docker build --tag parley .
#   docker run --read-only --env-file parley.env parley edge

# An exact version, so that two builds of one commit hold the same interpreter. Registries that mirror images may be named
# here, and a digest pinned: --build-arg PYTHON_IMAGE=registry.example/python@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /opt/parley
COPY requirements.lock requirements-build.lock /tmp/
# Hashes are checked and nothing is compiled: a package without a wheel for this platform fails the build. http-ece is pure
# Python and published as source only; its wheel is made by the setuptools that the first line brings, so that nothing
# unpinned is fetched.
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      -r /tmp/requirements-build.lock \
 && pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      --no-binary http-ece --no-build-isolation --target packages -r /tmp/requirements.lock
COPY protos /tmp/protos
COPY codegen /tmp/codegen
RUN mkdir gen \
 && find /tmp/protos -name '*.proto' -print0 \
  | xargs -0 python -m grpc_tools.protoc -I /tmp/protos --python_out=gen --grpc_python_out=gen \
 && PYTHONPATH=gen:/tmp python -m codegen /tmp/protos gen
COPY contract contract
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
COPY --from=build /opt/parley /opt/parley
WORKDIR /opt/parley
ENV PYTHONPATH=/opt/parley:/opt/parley/gen:/opt/parley/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PARLEY_BIND_HOST=0.0.0.0
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# As process 1 Python gets SIGTERM itself, which begins the drain.
ENTRYPOINT ["python", "-m"]
CMD ["edge"]
STOPSIGNAL SIGTERM
