"""Sentences for whoever started the program, where nothing is wrong enough to stop."""

import logging

_LOG = logging.getLogger("shardline")


def warn(sentence: str) -> None:
    """Log `sentence` as a warning: bare on standard error, unless the program has set up logging
    otherwise."""
    _LOG.warning(sentence)
