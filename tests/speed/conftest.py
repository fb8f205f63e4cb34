"""The peers are installed for `make speed` alone; elsewhere their files are not even collected."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("syne_tune") else ["syne_tune_peer.py"]
