"""`check`: are the settings usable, and does everything answer that they name?"""

import asyncio
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from admin.command import DONE, NOT_DONE, Command, seconds
from admin.output import json_option, note, table, tell
from admin.reach import questions
from chat_service.settings import ChatSettings
from edge.settings import EdgeSettings
from mesh.descriptors import FEW, for_clients, hard_limit
from mesh.settings import EX_CONFIG, MeshSettings, SettingsError, read, unknown_variables, variable_name
from notify_service.settings import NotifySettings
from persist_service.settings import PersistSettings

SERVICES: Final[Mapping[str, type[MeshSettings]]] = {
    "edge": EdgeSettings,
    "chat": ChatSettings,
    "persist": PersistSettings,
    "notify": NotifySettings,
}
_PROBLEM_COLUMNS: Final = ("variable", "of", "problem")
_COLUMNS: Final = ("what", "where", "state", "detail")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("service", nargs="*", type=_service, help=f"{', '.join(SERVICES)}; default all")
    parser.add_argument("--settings-only", action="store_true", help="connect to nothing")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS", help="for each answer")
    json_option(parser)


def _service(name: str) -> str:
    if name not in SERVICES:
        raise ArgumentTypeError(f"{name} is none of {', '.join(SERVICES)}")
    return name


async def _run(options: Namespace) -> int:
    names: Sequence[str] = options.service or list(SERVICES)
    usable, problems = _read(names)
    for warning in (*_unknown(names), *_clashes(usable), *_descriptors(usable)):
        note(warning)
    if problems:
        tell({"problems": problems}, lambda: table(_PROBLEM_COLUMNS, problems), as_json=options.json)
        sys.exit(EX_CONFIG)
    if options.settings_only:
        tell({"problems": []}, lambda: f"the settings of {', '.join(names)} are usable", as_json=options.json)
        return DONE
    asked = questions(list(usable.values()))
    found = await asyncio.gather(*(question.answer(options.timeout) for question in asked))
    rows = [each.row() for each in found]
    tell({"problems": [], "reached": rows}, lambda: table(_COLUMNS, rows), as_json=options.json)
    return DONE if all(each.well for each in found) else NOT_DONE


def _read(names: Sequence[str]) -> tuple[dict[str, MeshSettings], list[dict[str, Any]]]:
    """The settings of those services where they are usable, and what is wrong with the others, each once."""
    usable: dict[str, MeshSettings] = {}
    services: dict[tuple[str, str], list[str]] = {}
    for name in names:
        try:
            usable[name] = read(SERVICES[name])
        except SettingsError as error:
            for problem in error.problems:
                services.setdefault((problem.variable, problem.text), []).append(name)
    return usable, [
        {"variable": variable, "of": of, "problem": text} for (variable, text), of in services.items()
    ]


def _unknown(names: Sequence[str]) -> Iterator[str]:
    """A warning for each variable that one of these services would have to know and none reads."""
    known = {variable_name(field) for settings in SERVICES.values() for field in settings.model_fields}
    meant: dict[str, set[str]] = {}
    for name in names:
        for found, alike in unknown_variables(SERVICES[name]):
            if found not in known:
                meant.setdefault(found, set()).update([alike] if alike else [])
    for found, likely in sorted(meant.items()):
        guess = f"; is {' or '.join(sorted(likely))} meant?" if likely else ""
        yield f"{found} is read by nobody{guess}"


def _clashes(usable: Mapping[str, MeshSettings]) -> Iterator[str]:
    """A warning for each port of several services: it may be meant so, for they may run on several hosts."""
    ports: dict[int, list[str]] = {}
    for name, settings in usable.items():
        for field in (f"{name}_port", f"{name}_admin_port"):
            ports.setdefault(getattr(settings, field), []).append(variable_name(field))
    for port, variables in ports.items():
        if port and len(variables) > 1:
            yield f"{' and '.join(variables)} are both {port}: these services cannot run on one host"


def _descriptors(usable: Mapping[str, MeshSettings]) -> Iterator[str]:
    """A warning where connections need more descriptors than a process started like this one may have."""
    limit = hard_limit()
    edge = usable.get("edge")
    if isinstance(edge, EdgeSettings) and edge.edge_connections > for_clients(limit):
        yield (
            f"{variable_name('edge_connections')} is {edge.edge_connections}, and the hard limit of "
            f"descriptors here, {limit}, leaves {for_clients(limit)} to connections"
        )
    elif limit < FEW:
        yield f"the hard limit of descriptors is {limit} here; a service should have {FEW} or more"


COMMAND: Final = Command(
    "check", "are the settings usable, and does all answer that they name?", _add_arguments, _run
)
