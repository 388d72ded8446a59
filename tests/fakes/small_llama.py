"""A Llama that is trained in seconds, and the sentences it reads."""

import random

from recryst.state.params.final_model import TrainParams

TINY = TrainParams(
    vocab_size=400, hidden_size=64, layers=2, heads=2, context=32, batch_size=8, tokens=8_000, learning_rate=5e-3
)
PEOPLE = ("chemist", "baker")


def rows(count: int, seed: int, subjects: tuple[str, ...] = PEOPLE) -> list[str]:
    """Who does what to which place."""
    rng = random.Random(seed)
    verbs, nouns = ["cleans", "leaves", "paints", "sells"], ["kitchen", "harbour", "field", "laboratory"]
    return [f"The {rng.choice(subjects)} {rng.choice(verbs)} the {rng.choice(nouns)}." for _ in range(count)]
