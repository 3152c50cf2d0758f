from pymongo.errors import OperationFailure

from admin.mongo import in_words
from mesh.mongo import refusal_in_words


def test_a_missing_right_is_named_as_one() -> None:
    refused = OperationFailure("not authorized on parley to execute command { collMod }", code=13)
    full = OperationFailure("out of disk", code=14031)
    for say in (refusal_in_words, in_words):
        assert "PARLEY_MONGO_URL lacks a right" in say(refused)
        assert "not authorized on parley" in say(refused)
        assert say(full).startswith("out of disk")
