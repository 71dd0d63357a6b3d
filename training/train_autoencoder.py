"""Train the video autoencoder on clips rendered on the fly. One GPU, a few minutes.

    python -m training.train_autoencoder --out checkpoints/vae --seconds 420

The loss is L1 + 0.5 L2 with object and moving pixels weighted up (they are a few percent of the picture), and
a small KL term. Fast motion is the hard part: 4 frames share one latent frame.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional

from phyt2v_cli.tiny import world
from training.model import make_autoencoder
from training.renderer import render
from training.scenes import sample_pool

KL_WEIGHT = 1e-4
MOTION_WEIGHT = 5.0


def render_pool(
    num_clips: int, seed: int, device: str, kinds: Sequence[world.Kind] = world.KINDS
) -> torch.Tensor:
    """Render a pool of clips once, as uint8 (N, T, H, W, 3) on the device."""
    scenes = sample_pool(num_clips, seed, kinds=kinds)
    chunks = [
        render(scenes.take(torch.arange(i, min(i + 128, len(scenes))).numpy()), device)
        for i in range(0, len(scenes), 128)
    ]
    return torch.cat(chunks)


def to_model(clips: torch.Tensor) -> torch.Tensor:
    """uint8 (N, T, H, W, 3) to float (N, 3, T, H, W) in -1..1."""
    return clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


@torch.no_grad()
def psnr(vae: torch.nn.Module, clips: torch.Tensor) -> float:
    """Mean over clips of the peak signal-to-noise ratio in dB, through uint8, by the posterior's mode."""
    values = []
    for part in clips.split(25):
        x = to_model(part)
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample
        levels = ((y.clamp(-1, 1) + 1) * 127.5).round() - (x + 1) * 127.5
        values.append(10 * torch.log10(255**2 / levels.square().mean(dim=(1, 2, 3, 4))))
    return torch.cat(values).mean().item()


def main() -> None:
    """Train, measure on fresh clips, save in diffusers layout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=420, help="training time; the rate follows it")
    parser.add_argument("--clips", type=int, default=24000)
    parser.add_argument("--fresh", type=int, default=200, help="held-out clips for the PSNR")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True

    begin = time.time()
    pool = render_pool(args.clips, args.seed, args.device)
    fresh = render_pool(args.fresh, args.seed + 1_000_000, args.device)
    print(f"rendered {len(pool)} clips in {time.time() - begin:.0f} s", flush=True)
    background = pool[:2000].float().median(dim=0).values.median(dim=0).values  # (H, W, 3)

    vae = make_autoencoder().to(args.device)
    optimizer = torch.optim.AdamW(
        vae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4, fused=args.device == "cuda"
    )
    log, iteration, start = [], 0, time.time()
    while (elapsed := time.time() - start) < args.seconds:
        progress = elapsed / args.seconds
        rate = (
            1.5e-3 * min(1, (iteration + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        clips = pool[torch.randint(len(pool), (args.batch,), device=args.device)]
        x = to_model(clips)
        objects = ((clips.float() - background).abs().amax(dim=-1) > 12).float()[:, None]
        near = functional.max_pool3d(objects, 3, stride=1, padding=1)
        weight = 1 + MOTION_WEIGHT * near
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.device == "cuda"):
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample.float()
        error = y - x
        reconstruction = (weight * (error.abs() + 0.5 * error.square())).mean()
        kl = (
            0.5
            * (posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        )
        loss = reconstruction + KL_WEIGHT * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        iteration += 1
        if iteration % 100 == 0 or iteration == 20:
            entry = {
                "iteration": iteration,
                "seconds": time.time() - start,
                "reconstruction": reconstruction.item(),
                "kl": kl.item(),
            }
            log.append(entry)
            print(" ".join(f"{k} {v:.4g}" for k, v in entry.items()), flush=True)

    vae.eval()
    with torch.no_grad():
        latents = torch.cat(
            [vae.encode(to_model(c)).latent_dist.mode() for c in pool[: 5 * args.fresh].split(50)]
        )
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
    result = {
        "iterations": iteration,
        "psnr_db": psnr(vae, fresh),
        "scaling_factor": vae.config.scaling_factor,
        "latent_std": [round(s, 3) for s in latents.std(dim=(0, 2, 3, 4)).tolist()],
        "latent_mean": [round(s, 3) for s in latents.mean(dim=(0, 2, 3, 4)).tolist()],
    }
    half = make_autoencoder().to(args.device).eval()
    half.load_state_dict({k: v.half().float() for k, v in vae.state_dict().items()})
    result["psnr_db_fp16_weights"] = psnr(half, fresh)
    args.out.mkdir(parents=True, exist_ok=True)
    vae.half().save_pretrained(args.out)
    (args.out / "log.json").write_text(
        json.dumps({"result": result, "log": log, "size": world.SIZE}, indent=1)
    )
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
