"""What users read when a server fails: its own words, and the settings that mend it."""

import pytest

from phyt2v_cli.backends.server import remedies
from phyt2v_cli.backends.server.answers import Failure, read_rejection

PAGE = "<html><head><title>413 Request Entity Too Large</title></head><center>nginx</center></html>"
VLLM = (
    "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 4096 "
    "tokens and your request has 1200 input tokens (4096 > 4096 - 1200)."
)

ERRORS = [
    # Pictures
    (400, "only 1 image per request is allowed here", 16, "16 pictures at once", ["num_frames"]),
    (400, "At most 1 image(s) may be provided in one request.", 16, "at once", ["num_frames"]),
    (400, "Too many images in request. Max is 10.", 16, "at once", ["num_frames"]),
    (422, "number of images (16) exceeds the limit of 8", 16, "at once", ["num_frames"]),
    (400, "image dimensions exceed max allowed size: 8000 pixels", 2, "this size", ["max_frame_size"]),
    (400, "image_url is only supported by certain models", 2, "not take pictures", ["model"]),
    (400, "Invalid content type. image_url is only supported.", 2, "not take pictures", ["model"]),
    (500, "image input is not supported - hint: provide the mmproj", 2, "not take pictures", ["model"]),
    (422, "messages.0.content: Input should be a valid string", 2, "not take pictures", ["model"]),
    (400, "vlm is not a multimodal model", 2, "not take pictures", ["model"]),
    (404, "No endpoints found that support image input", 2, "not take pictures", ["model"]),
    (400, "unknown variant `image_url`, expected `text`", 2, "not take pictures", ["model"]),
    (400, "This model does not support image input", 2, "not take pictures", ["model"]),
    # A word alone says nothing.
    (500, "GPU busy while encoding an image, retry", 2, "gave no answer", ["base_url"]),
    (500, "CUDA context lost", 0, "gave no answer", ["base_url"]),
    (400, "image is fine, but the role is not", 2, "rejects the request", ["model", "base_url"]),
    (400, "only 1 image per request", 0, "rejects the request", ["model"]),
    # Sizes
    (400, VLLM, 0, "4096 tokens", ["max_tokens", "model"]),
    (400, VLLM, 16, "16 pictures", ["num_frames", "max_frame_size", "max_tokens"]),
    (400, "the request exceeds the available context size", 0, "too small a context", ["max_tokens"]),
    (413, PAGE, 16, "no request of this size, with 16 pictures", ["num_frames", "max_frame_size"]),
    (413, PAGE, 0, "no request of this size", ["base_url"]),
    # Models, keys and addresses
    (404, "The model `x` does not exist", 0, "is not there", ["model", "api_key_env", "base_url"]),
    (400, "model not found", 0, "is not there", ["model"]),
    (403, "Project does not have access to model x: no access", 0, "", ["api_key_env"]),
    (404, "<html>not found</html>", 0, "is not there", ["model", "base_url"]),
    (405, "method not allowed", 0, "is not there", ["base_url"]),
    (401, "bad key", 0, "refuses the key in the environment variable MY_KEY", ["api_key_env"]),
    (403, "forbidden", 0, "refuses the key", ["api_key_env"]),
    (307, "moved", 0, "redirects", ["base_url"]),
    # Money, settings, and the rest
    (429, "insufficient_quota: pay first", 0, "not paid for", ["base_url", "api_key_env"]),
    (402, "no", 0, "not paid for", ["base_url", "api_key_env"]),
    (400, "'temperature' does not support 0.5 with this model", 0, "temperature", ["temperature"]),
    (429, "slow down; add a payment method in billing", 0, "gave no answer", ["base_url"]),
    (418, "teapot", 0, "rejects the request", ["model", "base_url", "max_tokens", "temperature"]),
]


def asked(num_pictures: int = 0, *, has_key: bool = True, key: str = "captioner") -> remedies.Asked:
    return remedies.Asked(
        "The captioner vlm at http://x/v1", key, "vlm", "MY_KEY", has_key, num_pictures, 4096
    )


@pytest.mark.parametrize(("code", "body", "num_pictures", "said", "settings"), ERRORS)
def test_each_failure_names_role_fault_and_settings(
    code: int, body: str, num_pictures: int, said: str, settings: list[str]
) -> None:
    failure = read_rejection(code, {}, body)
    error = remedies.explain(failure, asked(num_pictures), attempts=1)
    assert error.message.startswith("The captioner vlm at http://x/v1 ")
    assert f"({code}: " in error.message or f"said {code}: " in error.message
    assert said in error.message
    for setting in settings:
        assert f"`captioner.{setting}`" in error.hint


@pytest.mark.parametrize(
    ("code", "body", "num_pictures", "passes"),
    [
        (500, "GPU busy while encoding an image, retry", 2, True),
        (500, "image input is not supported", 2, False),
        (500, "image input is not supported", 0, True),
        (500, "the context size is exceeded", 0, False),
        (500, "CUDA context lost", 0, True),
        (429, "insufficient_quota", 0, False),
        (429, "add a payment method in billing", 0, True),
        (400, "no", 0, False),
    ],
)
def test_only_what_may_pass_is_tried_again(code: int, body: str, num_pictures: int, passes: bool) -> None:
    assert remedies.may_pass(read_rejection(code, {}, body), asked(num_pictures)) == passes


def test_a_key_that_is_missing_is_not_a_wrong_one() -> None:
    error = remedies.explain(read_rejection(403, {}, "no"), asked(has_key=False), attempts=1)
    assert "wants a key, and none is set in the environment variable MY_KEY" in error.message


def test_a_further_scorer_is_named_by_its_own_key() -> None:
    error = remedies.explain(read_rejection(404, {}, "no"), asked(key="scorer.others[1]"), attempts=1)
    assert "`scorer.others[1].base_url`" in error.hint


def test_braces_of_a_server_are_only_text() -> None:
    error = remedies.explain(Failure("status", "{who} {0}", 400), asked(), attempts=1)
    assert "{who} {0}" in error.message
