"""The metrics tell when the certificate in use ends, and go with it when it is replaced."""

import math
from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client import REGISTRY

from edge.tls import CertificateFiles
from mesh.certificates import Rotation, read_files, show_expiry
from mesh.metrics import CERTIFICATE_EXPIRES
from mesh.rpc.tls import TlsFiles, follow
from tests.support.authority import Authority


def shown(use: str) -> float | None:
    return REGISTRY.get_sample_value("parley_certificate_expires_timestamp_seconds", {"use": use})


def end_of(certificate: Path) -> float:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """The key stands before the certificate and the authority's own after it, as some tools write it."""
    authority = Authority(tmp_path)
    chain = authority.issue("chat", "localhost")
    chain.write_bytes(chain.read_bytes() + authority.ca_file.read_bytes())
    return TlsFiles(chain, chain, authority.ca_file)


def test_the_end_of_what_services_show_one_another(files: TlsFiles, tmp_path: Path) -> None:
    rotation = follow(files, files.read())
    assert shown("services") == end_of(files.certificate)
    CERTIFICATE_EXPIRES.labels("services").set(0)
    files.certificate.write_text("half written")
    assert rotation.changed() is None
    assert shown("services") == 0
    (tmp_path / "new").mkdir()
    files.certificate.write_bytes(Authority(tmp_path / "new").issue("chat").read_bytes())
    assert rotation.changed() is not None
    assert shown("services") == end_of(files.certificate)


def test_the_end_of_what_clients_are_shown(files: TlsFiles) -> None:
    shown_files = CertificateFiles(files.certificate, files.key)
    Rotation("clients", shown_files.read, shown_files.read())
    assert shown("clients") == end_of(files.certificate)


def test_a_certificate_that_cannot_be_read_disturbs_nobody() -> None:
    show_expiry("clients", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    end = shown("clients")
    assert end is not None
    assert math.isnan(end)


def test_files_that_are_replaced_under_way_are_read_again(tmp_path: Path) -> None:
    """A certificate of before with a key of after would refuse every connection."""
    paths = [tmp_path / "tls.crt", tmp_path / "tls.key"]
    looks = iter(("old", "new", "new"))

    def load() -> str:
        text = next(looks)
        for path in paths:
            path.write_text(text)
        return text

    for path in paths:
        path.write_text("old")
    paths[1].write_text("new")  # replaced between two reads
    assert read_files(*paths, load=load) == ([b"new", b"new"], "new")
