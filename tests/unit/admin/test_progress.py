"""What a long command says of its stages."""

import asyncio

import pytest

from admin import progress


async def test_a_stage_is_told_at_both_ends(capsys: pytest.CaptureFixture[str]) -> None:
    async with progress.stage("messages", 3) as stage:
        stage.add(1)
        stage.add(2)
    async with progress.stage("indexes"):
        pass
    assert capsys.readouterr().err.splitlines() == [
        "messages: 0 of 3 documents",
        "messages: 3 of 3 documents",
        "indexes",
    ]


async def test_a_stage_that_takes_long_is_told_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.001)
    lines: list[str] = []
    async with asyncio.timeout(30), progress.stage("messages", 3) as stage:
        stage.add(2)
        while len(lines) < 3:
            await asyncio.sleep(0.001)
            lines += capsys.readouterr().err.splitlines()
    assert lines[0] == "messages: 0 of 3 documents"
    assert set(lines[1:]) == {"messages: 2 of 3 documents"}


async def test_a_stage_that_fails_has_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="a defect"):
        async with progress.stage("messages", 3):
            raise ValueError("a defect")
    assert capsys.readouterr().err.splitlines() == ["messages: 0 of 3 documents"]
