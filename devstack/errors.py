"""What devstack reports to the person at the terminal."""

from __future__ import annotations


class DevstackError(Exception):
    """A failure whose message alone tells the reader what is wrong and what to do."""

    exit_code = 1


class SettingsError(DevstackError):
    """The environment holds values that cannot be used; the message lists every one."""

    exit_code = 78  # EX_CONFIG of sysexits(3), as the services use it


class GivenServerError(DevstackError):
    """A server that the user brings does not answer where its URL leads."""


class PortBusyError(DevstackError):
    """Another program listens on a port that is needed."""


class ServerMissingError(DevstackError):
    """A backing server's program is not installed."""


class ServerFailedError(DevstackError):
    """A process ended, or did not become ready in time; the message ends with its last log lines."""
