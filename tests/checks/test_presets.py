from pathlib import Path

import huggingface_hub.constants
import pytest

from phyt2v_cli.checks.machine import Gpu
from phyt2v_cli.checks.presets import PresetReport, fit_check, preset_check, survey


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def reports(gpu: Gpu | None) -> dict[str, PresetReport]:
    return {report.name: report for report in survey(gpu)}


def test_without_a_gpu_only_the_embedded_model_runs() -> None:
    found = reports(None)
    assert (found["tiny"].is_present, found["tiny"].fit) == (True, "resident")
    assert {report.fit for name, report in found.items() if name != "tiny"} == {"no"}
    assert fit_check(list(found.values()), None).detail == "tiny, on the CPU; every other preset wants a GPU"
    check = preset_check(found["cogvideox-5b"], None)
    assert check.state == "missing"
    assert check.detail == (
        "weights not here (about 21 GB); needs a GPU; a refine (174 steps): not measured here "
        "(4m 35s of rendering on one H200)"
    )
    assert check.todo == "fetch its weights"


def test_a_gpu_takes_what_fits_into_its_free_memory() -> None:
    large, small = Gpu("H200", 139.0, 150.0), Gpu("RTX", 16.0, 24.0)
    assert reports(large)["cogvideox-5b"].fit == "resident"
    found = reports(small)
    assert found["cogvideox-5b"].fit == found["cogvideox-2b"].fit == "offloading"
    detail = fit_check(list(found.values()), small).detail
    assert detail.startswith("tiny; with offloading, slower: ")
    assert "cogvideox-2b, cogvideox-5b" in detail
    assert preset_check(found["tiny"], small).detail.startswith("weights here; fits the GPU; ")


def test_a_size_that_is_not_published_is_no_reason_to_refuse() -> None:
    gpu = Gpu("H200", 139.0, 150.0)
    report = reports(gpu)["sana-video"]
    assert (report.fit, report.download_gb) == (None, None)
    assert preset_check(report, gpu).detail.startswith("weights not here (size unknown); of unknown size; ")


def test_a_measured_time_is_told() -> None:
    report = PresetReport("tiny", "tiny", True, None, "resident", 174, 52.2)
    assert preset_check(report, None).detail.endswith("a refine (174 steps): 52.2 s of rendering")
