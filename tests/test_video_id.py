"""Names of videos: one for each, the same in every file that carries it."""

import pytest

from phyt2v_cli.video_id import CONTROL, ControlId, RoundId, VideoId, parse_video_id


@pytest.mark.parametrize(
    ("id", "name", "label", "video", "record", "latents"),
    [
        (RoundId(1), "round1", "Round 1", "output1.mp4", "round1.json", "latents1.safetensors"),
        (
            RoundId(12, "b"),
            "round12.b",
            "Round 12, candidate b",
            "output12.b.mp4",
            "round12.b.json",
            "latents12.b.safetensors",
        ),
        (CONTROL, "control", "Control", "control.mp4", "control.json", "latents-control.safetensors"),
    ],
)
def test_every_name_of_a_video(
    id: VideoId, name: str, label: str, video: str, record: str, latents: str
) -> None:
    assert (id.name, id.label, id.video_name, id.record_name, id.latents_name) == (
        name,
        label,
        video,
        record,
        latents,
    )
    assert parse_video_id(name) == id


@pytest.mark.parametrize(
    "name",
    [
        "",
        "round",
        "round0",
        "round01",
        "round-1",
        "round1.a",
        "round1.bb",
        "round1.",
        "round99999",
        "../round1",
        "round1\n",
        "Control",
        "output1",
        "round\uff11",
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="names no video"):
        parse_video_id(name)


def test_ids_are_values() -> None:
    assert len({RoundId(1), RoundId(1), RoundId(1, "b"), CONTROL, ControlId()}) == 3
