"""What the product talks to a `ScriptedServer` with, and what comes of one request. Holds no test."""

from typing import Any

import pytest

from phyt2v_cli.backends.server.answers import Answer
from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.backends.server.roles import OpenAICaptioner, OpenAIChat, OpenAIScorer
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig, ServiceConfig
from phyt2v_cli.errors import BackendError
from phyt2v_cli.refinement import prompts
from phyt2v_cli.roles import ChatReply, Message
from tests.scripted_server import Behaviour, Body, ScriptedServer

KEY = "sk-canary-0123456789"
"""In $CANARY_KEY, with the fixture `loopback`."""
MESSAGES = [Message("user", "hello")]
ANALYSIS = '{"reasoning": "r", "main_object": "the ball", "physical_law": "gravity"}'


def set_key(patch: pytest.MonkeyPatch) -> None:
    """Let clients reach servers on this machine, with a key in $CANARY_KEY."""
    patch.setenv("CANARY_KEY", KEY)
    patch.setenv("NO_PROXY", "127.0.0.1")


def client_of(url: str, *, backoff_s: float = 0.01, **settings: object) -> OpenAIClient:
    config = ServiceConfig.model_validate(
        {"model": "some/model", "base_url": url, "api_key_env": "CANARY_KEY", "timeout_s": 60, **settings}
    )
    return OpenAIClient(config, "llm", backoff_s=backoff_s)


def ask(*script: Behaviour, **settings: Any) -> tuple[Answer, ScriptedServer]:
    with ScriptedServer(*script) as server:
        return client_of(server.url, **settings).complete(MESSAGES), server


def fail(*script: Behaviour, **settings: Any) -> tuple[str, ScriptedServer]:
    """Return what the user reads: the message, which is one line, and maybe a hint below it."""
    with ScriptedServer(*script) as server:
        with pytest.raises(BackendError) as caught:
            client_of(server.url, **settings).complete(MESSAGES)
        text = str(caught.value)
        assert "\n" not in caught.value.message
        assert "\n" not in caught.value.hint
        assert KEY not in text
        return text, server


def chat_at(server: ScriptedServer) -> OpenAIChat:
    return OpenAIChat(LlmConfig(model="m", base_url=server.url, timeout_s=60, max_retries=1))


def analyse(*script: Behaviour) -> tuple[prompts.PhysicsAnalysis, list[ChatReply], list[Body]]:
    """Return the analysis of a prompt, each reply on the way to it, and each request."""
    replies: list[ChatReply] = []
    with ScriptedServer(*script) as server:
        analysis = prompts.ask(
            chat_at(server),
            prompts.analysis_request("a ball drops"),
            prompts.PhysicsAnalysis,
            on_reply=replies.append,
        )
        return analysis, replies, server.bodies


def scorer_at(server: ScriptedServer) -> OpenAIScorer:
    return OpenAIScorer(
        ScorerConfig(model="vlm", base_url=server.url, num_frames=3, timeout_s=60, max_retries=1)
    )


def captioner_at(server: ScriptedServer) -> OpenAICaptioner:
    return OpenAICaptioner(
        CaptionerConfig(model="vlm", base_url=server.url, num_frames=4, max_frame_size=32, timeout_s=60)
    )


def text_of(body: Body) -> str:
    """Return the words beside the pictures of a request."""
    text: str = body["messages"][0]["content"][-1]["text"]
    return text
