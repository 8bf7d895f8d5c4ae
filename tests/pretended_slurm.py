"""A pretended Slurm: what submitit calls of it, as processes of this machine.

Called as ``sbatch``, ``srun``, ``sacct``, ``scancel`` or ``scontrol``; all there is to know stands
in the directory ``PRETENDED_SLURM``: one file with the state of each job or task of an array.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(os.environ.get("PRETENDED_SLURM", "."))
ALONE = {"start_new_session": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(directory: Path) -> None:
    """Make the commands, in a directory that is to be on ``PATH``."""
    directory.mkdir()
    for name in COMMANDS:
        command = directory / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
        command.chmod(0o755)


def sbatch(script: str) -> None:
    number = str(100 + len(list(HERE.glob("*.sh"))))
    kept = shutil.copy(script, HERE / f"{number}.sh")
    array = re.search(r"--array=0-(\d+)", Path(kept).read_text())
    tasks = [f"{number}_{task}" for task in range(int(array[1]) + 1)] if array else [number]
    for task in tasks:
        (HERE / task).write_text("PENDING")
        command = [sys.executable, __file__, "controller", task, kept]
        subprocess.Popen(command, **ALONE)
    print(f"Submitted batch job {number}")


def controller(task: str, script: str) -> None:
    """One job on its node, begun again as often as it is requeued."""
    number, _, index = task.partition("_")
    own = {"SLURM_JOB_ID": task if not index else f"{number}{index}", "SLURM_NTASKS": "1"}
    own |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index} if index else {}
    state = HERE / task
    while state.read_text() in ("PENDING", "REQUEUED"):
        process = subprocess.Popen(["bash", script], env=os.environ | own, start_new_session=True)
        state.write_text(f"RUNNING {process.pid}")
        code = process.wait()
        if state.read_text().startswith("RUNNING"):
            state.write_text("FAILED" if code else "COMPLETED")


def srun(*arguments: str) -> None:
    given = list(arguments)
    job, index = os.environ.get("SLURM_ARRAY_JOB_ID", ""), os.environ.get("SLURM_ARRAY_TASK_ID", "")
    names = {"%A": job, "%a": index, "%j": os.environ["SLURM_JOB_ID"], "%t": "0"}
    for option, descriptor in (("--output", 1), ("--error", 2)):
        place = given.index(option)
        path = re.sub("%[Aajt]", lambda found: names[found[0]], given[place + 1])
        while not Path(path).parent.is_dir():  # submitit makes it as soon as it knows the number
            time.sleep(0.05)
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        del given[place : place + 2]
    command = [word for word in given if word != "--unbuffered"]
    os.execvp(command[0], command)


def sacct(*arguments: str) -> None:
    print("JobID|State|NodeList")
    for state in HERE.iterdir():
        if not state.suffix:
            print(f"{state.name}|{state.read_text().split()[0]}|here")


def scancel(task: str) -> None:
    state = HERE / task
    words = state.read_text().split()
    state.write_text("CANCELLED")
    if words[0] == "RUNNING":
        os.killpg(int(words[1]), signal.SIGKILL)


def scontrol(verb: str, task: str) -> None:
    assert verb == "requeue"
    (HERE / task).write_text("REQUEUED")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
