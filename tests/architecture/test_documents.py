"""What is written from the contract into documents is what the contract says now."""

from codegen.documents import documents


def test_the_documents_are_not_stale() -> None:
    stale = [str(path) for path, text in documents().items() if path.read_text() != text]
    assert not stale, "run: make documents"
