"""The text: made from word lists, the same on every machine and in every run."""

import random
import re
from collections import Counter
from itertools import accumulate, islice
from pathlib import Path

STEMS = (
    "ant actor anchor arrow barley basket beacon boat bridge bronze candle canvas carry cedar circle cloud "
    "colony copper corner cradle dawn drift ember engine evening farmer feather field forest garden gather "
    "glass grain granite hammer harbour harvest hollow island journey kindle kitchen ladder lantern letter "
    "light market meadow message mirror morning mountain narrow needle number ocean orchard paper pebble "
    "planet pocket quarry quiet rain reason river road saddle season shadow shelter signal silver single "
    "soldier spring station stone stream summer table thread timber tower travel valley vessel village "
    "walnut water weather wheel window winter wonder yellow"
).split()
ENDINGS = ("", "s", "ed", "ing", "er", "ers", "ful", "less", "ward", "like", "'s", "some", "fold", "wise")
SMALL = "the of and a to in is it that was for on as with by at from but not or an be this their its they".split()

WORD = re.compile(r"[a-z']+")
CHUNK_BYTES = 16 * 1024


def write(path: Path, megabytes: float, seed: int = 2026) -> None:
    """Write a text of about `megabytes` MB, one paragraph a line."""
    sentences = _sentences(random.Random(seed))
    written, wanted = 0, int(megabytes * 1_000_000)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < wanted:
            written += file.write(" ".join(islice(sentences, 6)) + "\n")


def chunks(path: Path) -> list[bytes]:
    """The text in pieces of about 16 KiB that end at the end of a line."""
    with path.open("rb") as file:
        return list(iter(lambda: b"".join(file.readlines(CHUNK_BYTES)), b""))


def direct_count(path: Path) -> Counter[str]:
    """The words of the whole text, counted in one go: what the cluster must arrive at."""
    return Counter(WORD.findall(path.read_text(encoding="utf-8").lower()))


def _sentences(dice: random.Random):
    words = SMALL + [stem + ending for ending in ENDINGS for stem in STEMS]
    # Word frequencies as in natural text: the n-th most common word comes up 1/n as often.
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    while True:
        picked = iter(dice.choices(words, cum_weights=weights, k=5_000))
        while sentence := list(islice(picked, dice.randint(6, 18))):
            middle = len(sentence) // 2
            sentence[middle] += dice.choice(("", ",", ",", ";"))
            yield " ".join(sentence).capitalize() + dice.choice(".....!?")
