"""The speech of an adaptation: new domain, home, test splits.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from speechbrain.dataio.dataio import read_audio
from torch import Tensor

from speechbrain_neuronprune.training.dataio import Rows


@dataclass(frozen=True)
class DomainSpeech:
    """What an adaptation reads; see ``dataio`` for rows.

    Arguments
    ---------
    target : dict
        The new domain: utterances of which no words are read.
    home : dict
        Labelled speech of the starting model's domain; may be empty.
    tests : dict of str to dict
        Labelled splits to measure on; none of them has any influence.
    read : callable
        Path to waveform.
    replayed : dict
        Labelled speech that is replayed besides home's, and that neurons are
        never ranked on: home speech that sounds like the new domain.
    """

    target: Rows
    home: Rows = field(default_factory=dict)
    tests: Mapping[str, Rows] = field(default_factory=dict)
    read: Callable[[str], Tensor] = read_audio
    replayed: Rows = field(default_factory=dict)

    def labelled(self) -> Rows:
        """All that can be replayed, by place and name.

        Returns
        -------
        dict
            Rows by ``home/name`` and ``replayed/name``.
        """
        places = {"home": self.home, "replayed": self.replayed}
        return {
            f"{place}/{name}": row
            for place, rows in places.items()
            for name, row in rows.items()
        }
