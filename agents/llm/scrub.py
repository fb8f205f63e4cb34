"""Keys out of texts, by the names that agents know them under: see `simulator.scrub`."""

from simulator.scrub import HIDDEN, one_line, scrub

__all__ = ["HIDDEN", "one_line", "scrub"]
