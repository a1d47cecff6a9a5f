"""Run the steps of a Dockerfile without Docker, in a folder that stands for the root of each stage.

Of the steps those that need an administrator (apt-get) are left out.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass
class Image:
    """What a Dockerfile makes. `root` has a folder for each stage; paths in `variables`, the
    environment of a container, are in that of the last one.

    `commands` are those that were run, `left_out` those that were not.
    """

    root: Path
    stage: str = ""
    folder: Path = Path()
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def place(self, path: str, stage: str | None = None) -> Path:
        """A path of the image, here; a relative one is below the working folder."""
        if path.startswith("/"):
            return self.root / (stage or self.stage) / path.lstrip("/")
        return self.folder / path


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(name, words) of each instruction, with its lines joined."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, words = line.strip().partition(" ")
            yield name, words.strip()


def build(context: Path, dockerfile: Path, root: Path, environment: Mapping[str, str]) -> Image:
    """Run the steps of `dockerfile` in `environment`, whose PATH has the Python to install into.
    Raises ``CalledProcessError``."""
    image = Image(root)
    for number, (name, words) in enumerate(instructions(dockerfile.read_text())):
        if name == "FROM":
            image.stage = words.partition(" AS ")[2] or f"stage-{number}"
            image.arguments, image.variables = {}, {}
        elif name == "ARG":
            key, _, value = words.partition("=")
            image.arguments[key] = value
        elif name == "ENV":
            for key, value in re.findall(r"(\w+)=(\S+)", words):
                image.variables[key] = str(image.place(value)) if value[0] == "/" else value
        elif name == "WORKDIR":
            image.folder = image.place(words)
            image.folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            _copy(image, context, words)
        elif name == "RUN":
            _run(image, words, environment)
        else:
            assert name in ("USER", "ENTRYPOINT", "CMD"), name
    return image


def _run(image: Image, command: str, environment: Mapping[str, str]) -> None:
    if command.startswith("apt-get"):
        image.left_out.append(command)
        return
    image.commands.append(command)
    subprocess.run(
        ["sh", "-c", command],
        cwd=image.folder,
        env={**environment, **image.arguments},
        check=True,
        capture_output=True,
        text=True,
    )


def _copy(image: Image, context: Path, words: str) -> None:
    *sources, target = words.split()
    folder = image.place(target)
    folder.mkdir(parents=True, exist_ok=True)
    if sources[0].startswith("--from="):
        stage = sources.pop(0).partition("=")[2]
        for source in sources:
            shutil.copytree(image.place(source, stage), folder, dirs_exist_ok=True)
        return
    kept, left_out = ignored(context)
    for source in kept if sources == ["."] else sources:
        assert source in kept, f"{source} is not in the build context"
        if (context / source).is_dir():
            ignore = shutil.ignore_patterns(*left_out)
            shutil.copytree(context / source, folder / source, ignore=ignore)
        else:
            shutil.copy(context / source, folder)


def ignored(context: Path) -> tuple[list[str], list[str]]:
    """What .dockerignore keeps of the top level, and the names of what it leaves out below."""
    lines = [
        line
        for line in (context / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    return kept, [PurePosixPath(line).name for line in lines[1:] if not line.startswith("!")]
