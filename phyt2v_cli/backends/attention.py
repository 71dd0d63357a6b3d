"""Which exact attention kernel a denoiser's attention runs on: torch's own choice, by name.

torch chooses by an order of its own among the kernels that the device, the dtype and the size allow; on one
H200 its choice was the fastest (benchmarks/gpu_refine.py --parts attention). This file knows shapes; it must
not know prompts, rounds or memory.
"""

from typing import Any

import torch
from torch.nn.attention import SDPBackend


def kernel_name(pipeline: Any, *, num_tokens: int, device: torch.device) -> str | None:
    """Return the kernel for `num_tokens` that attend to each other, without a mask.

    None where the denoiser does not say how wide a head is.
    """
    denoiser: Any = getattr(pipeline, "transformer", None)
    width = denoiser.config.get("attention_head_dim") if denoiser is not None else None
    if not isinstance(width, int):
        return None
    # the choice depends on no value, and on the number of heads and samples only where that is enormous
    tensor = torch.empty(1, 1, num_tokens, width, dtype=denoiser.dtype, device=device)
    with torch.inference_mode():
        chosen = torch._fused_sdp_choice(tensor, tensor, tensor)
    return SDPBackend(chosen).name.removesuffix("_ATTENTION").lower()
