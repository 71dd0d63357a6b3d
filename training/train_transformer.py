"""Train the video transformer and its text encoder in the autoencoder's latent space. One GPU, minutes.

    python -m training.train_transformer --vae checkpoints/vae --out checkpoints/tiny --seconds 430
    python -m training.train_transformer --vae checkpoints/vae --resume checkpoints/tiny --out … --seed 2

Clips are rendered and encoded once; captions are written twelve to a clip. The loss is the plain velocity
error, weighted up where a latent differs from the empty scene: objects are a few percent of the picture. What
is saved is the moving average of the weights, as a complete diffusers pipeline in fp16.
"""

import argparse
import json
import math
import random
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline
from diffusers.models.embeddings import get_3d_rotary_pos_embed

from phyt2v_cli.tiny import world
from training.captions import caption, draw_depth
from training.model import MAX_TEXT_TOKENS, make_scheduler, make_text_encoder, make_transformer
from training.renderer import render
from training.scenes import Scenes, sample_pool
from training.tokenizer import caption_words, make_tokenizer
from training.train_autoencoder import to_model

CAPTIONS_PER_CLIP = 12
EMPTY_SHARE = 0.1
OBJECT_WEIGHT = 3.0
EMA_DECAY = 0.9995


def write_captions(job: tuple[Scenes, int]) -> np.ndarray:
    """Write and tokenize the captions of a chunk of scenes: int16 (N, CAPTIONS_PER_CLIP, tokens)."""
    scenes, seed = job
    rng, tokenizer = random.Random(seed), make_tokenizer(caption_words())
    texts = [
        caption(scenes, i, draw_depth(scenes, i, rng), rng)
        for i in range(len(scenes))
        for _ in range(CAPTIONS_PER_CLIP)
    ]
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_TEXT_TOKENS)["input_ids"]
    return np.array(ids, dtype=np.int16).reshape(len(scenes), CAPTIONS_PER_CLIP, MAX_TEXT_TOKENS)


@torch.no_grad()
def encode_pool(vae: AutoencoderKLCogVideoX, scenes: Scenes, device: str) -> torch.Tensor:
    """Render and encode scenes: (N, 7, 8, 16, 16), scaled as the pipeline scales them, fp16."""
    parts = []
    for index in torch.arange(len(scenes)).split(128):
        clips = to_model(render(scenes.take(index.numpy()), device))
        with torch.autocast(device, dtype=torch.float16, enabled=device == "cuda"):
            latents = vae.encode(clips).latent_dist.mode()
        parts.append((latents.float() * vae.config.scaling_factor).permute(0, 2, 1, 3, 4).half())
    return torch.cat(parts)


def rotary(device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Position embeddings of the native size, as CogVideoXPipeline computes them."""
    side, frames = world.SIZE // 8, (world.NUM_FRAMES - 1) // 4 + 1
    return get_3d_rotary_pos_embed(
        64, ((0, 0), (side, side)), (side, side), frames, device=torch.device(device)
    )


def save_pipeline(pipeline: CogVideoXPipeline, out: Path) -> None:
    """Save in diffusers layout; the text encoder's config says float32, so that it loads like the rest."""
    pipeline.save_pretrained(out)
    path = out / "text_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "float32"}, indent=2) + "\n")


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="a saved pipeline to go on from")
    parser.add_argument("--seconds", type=float, default=430, help="training time; the rate follows it")
    parser.add_argument("--clips", type=int, default=64000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()

    begin = time.time()
    scenes = sample_pool(args.clips, args.seed + 100)
    tokenizer = make_tokenizer(caption_words())  # before the fork: the workers inherit the words
    chunks = np.array_split(np.arange(len(scenes)), args.workers * 2)
    with get_context("fork").Pool(args.workers) as pool:
        jobs = [(scenes.take(c), args.seed * 1000 + i) for i, c in enumerate(chunks)]
        captions = np.concatenate(pool.map(write_captions, jobs, chunksize=1))
    count = captions.shape[0] * captions.shape[1]
    print(f"{count} captions, {len(tokenizer)} tokens, {time.time() - begin:.0f} s", flush=True)

    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    device = args.device
    vae = AutoencoderKLCogVideoX.from_pretrained(args.vae).float().to(device).eval()
    latents = encode_pool(vae, scenes, device)
    texts = torch.from_numpy(captions).to(device)
    nothing = tokenizer("", padding="max_length", max_length=MAX_TEXT_TOKENS, return_tensors="pt")
    empty = nothing["input_ids"][0].to(device, torch.int16)
    background = latents[:2000].float().median(dim=0).values
    print(
        f"encoded {len(latents)} clips, std {latents[:2000].float().std():.3f}, {time.time() - begin:.0f} s",
        flush=True,
    )

    transformer, text_encoder = make_transformer().to(device), make_text_encoder(len(tokenizer)).to(device)
    if args.resume:
        saved = CogVideoXPipeline.from_pretrained(args.resume, dtype=torch.float32)
        transformer.load_state_dict(saved.transformer.state_dict())
        text_encoder.load_state_dict(saved.text_encoder.state_dict())
    parameters = [*transformer.parameters(), *text_encoder.parameters()]
    averages = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(
        parameters, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=device == "cuda"
    )
    scheduler = make_scheduler()
    alphas = scheduler.alphas_cumprod.float().to(device)
    positions = rotary(device)
    run = torch.compile(transformer) if device == "cuda" else transformer

    log, iteration, start = [], 0, time.time()
    while (elapsed := time.time() - start) < args.seconds:
        progress = elapsed / args.seconds
        rate = (
            args.rate
            * min(1, (iteration + 1) / 300)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        index = torch.randint(len(latents), (args.batch,), device=device)
        x0 = latents[index].float()
        ids = texts[index, torch.randint(CAPTIONS_PER_CLIP, (args.batch,), device=device)]
        ids = torch.where(torch.rand(args.batch, 1, device=device) < EMPTY_SHARE, empty, ids).long()
        timestep = torch.randint(1000, (args.batch,), device=device)
        noise = torch.randn_like(x0)
        signal = alphas[timestep].sqrt().view(-1, 1, 1, 1, 1)
        sigma = (1 - alphas[timestep]).sqrt().view(-1, 1, 1, 1, 1)
        noisy, velocity = signal * x0 + sigma * noise, signal * noise - sigma * x0
        weight = 1 + OBJECT_WEIGHT * ((x0 - background).abs().amax(dim=2, keepdim=True) > 0.4).float()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            states = text_encoder(ids)[0]
            predicted = run(noisy, states, timestep, image_rotary_emb=positions, return_dict=False)[0]
        loss = (weight * (predicted.float() - velocity).square()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        torch._foreach_lerp_(averages, parameters, 1 - min(EMA_DECAY, (1 + iteration) / (10 + iteration)))
        iteration += 1
        if iteration % 250 == 0 or iteration in (1, 20):
            entry = {
                "iteration": iteration,
                "seconds": time.time() - start,
                "loss": loss.item(),
                "rate": rate,
            }
            log.append(entry)
            print(" ".join(f"{k} {v:.4g}" for k, v in entry.items()), flush=True)

    with torch.no_grad():
        for parameter, average in zip(parameters, averages, strict=True):
            parameter.copy_(average)
    pipeline = CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder.half(),
        transformer=transformer.half(),
        vae=vae.half(),
        scheduler=scheduler,
    )
    save_pipeline(pipeline, args.out)
    (args.out / "log.json").write_text(
        json.dumps({"iterations": iteration, "batch": args.batch, "log": log}, indent=1)
    )


if __name__ == "__main__":
    main()
