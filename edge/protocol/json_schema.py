"""JSON Schemas of our types, for validators in other languages."""

import re
from typing import Any


def portable(schema: Any) -> Any:
    r"""The same schema with `$` in the place of a final `\Z`, and each description on one line.

    In Python `$` lets a newline pass at the end of a text; in JavaScript there is no `\Z`. Descriptions are
    docstrings, which have their indentation in them before Python 3.13.
    """
    if isinstance(schema, list):
        return [portable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: portable(value) for name, value in schema.items()}
    if isinstance(pattern := plain.get("pattern"), str):
        plain["pattern"] = re.sub(r"\\Z$", "$", pattern)
    if isinstance(description := plain.get("description"), str):
        plain["description"] = " ".join(description.split())
    return plain
