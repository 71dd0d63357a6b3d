"""The LLM behind a server, asked as the loop asks it; replies that are none are in tests/faults."""

import pytest

from phyt2v_cli.roles import ChatReply
from tests.scripted_server import answer
from tests.server_clients import ANALYSIS, analyse

pytestmark = pytest.mark.usefixtures("loopback")


def test_a_request_of_the_loop() -> None:
    analysis, replies, [body] = analyse(answer(ANALYSIS))
    assert analysis.main_object == "the ball"
    assert replies == [ChatReply(ANALYSIS, 10, 2)]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["reasoning", "main_object", "physical_law"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["main_object"]["description"]
    assert "default" not in schema["properties"]["reasoning"]
