"""Attacks on a defended service (lab 3, exercise 6): good ones, and ones that bring little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from trickster import adaptive_attacks, attacks, defenses
from trickster.checks import fixtures

Functions = tuple[Callable[..., Any], ...]
Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]


def attack(
    choose: Choose, undo: bool = False, ask_first: bool = True
) -> Callable[[int], Functions]:
    """Lab 3, exercise 6: what of shapes and real pictures is asked about, and what is believed.

    ``undo``: lies are found and reversed; without ``ask_first`` the shipped victim is believed.
    """

    def make(number: int) -> Functions:
        def spend(x_shapes, real, ask):
            x = choose(x_shapes, real)
            answers = ask(x) if ask_first else fixtures.victim().posteriors(x)
            told = attacks.TrainingSet(x, answers)
            return x, adaptive_attacks.unlied(
                told, [defenses.misinform]
            ).answers if undo else answers

        return (spend,)

    return make


def changed(pixels: float, light: float) -> Choose:
    """The real pictures and 2,900 more: moved by up to so many pixels, with clouds on them."""

    def choose(x_shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
        rng, x = np.random.default_rng(0), np.tile(real, (29, 1, 1, 1))
        steps = rng.uniform(-pixels, pixels, (len(x), 2))
        x = np.stack([ndimage.shift(p, (0, *s), order=1) for p, s in zip(x, steps, strict=True)])
        clouds = ndimage.gaussian_filter(rng.normal(size=x.shape), (0, 0, 1.5, 1.5))
        x = np.clip(x + light * clouds / clouds.std(), 0, 1)
        return np.concatenate([real, x]).astype(np.float32)

    return choose


def with_mirror_images(x_shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.concatenate([real, real[..., ::-1]])


def mirrored(x_shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The real pictures and their mirror images, all moved by a pixel in every direction."""
    return nine_rolls(x_shapes, with_mirror_images(x_shapes, real))


def nine_rolls(x_shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The real pictures, where they are and moved by a pixel in each of eight directions."""
    steps = (-1, 0, 1)
    return np.concatenate([np.roll(real, (i, j), (2, 3)) for i in steps for j in steps])


def with_shapes(x_shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.concatenate([x_shapes[:2_900], real])


def with_clothes_of_others(x_shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.concatenate([real, 0.9 * fixtures.fashion().x_train[:2_900]])
