"""Times that nobody can mean are refused at the start, and not met by the first notification."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from notify_service.settings import NotifySettings


def settings(**fields: object) -> NotifySettings:
    required = {"service_secret": "s" * 32, "amqp_url": "amqp://host/", "mongo_url": "mongodb://host/"}
    return NotifySettings.model_validate(required | fields)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("notify_repeat_seconds", "inf"),  # never again, and no number of milliseconds
        ("notify_repeat_seconds", "1e15"),  # ends after the year 9999: no inbox could be settled
        ("notify_push_expire_seconds", "1e15"),
        ("notify_hook_expire_seconds", "1e15"),
        ("notify_digest_after_seconds", "1e15"),
        ("notify_digest_every_seconds", "1e15"),
        ("notify_delay_max_seconds", "1e15"),
        ("notify_mongo_seconds", "0"),
        ("notify_mongo_seconds", "11"),  # a claim could end under way
        ("notify_send_seconds", "86400"),  # claims last as long
        (
            "notify_ledger_days",
            "0.000001",
        ),  # what was delivered would be forgotten before its job comes again
    ],
)
def test_times_that_nobody_can_mean_are_refused(field: str, text: str) -> None:
    with pytest.raises(ValidationError, match=field):
        settings(**{field: text})


def test_what_is_kept_for_a_day_at_least_may_be_kept_for_a_day() -> None:
    assert settings(notify_ledger_days="1", notify_repeat_seconds="0").notify_ledger_days == 1
