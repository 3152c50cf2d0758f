"""What the senders' tests share."""

from __future__ import annotations

import pytest

from tests.providers.tls import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of local providers."""
    return Authority(tmp_path_factory.mktemp("authority"))
