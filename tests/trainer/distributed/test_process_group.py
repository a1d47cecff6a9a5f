"""How ranks meet without torchrun, which has a store of its own."""

import socket

import pytest

from pipeline.errors import DataError
from trainer.distributed.process_group import open_world


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}
        settings |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        message = rf"Rank 0 can't listen on port {port} \(MASTER_PORT\), which another program"
        with pytest.raises(DataError, match=message), open_world("cpu"):
            raise AssertionError
