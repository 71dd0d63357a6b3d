"""How the video model runs, in one line."""

from collections.abc import Mapping


def how_it_runs(settings: Mapping[str, str]) -> str:
    """Settings of a generator in words, such as `NVIDIA H100, bfloat16, offload none (it fits), compile`."""
    device, gpus = settings.get("device_name") or settings.get("device", ""), settings.get("gpus")
    parts = [f"{gpus} GPUs, {device}" if gpus else device, settings.get("dtype", "")]
    if settings.get("device") == "cuda":
        parts.append(f"offload {settings.get('offload')} ({settings.get('offload_reason')})")
        parts += [name for name in ("compile", "tiled_decode") if settings.get(name) == "on"]
        if "decode_offload" in settings:
            parts.append(f"decoding with offload {settings['decode_offload']}")
    if "attention_difference" in settings or "attention_reason" in settings:
        reason = settings.get("attention_reason")
        parts.append(f"attention {settings.get('attention')}" + (f" ({reason})" if reason else ""))
    parts.append(settings.get("weights", ""))
    return ", ".join(part.replace("_", " ") for part in parts if part)
