"""What the workers run: the first version of the counting code, and the faster one that replaces it."""

from collections import Counter

PUNCTUATION = str.maketrans("", "", ".,;!?")


def by_splitting(text: str) -> dict[str, int]:
    """Version 1: split at white space, strip the punctuation, count in a loop."""
    counts: dict[str, int] = {}
    for piece in text.lower().split():
        word = piece.strip(".,;!?")
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def by_translating(text: str) -> dict[str, int]:
    """Version 2: remove the punctuation in one go, and let a Counter count."""
    return Counter(text.lower().translate(PUNCTUATION).split())


VERSIONS = {1: by_splitting, 2: by_translating}
