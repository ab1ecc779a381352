"""Packages that only the corpus needs, and that may be missing.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import importlib.util

from speechbrain_neuronprune.errors import DataError


def require_extra(package: str, what: str) -> None:
    """Say what to install if a package of the extra ``demo`` is missing.

    Arguments
    ---------
    package : str
        Its name, as it is installed.
    what : str
        What needs it, to begin a sentence with.

    Raises
    ------
    DataError
        If it is missing.

    Example
    -------
    >>> require_extra("numpy", "The noise is made by numpy")
    """
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        raise DataError(
            f"{what}, but the package {package} is not installed; run: "
            "pip install 'speechbrain-neuronprune[demo]'"
        )
