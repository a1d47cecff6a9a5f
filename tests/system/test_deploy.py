"""The templates for schedulers say what the command understands."""

import re
import subprocess
from pathlib import Path

import yaml

from trainer.__main__ import main

DEPLOY = Path(__file__).parents[2] / "deploy"
# Why: docs/nodes.md.
ALONE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
OPTIONS = {option for parameter in main.params for option in parameter.opts}


def trainer_options(words: list[str]) -> list[str]:
    after = words[words.index("trainer") + 1 :]
    return [word for word in after if word.startswith("--")]


def test_the_batch_script() -> None:
    script = DEPLOY / "slurm.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    command = re.sub(r"\\\n", " ", script.read_text())
    (line,) = re.findall(r"^srun .*", command, re.MULTILINE)
    options = trainer_options(line.split())
    assert {"--out", "--resume", "--checkpoint-minutes"} <= {*options} <= OPTIONS
    assert "#SBATCH --signal=USR1@" in script.read_text()
    assert f"export {ALONE}=1" in script.read_text()


def run_batch_script(folder: Path, **variables: str) -> int:
    """Run it for real, with commands of Slurm that write down what they are asked; its code."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    for name, text in (
        (
            "srun",
            'mkdir -p runs/7-0; touch runs/7-0/checkpoint.pt; echo "$LINE" >> '
            'runs/7-0/metrics.jsonl; printf "%s\\n" "$@" > started.txt; exit $CODE',
        ),
        ("scontrol", 'echo "$@" >> asked.txt'),
    ):
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    environment = {
        "PATH": f"{bin_folder}:/usr/bin:/bin",
        **{"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0", "SLURM_JOB_ID": "8"},
        **{"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "a[1-2]"},
    }
    (folder / "asked.txt").unlink(missing_ok=True)
    command = ["bash", DEPLOY / "slurm.sbatch"]
    return subprocess.run(command, cwd=folder, env=environment | variables).returncode


def test_the_batch_script_queues_what_is_not_done(tmp_path: Path) -> None:
    for line, code, asked in (('{"kind": "train"}', 1, True), ('{"kind": "summary"}', 0, False)):
        assert run_batch_script(tmp_path, LINE=line, CODE=str(code)) == code
        assert ("requeue 8" in (tmp_path / "asked.txt").read_text()) == asked


def test_the_batch_script_runs_ranks_in_a_container(tmp_path: Path) -> None:
    def started(**variables: str) -> list[str]:
        assert run_batch_script(tmp_path, LINE="", CODE="0", **variables) == 0
        return (tmp_path / "started.txt").read_text().splitlines()

    first, *plain = started()
    assert plain[0] == "torchrun"
    here, image = str(tmp_path), "shard line.sif"
    apptainer = ["apptainer", "exec", "--nv", "--bind", here, "--pwd", here, image]
    assert started(IMAGE=image) == [first, *apptainer, *plain]
    mounts = ["--container-image", image, "--container-workdir", here, "--container-mounts"]
    pyxis = {"IMAGE": image, "RUNTIME": "pyxis"}
    assert started(**pyxis) == [first, *mounts, f"{here}:{here}", *plain]
    more = started(**pyxis, MOUNTS="/a:/a")
    assert more == [first, *mounts, f"{here}:{here},/a:/a", *plain]


def test_the_job_of_kubernetes() -> None:
    job = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    assert worker["replicas"] == job["spec"]["elasticPolicy"]["minReplicas"]
    (container,) = worker["template"]["spec"]["containers"]
    # The operator looks for a container of this name.
    assert container["name"] == "pytorch"
    # command would replace the entry of the image.
    assert "command" not in container and container["args"][0] == "torchrun"
    assert {*trainer_options(container["args"])} <= OPTIONS
    assert {"name": ALONE, "value": "1"} in container["env"]
    volumes = {volume["name"] for volume in worker["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    # What a read-only root file system, and an image of any user id, need.
    assert worker["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"/tmp", "/dev/shm"} < {mount["mountPath"] for mount in container["volumeMounts"]}
