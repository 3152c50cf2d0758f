"""The verdict of a run as text."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from chaos.checker import Figures, Recovery
from chaos.evidence import Violation

_EXAMPLES: Final = 5


def table(figures: Figures, recoveries: Sequence[Recovery]) -> str:
    """What happened: one line per fault, then the counts."""
    lines = [f"{'fault':<50} {'lasted':>8} {'recovery':>9} {'caught':>7}"]
    lines += [
        f"#{each.number:<3} {each.text:<45} {each.lasted:>6.2f} s {each.took:>7.2f} s {each.caught:>7}"
        for each in recoveries
    ]
    counts = {
        "acked": figures.acked,
        "stored": figures.stored,
        "delivered": figures.delivered,
        "duplicated": figures.duplicated,
        "lost": figures.lost,
        "gaps": figures.gaps,
        "sends repeated": figures.repeated_sends,
        "frames refused": figures.refused,
        "catch-ups": ", ".join(f"{why} {count}" for why, count in sorted(figures.catch_ups.items())) or 0,
        "reloads": figures.reloads,
        "longest recovery": f"{max((each.took for each in recoveries), default=0):.2f} s",
    }
    return "\n".join([*lines, "", *(f"{name:<17} {value}" for name, value in counts.items())])


def complaint(violations: Sequence[Violation], seed: int, seconds: float) -> str:
    """What is wrong, a few examples of each, and how to see it again."""
    lines = []
    for rule, count in Counter(violation.rule for violation in violations).most_common():
        lines.append(f"VIOLATED {rule}: {count}")
        examples = [violation.text for violation in violations if violation.rule == rule]
        lines += [f"    {text}" for text in examples[:_EXAMPLES]]
    lines.append(f"FAILED, {len(violations)} violations; again: make chaos SECONDS={seconds:.0f} SEED={seed}")
    return "\n".join(lines)


def praise(faults: int, seed: int) -> str:
    """The last line of a run in which nothing is wrong."""
    return f"PASSED: every promise held through {faults} faults, seed {seed}"
