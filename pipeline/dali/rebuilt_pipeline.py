"""A DALI pipeline that can be used after an error."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nvidia.dali import Pipeline

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
            if self._pipeline is not None:
                shut_down(self._pipeline)
            self._pipeline = None
            raise
        return outputs


def shut_down(pipeline: Pipeline) -> None:
    """End the threads of a pipeline that is not used any more.

    After an error, reference cycles keep a pipeline until Python collects them. If the Python
    operator of another pipeline (``resize_on_cpu.py``) happens to collect them, the process hangs:
    each waits for the other to release DALI's lock of such operators.
    """
    pipeline._shutdown()  # DALI has no public name for it
