"""A DALI pipeline that can be used after an error."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.dali.decode_graph import GraphConfig, new_pipeline


class RebuiltPipeline:
    """Runs `outputs`, whose inputs are external sources with names, one batch after another.

    An error leaves DALI's pipeline unusable: the next run builds a new one.
    """

    def __init__(self, outputs: Callable[[], Any], config: GraphConfig) -> None:
        self._outputs = outputs
        self._config = replace(config, prefetch=1, operations=0)
        self._pipeline: Any = None

    def run(self, **batch: Any) -> tuple[Any, ...]:
        """DALI's outputs for the inputs of one batch, by name; the next run overwrites them.

        Raises ``RuntimeError`` if DALI fails.
        """
        try:
            if self._pipeline is None:
                self._pipeline = new_pipeline(self._outputs, self._config)
                self._pipeline.build()
            for name, values in batch.items():
                self._pipeline.feed_input(name, values)
            outputs: tuple[Any, ...] = self._pipeline.run()
        except RuntimeError:
            self._pipeline = None
            raise
        return outputs
