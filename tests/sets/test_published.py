"""Files shaped like the published sets, read as docs/prompt-sets.md says."""

from pathlib import Path

from phyt2v_cli.sets.prompt_set import PromptEntry, read_prompt_set
from phyt2v_cli.sets.selection import Selection

SETS = Path(__file__).parents[1] / "data" / "sets"


def read(name: str, **options: object) -> tuple[PromptEntry, ...]:
    read_set = read_prompt_set(str(SETS / name), Selection.parse(**options))  # type: ignore[arg-type]
    assert read_set.faults == ()
    return read_set.entries


def test_videophy() -> None:
    assert len(read("videophy_test_public.csv")) == 4
    entries = read("videophy_test_public.csv", dedupe=True)
    assert [entry.prompt for entry in entries] == [
        "A marble rolls off a shelf.",
        "Milk, poured slowly, fills a glass.",
    ]
    assert [(entry.row, entry.line) for entry in entries] == [(0, 2), (2, 4)]
    assert entries[1].columns == {
        "video_url": "https://example.org/a/2.mp4",
        "sa": "0",
        "pc": "0",
        "states_of_matter": "solid_fluid",
        "complexity": "1",
        "source": "model_a",
    }


def test_videophy2_and_its_hard_subset() -> None:
    assert len(read("videophy2_test.csv", dedupe=True)) == 3
    hard = read("videophy2_test.csv", where=["is_hard=1"], dedupe=True)
    assert [entry.row for entry in hard] == [0, 4]
    both = read("videophy2_test.csv", where=["IS_HARD=1", "model_name = model_b"])
    assert [entry.row for entry in both] == [1, 4]


def test_phygenbench() -> None:
    entries = read("phygenbench_prompts.json")
    assert [(entry.row, entry.line) for entry in entries] == [(0, 2), (1, 8), (2, 14)]
    assert entries[0].columns == {
        "physical_laws": "Buoyancy",
        "sub_category": "Force",
        "main_category": "Mechanics",
    }
    assert [entry.row for entry in read("phygenbench_prompts.json", where=["main_category=Optics"])] == [1]


def test_vbench2_by_dimension_and_with_its_seeds() -> None:
    material = read("VBench2_full_info.json", where=["dimension=Material"], seeds="0,1,2")
    assert [(entry.prompt, entry.seed) for entry in material] == [
        ("A wooden ball is let go above a pond.", seed) for seed in (0, 1, 2)
    ]
    assert len({entry.folder for entry in material}) == 3
    assert material[0].columns["dimension"] == '["Mechanics", "Material"]'
    assert read("VBench2_full_info.json")[2].columns == {"dimension": '["Human_Identity"]'}


def test_physics_iq() -> None:
    entries = read("descriptions.csv")
    assert len({entry.folder for entry in entries}) == 4, "equal descriptions are told apart by their names"
    assert entries[0].id == "0001_perspective-left_trimmed-ball-ramp.mp4"
    assert entries[0].folder.startswith("0001-perspective-left-trimmed-ball-ramp-")
    assert entries[0].columns["generated_video_name"] == entries[0].id
    assert len(read("descriptions.csv", dedupe=True)) == 2


def test_phyground_with_its_first_frames() -> None:
    egg, cork = read("phyground.json", image_column="first_image")
    assert (egg.id, egg.image) == ("gravity_drop_01", SETS / "first_images" / "gravity_drop_01.png")
    assert cork.columns["id_stem"] == "float_02"
    assert cork.columns["physical_laws"] == '["buoyancy"]'
    assert [entry.id for entry in read("phyground.json", where=["physical_laws=gravity"])] == [egg.id]
    without = read("phyground.json")
    assert without[0].image is None
    assert without[0].folder != egg.folder, "a picture is part of what is rendered"


def test_worldmodelbench_joins_the_scene_and_what_happens() -> None:
    arm, lake = read("worldmodelbench.json", image_column="first_frame")
    assert lake.prompt == "A calm lake at dawn. A stone falls in and rings spread."
    assert arm.image == SETS / "images" / "robot_0001.jpg"
    assert set(arm.columns) == {"domain", "subdomain", "first_frame"}
    alone = read("worldmodelbench.json", prompt_column="text_instruction")
    assert alone[1].prompt == "A stone falls in and rings spread."
    assert alone[1].columns["text_first_frame"] == "A calm lake at dawn."
