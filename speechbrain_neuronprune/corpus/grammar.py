"""The language of the embedded corpus: commands over 40 words.

The words were chosen to sound unlike one another (no "two" beside "to"), so
that a recogniser's errors tell about the recogniser.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import numpy as np

MAX_WORDS = 8

# A symbol is written in capitals and stands for any one of its alternatives.
# What stands twice is drawn twice as often: most sentences shall be short, or
# a small recogniser takes long to find out where the words are.
RULES: dict[str, tuple[str, ...]] = {
    "SENTENCE": ("COMMAND", "COMMAND", "COMMAND TIME", "please COMMAND"),
    "COMMAND": (
        *("VERB THINGS", "VERB THINGS", "VERB THINGS"),
        *("VERB THINGS PLACE", "VERB THINGS and THINGS"),
    ),
    "THINGS": ("COUNT NOUN", "COUNT COLOUR NOUN"),
    "PLACE": ("RELATION the SITE",),
    "VERB": ("bring", "carry", "count", "find", "open", "paint"),
    "COUNT": ("the", "three", "four", "five", "six", "seven", "eight"),
    "COLOUR": ("black", "green", "orange", "purple", "red", "yellow"),
    "NOUN": ("baskets", "bottles", "candles", "drums", "ladders", "windows"),
    "RELATION": ("behind", "from", "near", "under"),
    "SITE": ("garden", "kitchen", "market", "river", "station", "tower"),
    "TIME": ("now", "today", "tomorrow"),
}


def vocabulary() -> list[str]:
    """Return every word of the language, sorted.

    Returns
    -------
    list
        The words, in lower case.

    Example
    -------
    >>> len(vocabulary())
    40
    """
    alternatives = " ".join(" ".join(rule) for rule in RULES.values())
    return sorted(set(alternatives.split()) - set(RULES))


def expand(symbol: str, rng: np.random.RandomState) -> list[str]:
    """Replace a symbol by words, drawing one alternative of every rule.

    Arguments
    ---------
    symbol : str
        A key of ``RULES``, or a word, which stands for itself.
    rng : np.random.RandomState
        Where the draws come from. (This generator, unlike newer ones, is
        frozen: every NumPy gives the same stream.)

    Returns
    -------
    list
        The words.

    Example
    -------
    >>> expand("PLACE", np.random.RandomState(1))
    ['from', 'the', 'river']
    """
    if symbol not in RULES:
        return [symbol]
    alternative = RULES[symbol][rng.randint(len(RULES[symbol]))]
    return [word for part in alternative.split() for word in expand(part, rng)]


def draw_sentences(count: int, rng: np.random.RandomState) -> list[str]:
    """Draw sentences of three to eight words, no two alike.

    Arguments
    ---------
    count : int
        How many. The language has some hundred thousand.
    rng : np.random.RandomState
        Where the draws come from.

    Returns
    -------
    list
        The sentences, in random order.

    Example
    -------
    >>> draw_sentences(1, np.random.RandomState(4))
    ['bring the orange bottles tomorrow']
    """
    drawn: dict[str, None] = {}  # a set that keeps its order
    while len(drawn) < count:
        words = expand("SENTENCE", rng)
        if len(words) <= MAX_WORDS:
            drawn[" ".join(words)] = None
    # The short ones run out first: without this, the last would be long.
    sentences = list(drawn)
    return [sentences[index] for index in rng.permutation(count)]
