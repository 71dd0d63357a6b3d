"""Plays the LLM with any endpoint that speaks OpenAI's chat completions. Knows no task and no schema."""

from phyt2v_cli.backends.openai_client import OpenAIClient
from phyt2v_cli.interfaces import ChatReply, ChatRequest
from phyt2v_cli.settings import LlmConfig


class OpenAIChat:
    """The `ChatModel` that asks a server."""

    def __init__(self, config: LlmConfig) -> None:
        """Take the endpoint; nothing is sent before the first request. Raises ConfigError for no URL."""
        self._client = OpenAIClient(config, "llm")

    def reply(self, request: ChatRequest) -> ChatReply:
        """Return the answer exactly as it came; raise ReplyError for a refusal, or half or no answer."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        answer = self._client.complete(messages, schema=request.schema)
        return ChatReply(answer.text, answer.prompt_tokens, answer.completion_tokens)
