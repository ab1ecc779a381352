"""Rooms: speech as a distant microphone hears it.

The impulse responses of shoebox rooms are simulated by the image source
method, with the library pyroomacoustics.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve

from speechbrain_neuronprune.corpus.audio import level
from speechbrain_neuronprune.corpus.extras import require_extra
from speechbrain_neuronprune.randomness import random_for

ROOMS = 16
# From a furnished office to a bare classroom, in seconds. (The reverberation
# that Mitra and Franco adapt to, REVERB 2014, has 0.1 to 0.8.)
SHORTEST_RT60, LONGEST_RT60 = 0.2, 0.8
SMALLEST, LARGEST = (4.0, 3.5, 2.5), (8.0, 7.0, 3.5)  # metres
NEAREST, FARTHEST = 0.5, 3.0  # metres from the mouth to the microphone
MARGIN = 0.5  # metres from the walls
LOWEST, HIGHEST = 1.0, 1.8  # metres above the floor
MOST_ABSORBED = 0.99  # by the walls, of the energy


class Room(NamedTuple):
    """A shoebox, and who stands where in it.

    Arguments
    ---------
    size : np.ndarray
        Length, width and height in metres.
    rt60 : float
        The time in seconds in which sound decays by 60 dB.
    mouth : np.ndarray
        Where the speaker is, three coordinates in metres.
    microphone : np.ndarray
        Where the microphone is.
    """

    size: np.ndarray
    rt60: float
    mouth: np.ndarray
    microphone: np.ndarray


class Response(NamedTuple):
    """An impulse response, and the sample at which the direct sound comes."""

    samples: np.ndarray
    direct: int


def draw_rooms(seed: int = 0, count: int = ROOMS) -> list[Room]:
    """Draw rooms whose reverberation times cover 0.2 to 0.8 s evenly.

    Arguments
    ---------
    seed : int
        Another seed gives other rooms.
    count : int
        How many.

    Returns
    -------
    list
        The rooms, from short to long reverberation.

    Example
    -------
    >>> [round(room.rt60, 1) for room in draw_rooms(count=3)]
    [0.2, 0.5, 0.8]
    """
    rng = random_for(seed, "rooms")
    times = np.linspace(SHORTEST_RT60, LONGEST_RT60, count)
    rooms = []
    for rt60 in times:
        size = rng.uniform(SMALLEST, LARGEST)
        rooms.append(Room(size, float(rt60), *_places(size, rng)))
    return rooms


def _places(
    size: np.ndarray, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Two places in a room, neither too near nor too far from each other."""
    low = np.array([MARGIN, MARGIN, LOWEST])
    high = np.array([*(size[:2] - MARGIN), HIGHEST])
    while True:
        mouth, microphone = rng.uniform(low, high, size=(2, 3))
        if NEAREST <= np.linalg.norm(mouth - microphone) <= FARTHEST:
            return mouth, microphone


def simulate(room: Room, rate: int) -> Response:
    """Simulate how a room answers a click.

    The walls absorb what Sabine's formula says, corrected once: in the bare
    and flat rooms among ours the first answer decays up to half slower.

    Arguments
    ---------
    room : Room
        The room.
    rate : int
        The sampling rate in hertz.

    Returns
    -------
    Response
        The impulse response.

    Raises
    ------
    DataError
        If pyroomacoustics is not installed.
    """
    require_pyroomacoustics()
    from pyroomacoustics import inverse_sabine
    from pyroomacoustics.experimental import measure_rt60

    absorption, order = inverse_sabine(room.rt60, room.size)
    first = _click(room, rate, absorption, order)
    decay = measure_rt60(first.samples, rate, decay_db=30)
    absorption = min(absorption * decay / room.rt60, MOST_ABSORBED)
    return _click(room, rate, absorption, order)


def _click(room: Room, rate: int, absorption: float, order: int) -> Response:
    """The answer of a room whose walls absorb this share of the energy; of
    the echoes, those with up to ``order`` reflections."""
    import pyroomacoustics as pra

    walls = pra.Material(absorption)
    shoebox = pra.ShoeBox(room.size, rate, materials=walls, max_order=order)
    shoebox.add_source(room.mouth)
    shoebox.add_microphone(room.microphone)
    with _one_thread(pra.constants):
        shoebox.compute_rir()
    # Not the largest peak: two reflections that meet can be louder.
    distance = float(np.linalg.norm(room.mouth - room.microphone))
    delay = pra.constants.get("frac_delay_length") // 2
    direct = round(distance / shoebox.c * rate) + delay
    return Response(shoebox.rir[0][0], direct)


def require_pyroomacoustics() -> None:
    """Say what to install if the library of the rooms is missing.

    Raises
    ------
    DataError
        If it is.
    """
    require_extra("pyroomacoustics", "The condition room is simulated")


@contextlib.contextmanager
def _one_thread(constants) -> Iterator[None]:
    """Each thread adds up a part: their number would change the rounding."""
    threads = constants.get("num_threads")
    constants.set("num_threads", 1)
    try:
        yield
    finally:
        constants.set("num_threads", threads)


@lru_cache(maxsize=4 * ROOMS)  # some sampling rates
def pooled_response(number: int, rate: int, seed: int = 0) -> Response:
    """The impulse response of one of the pool's rooms, simulated once.

    Arguments
    ---------
    number : int
        Which room, from 0.
    rate : int
        The sampling rate in hertz.
    seed : int
        Which pool.

    Returns
    -------
    Response
        The impulse response.
    """
    return simulate(draw_rooms(seed)[number], rate)


def reverberate(speech: np.ndarray, response: Response) -> np.ndarray:
    """Put speech into a room.

    It neither moves, for the direct sound stays where it was, nor becomes
    longer or louder.

    Arguments
    ---------
    speech : np.ndarray
        Samples.
    response : Response
        The room's answer to a click, at the same sampling rate.

    Returns
    -------
    np.ndarray
        As many samples, of the same level.

    Example
    -------
    >>> click = np.array([0.0, 1.0, 0.0, 0.0])
    >>> echo = Response(np.array([0.0, 1.0, 0.75]), direct=1)
    >>> reverberate(click, echo).round(3)
    array([0. , 0.8, 0.6, 0. ])
    """
    heard = fftconvolve(speech, response.samples)
    heard = heard[response.direct : response.direct + len(speech)]
    return heard * (level(speech) / level(heard))
