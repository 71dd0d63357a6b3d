"""What the page shows of a run; what it must not do is in tests/faults."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from phyt2v_cli.files.untrusted import visible
from phyt2v_cli.files.video import sample_frames
from phyt2v_cli.report.page import (
    MAX_DOTS,
    MAX_FLAGS,
    MAX_REASONS,
    MAX_SCORERS,
    MAX_VERSIONS,
    write_report,
)
from phyt2v_cli.report.template import MAX_CHARS
from phyt2v_cli.report.verdict import MAX_DIFF_WORDS
from phyt2v_cli.roles import Scores
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles, FakeScorer
from tests.fake_runs import make_config, run_through
from tests.report.conftest import BACKGROUNDS, change
from tests.terminals import foreign_controls

ELEMENTS = re.compile(
    "html|head|meta|title|style|body|header|main|section|article|footer|div|h1|h2|h3|p|span|ul|li|dl|dt|dd|"
    "ins|del|video|img|svg|line|text|polyline|circle|rect|details|summary|pre|script|strong|table|tbody|tr|th|td"
)
"""Of a page; none of them runs or fetches anything that the policy does not allow."""


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and its texts as they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def read_page(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    return page


def decode_strip(source: str) -> npt.NDArray[np.uint8]:
    """Return the pixels of a picture in a data URI, of shape (height, width, 3)."""
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2], validate=True))) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture)


def page_of(path: Path, cast: FakeRoles | None = None, **refinement: object) -> str:
    run_through(path, make_config(rounds=1, **refinement), cast)
    return write_report(path).read_text(encoding="utf-8")


def test_every_video_has_its_card(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run", control=True)
    opening, _, cards = page.partition("<article")
    assert re.findall("<h2>(.*?)</h2>", opening) == ["Result", "Original", "Result", "What it learned"]
    assert re.findall('<video src="(.*?)"', opening) == ["output2.mp4", "control.mp4", "output2.mp4"]
    assert "Nothing improved: the original scores as high as the last round, both at 6 steps." in opening
    assert re.findall("<h2>(.*?)</h2>", cards) == [
        *("Control", "Round 1", "Round 2", "Scores by round", "Facts", "Run it again")
    ]
    assert re.findall('<video src="(.*?)"', cards) == ["control.mp4", "output1.mp4", "output2.mp4"]
    assert page.count('<img class="strip"') == 3
    assert page.count(">the result<") == 1
    for text in ("3 steps", "6 steps", "it hovers", "I see", "half of it is missing", "the ball", "gravity"):
        assert text in page


def test_a_round_with_the_same_prompt_is_folded(tmp_path: Path) -> None:
    no_mismatch = '{"found": false, "text": ""}'
    roles = FakeRoles(
        llm=FakeChat({"mismatch": [no_mismatch] * 2, "refinement": ['{"prompt": "a red ball drops"}'] * 2})
    )
    run_through(tmp_path / "run", make_config(2), roles)
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    (folded,) = re.findall(r"<details.*?</details>", page, re.DOTALL)
    assert re.findall("<span>(Round.*?):", folded) == ["Round 2"]
    assert re.findall("<h2>(.*?)</h2>", folded) == ["Round 2"]
    assert page.count("<article") == page.count("</article>") == 3


def test_a_page_says_what_scores_mean_how_to_repeat_it_and_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    page = page_of(path)
    assert "SA, semantic adherence: the video shows what was asked for." in page
    assert "phyt2v --isolated refine --prompt" in page
    assert "schedule.max_steps=6" in page
    assert "no longer beside this page" not in page
    (path / "output1.mp4").unlink()
    page = write_report(path).read_text(encoding="utf-8")
    assert "Videos that are no longer beside this page: output1.mp4." in page


def test_a_page_with_its_videos_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    page_of(path)
    page = write_report(path, embed=True).read_text(encoding="utf-8")
    sources = re.findall('<video src="(.*?)"', page)
    assert sources
    for source in sources:
        content = base64.b64decode(source.removeprefix("data:video/mp4;base64,"), validate=True)
        assert content in {file.read_bytes() for file in path.glob("*.mp4")}
    assert "media-src 'self' data:;" in page
    assert "media-src 'self';" in write_report(path).read_text(encoding="utf-8")


def test_a_page_names_the_clips_that_are_there_and_how_to_get_more(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run")
    assert "The same command with --control adds the original prompt at 6 steps, to compare." in page
    assert "Clips beside this page" not in page
    (tmp_path / "run" / "rounds.mp4").touch()
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Clips beside this page: rounds.mp4 (all rounds, in step)" in page


def test_a_prompt_is_shown_with_the_words_that_came_and_went(tmp_path: Path) -> None:
    script = {"refinement": [json.dumps({"prompt": "a red ball falls <fast>"})]}
    page = page_of(tmp_path / "run", FakeRoles(llm=FakeChat(script)))  # type: ignore[arg-type]
    assert "a red ball <del>drops</del> <ins>falls &lt;fast&gt;</ins>" in page


def test_an_unchanged_prompt_is_said(tmp_path: Path) -> None:
    script = {"mismatch": [json.dumps({"found": False, "text": ""})], "refinement": ["x", "y"]}
    page = page_of(tmp_path / "run", FakeRoles(llm=FakeChat(script)))  # type: ignore[arg-type]
    assert "unchanged" in page
    assert "new prompt could not be used" in page


def test_a_missing_score_is_a_dash_and_has_no_dot(tmp_path: Path) -> None:
    abstains = FakeScorer(by_video={"output1.mp4": Scores(None, 0.25)})
    page = page_of(tmp_path / "run", FakeRoles(scorer=abstains))
    bars = page[page.index("<article") :]
    assert bars.count('text-anchor="end">-</text>') == 1
    plot = page[page.index("<polyline") : page.index("</svg>", page.index("<polyline"))]
    assert plot.count('<circle class="sa') == 1
    assert plot.count('<rect class="pc') == 2
    assert "svg .pc.curve { stroke-width: 2; stroke-dasharray" in page, "told apart without colour"


@pytest.mark.parametrize("damage", ["gone", "broken"])
def test_a_video_that_cannot_be_shown_is_said(damage: str, tmp_path: Path) -> None:
    page_of(tmp_path / "run")
    video = tmp_path / "run" / "output1.mp4"
    video.unlink()
    if damage == "broken":
        video.write_bytes(b"no video")
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert page.count("the video is missing or broken") == 2
    assert set(re.findall('<video src="(.*?)"', page)) == {"output2.mp4"}


def test_equal_runs_give_equal_pages_but_for_times(tmp_path: Path) -> None:
    pages = [re.sub(r"[\d.,]+ s in all", "", page_of(tmp_path / name)) for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_one_of_a_kind_is_said_in_the_singular(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=0))
    change(path / "round1.json", steps=1)
    change(path / "run.json", usage={"requests": 1, "prompt_tokens": 1})
    texts = read_page(write_report(path).read_text(encoding="utf-8")).texts
    assert {"1 video", "1 step", "1 request, 1 token"} <= set(texts)
    change(path / "round1.json", sha256=None)
    assert "0 videos" in read_page(write_report(path).read_text(encoding="utf-8")).texts


def test_each_strip_shows_the_frames_of_its_video(painted_run: Path) -> None:
    text = write_report(painted_run).read_text(encoding="utf-8")
    page = read_page(text[text.index("<article") :])
    shown = [attributes["src"] for tag, attributes in page.tags if tag in ("video", "img")]
    assert shown[::2] == list(BACKGROUNDS)
    for name, source in zip(shown[::2], shown[1::2], strict=True):
        strip = decode_strip(source)
        height, width = strip.shape[0], strip.shape[0] * 64 // 48
        gap = (strip.shape[1] - 8 * width) / 7
        assert 0 <= gap == int(gap) < 10
        for number, frame in enumerate(sample_frames(painted_run / name, 8)):
            left = number * (width + int(gap))
            picture = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
            error = np.abs(strip[:, left : left + width].astype(int) - np.asarray(picture))
            # another frame of the video is 5 and more off on the mean, another video 70 and more
            assert error.mean() < 3


def test_a_page_is_hardly_larger_than_its_pictures(tmp_path: Path) -> None:
    def markup_of(rounds: int) -> int:
        path = tmp_path / str(rounds)
        run_through(path, make_config(rounds=rounds))
        page = write_report(path).read_text(encoding="utf-8")
        strips = re.findall(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", page)
        assert len(set(strips)) == len(strips) == rounds + 1
        for strip in strips:
            pixels = decode_strip(strip)
            assert len(strip) < pixels.size / 5  # what compresses worst: the doubles' videos are noise
        return len(page) - sum(map(len, strips))

    one, four = markup_of(0), markup_of(3)
    assert one < 17_500
    assert four - one < 3 * 2_500


def test_what_is_shown_of_a_run_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    scorers = {f"scorer {number}": {"reasons": ["reasoned"] * 30} for number in range(15)}
    change(
        path / "round1.json",
        caption="c" * MAX_CHARS,
        prompt="word " * MAX_DIFF_WORDS,
        flags=["flagged"] * 100,
        scorers=scorers,
    )
    change(path / "round2.json", caption="d" * MAX_CHARS, prompt="word " * 10, scorers={})
    change(path / "run.json", versions={f"package{number}": "1.0" for number in range(100)})
    change(path / "run.json", prompt="word " * MAX_DIFF_WORDS)
    page = read_page(write_report(path).read_text(encoding="utf-8"))
    assert "c" * MAX_CHARS in page.texts
    assert "d" * MAX_CHARS in page.texts
    assert page.texts.count("flagged") == MAX_FLAGS
    assert [text for text in page.texts if text.startswith("scorer ")] == list(scorers)[:MAX_SCORERS]
    assert page.texts.count("reasoned") == MAX_SCORERS * MAX_REASONS
    assert "package" not in "".join(page.texts).replace("package", "", MAX_VERSIONS)
    assert not {"ins", "del"} & {tag for tag, _ in page.tags}
    # one word less is compared
    change(path / "round1.json", prompt="word " * (MAX_DIFF_WORDS - 10))
    assert "del" in {tag for tag, _ in read_page(write_report(path).read_text(encoding="utf-8")).tags}
    # but no words that are longer than what is shown
    change(path / "round1.json", prompt="w" * (MAX_CHARS + 1))
    assert "del" not in {tag for tag, _ in read_page(write_report(path).read_text(encoding="utf-8")).tags}


def test_a_plot_has_as_many_dots_as_it_can_show(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=0))
    record = json.loads((path / "round1.json").read_text())
    for number in range(1, MAX_DOTS + 3):
        values = {"id": f"round{number}", "video": f"output{number}.mp4", "sha256": None}
        (path / f"round{number}.json").write_text(json.dumps(record | values))
    page = read_page(write_report(path).read_text(encoding="utf-8"))
    kinds = [attributes.get("class", "").split() for _, attributes in page.tags]
    dots = [kind[0] for kind in kinds if "mark" in kind]
    in_legend = 2  # a final's and a draft's
    assert (dots.count("sa"), dots.count("pc")) == (MAX_DOTS + in_legend, MAX_DOTS + in_legend)
    assert [text for text in page.texts if text.isdecimal()][:3] == ["1", "0", "1"]


def test_every_text_is_shown_and_nothing_but_text(painted_run: Path) -> None:
    told: list[str] = []

    def text() -> str:
        told.append(f"<i{len(told)}>'&lt;\"/><script>{{{{7*7}}}}</script>\x1b[2J\u202e")
        return told[-1]

    analysis = {"main_object": text(), "physical_law": text()}
    result = {"round": 3, "video": text(), "prompt": "not shown", "selected_by": text()}
    change(
        painted_run / "run.json",
        prompt=text(),
        analysis=analysis,
        result=result,
        versions={text(): text()},
        config={"generator": {"model": text()}},
    )
    for name in ("control.json", "round1.json", "round2.json"):
        change(
            painted_run / name,
            prompt=text(),
            caption=text(),
            mismatch={"found": True, "text": text()},
            flags=[text(), text()],
            scorers={text(): {"reasons": [text()]}, text(): {}},
        )
    page = read_page(write_report(painted_run).read_text(encoding="utf-8"))
    shown = "\n".join(page.texts)
    for one in told:
        assert visible(one) in shown
    assert not foreign_controls(shown)
    assert all(ELEMENTS.fullmatch(tag) for tag, _ in page.tags)
    values = [value for _, attributes in page.tags for value in attributes.values()]
    assert not [value for value in values if "<" in value]


def test_names_of_broken_records_are_text_too(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    (path / "round<b>\u202e.json").write_text("{")
    texts = read_page(write_report(path).read_text(encoding="utf-8")).texts
    assert "Could not be read: round<b>\\u202e.json." in texts


def test_the_policy_allows_the_style_and_the_script_and_no_more(tmp_path: Path) -> None:
    text = page_of(tmp_path / "run")
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (style, script)]
    (policy,) = [
        attributes["content"]
        for tag, attributes in read_page(text).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digests[0]}'",
        f"script-src 'sha256-{digests[1]}'",
        "img-src data:",
        "media-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "prefers-color-scheme: dark" in style
    assert not re.search(r"url\(|@import", style)
