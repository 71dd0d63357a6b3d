"""Draw scenes as pixels, on the CPU or a GPU, by signed distances with antialiased edges.

Knows where things are, not why they move.
"""

import numpy as np
import torch

from phyt2v_cli.tiny import world
from training.scenes import Scenes


def render(scenes: Scenes, device: str = "cpu", size: int = world.SIZE) -> torch.Tensor:
    """Return uint8 clips of shape (N, T, size, size, 3), RGB."""

    def on_device(array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32, device=device)

    axis = (torch.arange(size, device=device) + 0.5) / size
    y, x = axis[:, None], axis[None, :]
    pixel = 1 / size
    position, visible = on_device(scenes.position), on_device(scenes.visible)
    radius, pivot = on_device(scenes.radius), on_device(scenes.pivot)
    n, t = position.shape[:2]

    def rgb(values: object) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    floor = ((y - world.FLOOR_Y) / pixel + 0.5).clamp(0, 1)[..., None]
    sky = rgb(world.SKY_RGB) * (1.05 - 0.1 * y)[..., None]
    ground = rgb(world.FLOOR_RGB) * (0.96 + 0.25 * (y - world.FLOOR_Y))[..., None]
    picture = (sky * (1 - floor) + ground * floor).expand(size, size, 3)
    video = picture.expand(n, t, size, size, 3).clone()

    def paint(cover: torch.Tensor, color: torch.Tensor) -> None:
        video.lerp_(color.expand_as(video), cover[..., None])

    if not np.isnan(scenes.fixture).all():
        front = on_device(scenes.kind == world.KINDS.index("hide"))[:, None, None, None]
        fixture = torch.nan_to_num(_polygon(on_device(scenes.fixture), x, y, pixel))[:, None]
        paint(fixture * (1 - front), rgb(world.FIXTURE_RGB))
    palette = rgb([world.RGB[c] for c in world.COLORS])
    cube, balloon = (scenes.shape[:, 0] == world.SHAPES.index(s) for s in ("cube", "balloon"))
    for i in range(2):
        cx, cy = (position[:, :, i, j, None, None] for j in range(2))
        r = radius[:, i, None, None, None]
        seen = visible[:, :, i, None, None] * (r > 0)
        # a soft shadow on the floor, fainter the higher the object
        height = (world.FLOOR_Y - r - cy).clamp(min=0)
        shadow = torch.exp(-(((x - cx) / (0.9 * r + 1e-6)) ** 2) - ((y - world.FLOOR_Y - 0.03) / 0.022) ** 2)
        paint(shadow * floor[..., 0] * seen * 0.28 * torch.exp(-height / 0.3), rgb([70.0, 66.0, 62.0]))
    if not np.isnan(scenes.pivot).all():
        px, py = pivot[:, 0, None, None, None], pivot[:, 1, None, None, None]
        cx, cy = position[:, :, 0, 0, None, None], position[:, :, 0, 1, None, None]
        dx, dy = cx - px, cy - py
        along = (((x - px) * dx + (y - py) * dy) / (dx**2 + dy**2)).clamp(0, 1)
        distance = ((x - px - along * dx) ** 2 + (y - py - along * dy) ** 2).sqrt()
        string = (1.1 - distance / pixel).clamp(0, 1) * 0.9
        paint(torch.nan_to_num(string), rgb(world.STRING_RGB))
    for i in range(2):
        cx, cy = (position[:, :, i, j, None, None] for j in range(2))
        r = radius[:, i, None, None, None]
        seen = visible[:, :, i, None, None] * (r > 0)
        dx, dy = (x - cx) / (r + 1e-6), (y - cy) / (r + 1e-6)
        disc = (dx**2 + dy**2).sqrt() - 1
        turned_x, turned_y = dx, dy
        if scenes.angle.any():
            cos, sin = (on_device(f(scenes.angle[..., i]))[:, :, None, None] for f in (np.cos, np.sin))
            turned_x, turned_y = dx * cos + dy * sin, dy * cos - dx * sin
        square = torch.maximum(turned_x.abs(), turned_y.abs()) - 1
        egg = ((dx / 0.86) ** 2 + (dy / 1.14) ** 2).sqrt() - 1
        kind = torch.as_tensor(np.select([cube, balloon], [1, 2], 0), device=device)[:, None, None, None]
        inside = torch.where(kind == 1, square, torch.where(kind == 2, egg, disc))
        if balloon.any():
            tail = (1 - (dx.abs() * r) / pixel).clamp(0, 1) * ((dy > 1.1) & (dy < 1.75)) * (kind == 2)
            paint(tail * seen * 0.8, rgb(world.STRING_RGB))
        shade = 1 - 0.16 * (dx + dy).clamp(-1.4, 1.4) / 1.4
        color = palette[torch.as_tensor(scenes.color[:, i], device=device)][:, None, None, None]
        body = (color * shade[..., None] + 12 * (shade[..., None] - 0.92)).clamp(0, 255)
        cover = (0.5 - inside * r / pixel).clamp(0, 1) * seen
        video.lerp_(body, cover[..., None])
    if not np.isnan(scenes.fixture).all():
        paint(fixture * front, rgb(world.FIXTURE_RGB))
    return video.round().clamp(0, 255).to(torch.uint8)


def _polygon(corners: torch.Tensor, x: torch.Tensor, y: torch.Tensor, pixel: float) -> torch.Tensor:
    """Cover (N, size, size) of convex polygons with `corners` (N, k, 2), in either sense of rotation.

    NaN corners give a NaN cover.
    """
    sides = corners.roll(-1, dims=1) - corners
    area = (corners[..., 0] * sides[..., 1] - corners[..., 1] * sides[..., 0]).sum(dim=1)
    outward = torch.stack([sides[..., 1], -sides[..., 0]], dim=2) * area.sign()[:, None, None]
    length = outward.norm(dim=2)
    outward = outward / length.clamp(min=1e-6)[..., None]
    reach = (outward * corners).sum(dim=2)
    beyond = outward[..., 0, None, None] * x + outward[..., 1, None, None] * y - reach[..., None, None]
    # a repeated corner has no side; without corners all of it stays NaN
    beyond = torch.where((length <= 1e-6)[..., None, None], -torch.inf, beyond)
    return (0.5 - beyond.amax(dim=1) / pixel).clamp(0, 1)
