"""``recryst eval NAME``, an experiment by its options, and ``recryst experiment PLAN``, by a file that holds them."""

from . import single as _single  # noqa: F401  (its commands join the group)
from .experiment import experiment
from .printing import eval

__all__ = ["eval", "experiment"]
