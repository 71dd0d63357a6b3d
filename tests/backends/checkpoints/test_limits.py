"""What a model's folder asks for is held against limits before any library obeys it."""

import json
import shutil
from pathlib import Path

import pytest

from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
from phyt2v_cli.backends.checkpoints.template_check import check_template
from phyt2v_cli.backends.checkpoints.transformers_folder import find_language_model
from phyt2v_cli.backends.diffusion import generator
from phyt2v_cli.backends.local import models
from phyt2v_cli.backends.local.roles import TransformersChat
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import LlmConfig
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.roles import ChatRequest, Message
from tests.tiny_families import save_hunyuan_15
from tests.tiny_language_models import TEXT_TEMPLATE

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLES = "{% set ns = namespace(s='ab') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"
HOSTILE = {
    LOOPS: "does not end within",
    DOUBLES: "takes more memory than any needs",
    "{{ 'a' * 10 ** 11 }}": "takes more memory than any needs",
    "{{ 'ab' * 100000 }}": "makes 200,000 characters of 18,000",
    # Only where it is shown pictures.
    "{% if messages[1].content is not string %}" + DOUBLES + "{% endif %}": "takes more memory",
}


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.slow
@pytest.mark.parametrize("template", HOSTILE)
def test_fault_56_a_template_that_never_ends_or_grows_is_refused(template: str) -> None:
    with pytest.raises(ModelLoadError, match=f"model-x has a chat template that {HOSTILE[template]}"):
        check_template({"default": TEXT_TEMPLATE, "other": template}, {"eos_token": "</s>"}, "model-x")


@pytest.mark.parametrize("template", [TEXT_TEMPLATE, "{{ raise_exception('no system') }}", "{{ eos_token }}"])
def test_other_templates_pass(template: str) -> None:
    check_template(template, {"eos_token": "</s>"}, "model-x")


@pytest.mark.slow
def test_templates_of_llms_and_of_pipelines_are_tried_when_they_are_loaded(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    llama = Path(shutil.copytree(tiny_llama_dir, tmp_path / "llama"))
    (llama / "chat_template.jinja").write_text(DOUBLES)
    with pytest.raises(ModelLoadError, match="chat template that takes more memory"):
        models.load(LlmConfig(model=str(llama)), role="llm")
    hunyuan = save_hunyuan_15(tmp_path / "hunyuan")
    (hunyuan / "tokenizer" / "chat_template.jinja").write_text(DOUBLES)
    with pytest.raises(ModelLoadError, match=r"\(tokenizer\) has a chat template that takes more memory"):
        generator.load(GeneratorConfig(model=str(hunyuan)))


def test_fault_56_published_settings_of_generation_ask_for_one_greedy_answer(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    request = ChatRequest("analysis", (Message("user", "Which object?"),), {})
    replies = []
    for name, settings in {
        "plain": {},
        "greedy": {"num_beams": 100_000, "num_return_sequences": 50_000, "min_new_tokens": 10**9},
        "published": {"repetition_penalty": 0.05},
    }.items():
        folder = Path(shutil.copytree(tiny_llama_dir, tmp_path / name))
        change(folder / "generation_config.json", **settings)
        chat = TransformersChat(LlmConfig(model=str(folder), max_tokens=8))
        replies.append(chat.reply(request).text)
        chat.close()
    assert replies[0] == replies[1] != replies[2]


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        (
            "transformer/config.json",
            {"num_layers": 10**6},
            r"num_layers 1,000,000, and the weights",
        ),
        ("vae/config.json", {"layers_per_block": 10**6}, "layers_per_block 1,000,000, and the weights"),
        ("text_encoder/config.json", {"num_layers": 10**6}, "num_layers 1,000,000, and the weights"),
        ("transformer/config.json", {"sample_frames": 10**12}, "no model needs more than 67,108,864"),
        ("transformer/config.json", {"sample_height": 10**5}, "no model needs more than 16,384"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**11}, "no model needs more than"),
    ],
)
def test_fault_56_sizes_that_cannot_be_are_refused(
    file: str, changes: dict[str, object], said: str, tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))
    find_model(str(folder))
    change(folder / file, **changes)
    with pytest.raises(ModelLoadError, match=said):
        find_model(str(folder))


def test_fault_56_an_llm_of_a_million_layers_is_refused(tiny_llama_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_llama_dir, tmp_path / "model"))
    change(folder / "config.json", num_hidden_layers=10**6)
    with pytest.raises(ModelLoadError, match="num_hidden_layers 1,000,000, and the weights"):
        find_language_model(str(folder))
