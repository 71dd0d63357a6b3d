"""A server that nobody scripted: `transformers serve` with a tiny random model that talks nonsense."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import Message

pytestmark = pytest.mark.usefixtures("loopback")


def save_language_model(path: Path) -> Path:
    """Save a Llama that reads and writes single bytes; return the path."""
    torch.manual_seed(0)
    alphabet = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_only = Tokenizer(models.BPE(vocab={char: n for n, char in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    tokenizer.save_pretrained(path)
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16_384,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).eval().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language_model(tmp_path_factory.mktemp("models") / "nonsense")


@pytest.fixture(scope="module")
def url(model_dir: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    transformers = Path(sys.executable).with_name("transformers")
    command = [
        transformers,
        "serve",
        model_dir,
        "--device",
        "cpu",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    try:
        _wait_for(f"{address}/health", server)
        yield f"{address}/v1"
    finally:
        server.kill()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(600):
        assert server.poll() is None, "the server has ended"
        try:
            with direct.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not start")


@pytest.mark.slow
def test_fault_33_36_nonsense_is_no_analysis(model_dir: Path, url: str, tmp_path: Path) -> None:
    values = {"backend": "openai", "base_url": url, "model": model_dir, "max_tokens": 256, "timeout_s": 60}
    command = [sys.executable, "-m", "phyt2v_cli", "refine", "--prompt", "a red ball drops", "--out", "run"]
    result = subprocess.run(
        [*command, *(part for name, value in values.items() for part in ("--set", f"llm.{name}={value}"))],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        timeout=120,
    )
    assert result.returncode == 4, result.stderr
    assert "error: The LLM's reply to the analysis could not be used, twice" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Round 1" not in result.stderr


def test_fault_28_a_model_that_the_server_does_not_have(url: str) -> None:
    client = OpenAIClient(
        ServiceConfig(model="no/such-model", base_url=url, max_retries=0, timeout_s=60), "llm"
    )
    with pytest.raises(BackendError, match="no/such-model"):
        client.complete([Message("user", "hello")])


@pytest.mark.slow
def test_a_server_that_ignores_logprobs(model_dir: Path, url: str) -> None:
    client = OpenAIClient(
        ServiceConfig(model=str(model_dir), base_url=url, max_tokens=256, timeout_s=60), "scorer"
    )
    answer = client.complete([Message("user", "hi")], wants_logprobs=True)
    assert answer.prompt_tokens > 0
    assert not client.gives_logprobs
