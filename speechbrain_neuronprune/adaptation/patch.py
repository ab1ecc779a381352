"""Domain patches: the new values of chosen neurons, without the model.

A patch is small. Several of them, one per domain, lie beside one model and
are switched in place.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from speechbrain_neuronprune.adaptation.running import refuse_adapted
from speechbrain_neuronprune.errors import PatchError
from speechbrain_neuronprune.files import PathLike, atomic_path
from speechbrain_neuronprune.fingerprint import digest, fingerprint

FORMAT = "speechbrain-neuronprune patch"
VERSION = 1


@dataclass(frozen=True, eq=False)
class PatchEntry:
    """Values for some rows or columns of one parameter.

    Arguments
    ---------
    parameter : str
        Its name in the model.
    dim : int
        0 for rows, 1 for columns.
    index : torch.Tensor
        Long (positions,): which ones.
    values : torch.Tensor
        The parameter's shape, but ``positions`` long along ``dim``.
    """

    parameter: str
    dim: int
    index: Tensor
    values: Tensor

    def fits(self, model: nn.Module) -> bool:
        """Whether the model has these places, and values for all are here.

        Arguments
        ---------
        model : nn.Module
            Any model.

        Returns
        -------
        bool
            True if the values can be put there.
        """
        parameter = dict(model.named_parameters()).get(self.parameter)
        if parameter is None or self.dim not in range(parameter.ndim):
            return False
        shape = list(parameter.shape)
        inside = (self.index >= 0) & (self.index < shape[self.dim])
        shape[self.dim] = len(self.index)
        return bool(inside.all()) and list(self.values.shape) == shape

    @torch.no_grad()
    def put(self, model: nn.Module) -> None:
        """Write the values into the model's parameter, in place.

        Arguments
        ---------
        model : nn.Module
            One that the entry fits, changed in place.
        """
        parameter = model.get_parameter(self.parameter)
        index = self.index.to(parameter.device)
        values = self.values.to(parameter)  # device and dtype
        parameter.index_copy_(self.dim, index, values)

    @torch.no_grad()
    def taken_from(self, model: nn.Module) -> "PatchEntry":
        """An entry with what the model has in these places.

        Arguments
        ---------
        model : nn.Module
            One that the entry fits.

        Returns
        -------
        PatchEntry
            Of the same places, on the model's device.
        """
        parameter = model.get_parameter(self.parameter)
        index = self.index.to(parameter.device)
        values = parameter.index_select(self.dim, index)
        return PatchEntry(self.parameter, self.dim, index, values)


class DomainPatch:
    """What a selective update has made of the chosen neurons.

    Arguments
    ---------
    fingerprint : str
        Of the model that the values are for, see ``fingerprint``.
    entries : iterable of PatchEntry
        The values. Rows and columns of one parameter may cross; the entries
        then agree on what lies in both.

    Example
    -------
    >>> entry = PatchEntry("bias", 0, torch.tensor([1]), torch.tensor([0.5]))
    >>> patch = DomainPatch("0123", [entry])
    >>> path = getfixture("tmp_path") / "reverb.safetensors"
    >>> patch.save(path)
    >>> DomainPatch.load(path).parameters
    1
    """

    def __init__(self, fingerprint: str, entries: Iterable[PatchEntry]) -> None:
        self.fingerprint = fingerprint
        self.entries = tuple(entries)

    @property
    def parameters(self) -> int:
        """How many scalars of the model the patch sets."""
        total = 0
        chosen: dict[str, int] = {}
        for entry in self.entries:
            # Rows and columns of one parameter have their crossings twice.
            crossing = chosen.get(entry.parameter, 0) * len(entry.index)
            total += entry.values.numel() - crossing
            chosen[entry.parameter] = len(entry.index)
        return total

    def __repr__(self) -> str:
        return (
            f"DomainPatch({self.parameters} parameters of model "
            f"{self.fingerprint[:12]})"
        )

    # ------------------------------------------------------------ files

    def save(self, path: PathLike) -> None:
        """Write the patch as a safetensors file, atomically.

        Arguments
        ---------
        path : path-like
            Where.
        """
        tensors = dict(_tensors(self.entries))
        content = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "entries": [[one.parameter, one.dim] for one in self.entries],
        }
        content["sha256"] = _checksum(content, tensors)
        # safetensors writes several metadata in an order of chance.
        metadata = {"patch": json.dumps(content)}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata)

    @classmethod
    def load(cls, path: PathLike) -> "DomainPatch":
        """Read a patch that ``save`` has written.

        Arguments
        ---------
        path : path-like
            The file.

        Returns
        -------
        DomainPatch
            The patch, on the CPU.

        Raises
        ------
        PatchError
            If the file is missing, truncated, altered, no patch, or of a
            newer format.
        """
        content, tensors = _read(Path(path))
        if content.get("sha256") != _checksum(content, tensors):
            raise PatchError(
                f"The patch {path} was altered or damaged after it was "
                "written (its checksum differs); copy it again or repeat the "
                "adaptation."
            )
        entries = [
            PatchEntry(
                parameter,
                dim,
                tensors[f"{number}.index"].long(),
                tensors[f"{number}.values"],
            )
            for number, (parameter, dim) in enumerate(content["entries"])
        ]
        return cls(content["fingerprint"], entries)


def _tensors(entries: Iterable[PatchEntry]) -> Iterator[tuple[str, Tensor]]:
    for number, entry in enumerate(entries):
        yield f"{number}.index", entry.index.cpu().int()
        yield f"{number}.values", entry.values.cpu().contiguous()


def _checksum(content: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    rest = {key: content[key] for key in content if key != "sha256"}
    text = json.dumps(rest, sort_keys=True)
    return digest([(text, torch.zeros(0)), *sorted(tensors.items())])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            content = _content(path, file.metadata() or {})
            return content, {key: file.get_tensor(key) for key in file.keys()}
    except OSError as error:
        raise PatchError(
            f"The patch {path} cannot be read ({error.strerror or error}); "
            "give the path of a file that DomainPatch.save has written."
        ) from error
    except safetensors.SafetensorError as error:
        raise PatchError(
            f"The file {path} is truncated or no safetensors file ({error}); "
            "copy the patch again or repeat the adaptation."
        ) from error


def _content(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """What a patch says of itself."""
    try:
        content = json.loads(metadata.get("patch", "{}"))
    except ValueError:
        content = {}
    if not isinstance(content, dict):
        content = {}
    if content.get("format") != FORMAT:
        raise PatchError(
            f"The file {path} is no domain patch; give the path of a file "
            "that DomainPatch.save has written."
        )
    if content.get("version") != VERSION:
        raise PatchError(
            f"The patch {path} has version {content.get('version')}, this "
            f"package reads version {VERSION}; repeat the adaptation, or "
            "install the version that wrote it."
        )
    return content


# ----------------------------------------------------------- switching


class DomainPatches:
    """Several patches beside one model, at most one of them in use.

    Switching writes into the model's parameters in place, so whatever refers
    to the model or to its parameters sees it at once. It costs the size of
    the patches, not of the model.

    Arguments
    ---------
    model : nn.Module
        The starting model of the adaptations. As long as patches are switched
        on it, nothing else must give its parameters other values; to move it,
        or to convert it to another precision, does no harm.

    Raises
    ------
    PatchError
        If the model is being adapted just now.

    Example
    -------
    >>> from speechbrain_neuronprune.adaptation.selective import (
    ...     selective_update,
    ... )
    >>> from speechbrain.nnet.attention import PositionalwiseFeedForward
    >>> model = nn.Sequential(PositionalwiseFeedForward(8, input_size=4))
    >>> update = selective_update(model, {"0": torch.arange(8) < 2})
    >>> for values in update.parameters():
    ...     _ = nn.init.zeros_(values)
    >>> patch = update.patch()
    >>> patches = DomainPatches(update.undo())
    >>> patches.add("reverb", patch)
    >>> patches.use("reverb")
    >>> model[0].ffn[0].weight.count_nonzero().item()
    24
    >>> patches.use(None)
    >>> model[0].ffn[0].weight.count_nonzero().item()
    32
    """

    def __init__(self, model: nn.Module) -> None:
        refuse_adapted(model, PatchError)
        self.model = model
        self.fingerprint = fingerprint(model)
        self.active: str | None = None
        self._patches: dict[str, DomainPatch] = {}
        self._replaced: list[PatchEntry] = []

    @property
    def names(self) -> list[str]:
        """The patches there are."""
        return list(self._patches)

    def add(self, name: str, patch: DomainPatch) -> None:
        """Take a patch in, without using it.

        Arguments
        ---------
        name : str
            What to call it; a name that is there already is refused.
        patch : DomainPatch
            A patch for this model.

        Raises
        ------
        PatchError
            If the patch belongs to another model or does not fit it, or the
            name is taken.
        """
        if name in self._patches:
            raise PatchError(
                f"There is a patch {name!r} already; choose another name."
            )
        if patch.fingerprint != self.fingerprint:
            raise PatchError(
                f"The patch {name!r} is for the model {patch.fingerprint}, "
                f"this model is {self.fingerprint}; put it on the very model "
                "that its adaptation started from."
            )
        for entry in patch.entries:
            if not entry.fits(self.model):
                raise PatchError(
                    f"The patch {name!r} does not fit the model at "
                    f"{entry.parameter}; repeat the adaptation."
                )
        self._patches[name] = patch

    def use(self, name: str | None) -> None:
        """Switch to a patch, or back to the starting model.

        Arguments
        ---------
        name : str or None
            One of ``names``; None restores the starting model, bitwise.

        Raises
        ------
        PatchError
            If there is no such patch, or the model is being adapted just
            now.
        """
        refuse_adapted(self.model, PatchError)
        if name is not None and name not in self._patches:
            raise PatchError(
                f"There is no patch {name!r}; add it first, or use one of "
                f"{self.names}."
            )
        self._restore()
        if name is not None:
            self._put_on(name)

    def _restore(self) -> None:
        for entry in self._replaced:
            entry.put(self.model)
        self._replaced, self.active = [], None

    def _put_on(self, name: str) -> None:
        """All of a patch, or if that cannot be, nothing."""
        entries = self._patches[name].entries
        self._replaced = [entry.taken_from(self.model) for entry in entries]
        try:
            for entry in entries:
                entry.put(self.model)
        except BaseException:
            self._restore()
            raise
        self.active = name
