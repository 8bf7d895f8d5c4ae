"""Launchers of ltvm's in the one namespace where Hydra looks for any.

Hydra imports every module of it whenever it starts, in other people's programs, too. So nothing
here imports Ray or submitit (``ltvm.runs.launching.launchers`` does the work), and nothing is
stored (``ltvm.launcher_keys`` has the names and keys, for ltvm's own sessions).
"""

from ltvm.runs.launching.launchers.base import Engine, EngineLauncher
from ltvm.runtime.place import Place


class RayLauncher(EngineLauncher):
    package = "ray"

    def engine(self, jobs: int, place: Place) -> Engine:  # noqa: ARG002
        from ltvm.runs.launching.launchers.ray import RayEngine

        return RayEngine(**self.parameters, place=place, device=str(self.config.device))


class LocalLauncher(EngineLauncher):
    package, cluster = "submitit", "local"

    def engine(self, jobs: int, place: Place) -> Engine:
        from ltvm.runs.launching.launchers.submitit import SubmititEngine

        given = {key: value for key, value in self.parameters.items() if value not in (None, {})}
        return SubmititEngine(self.cluster, given.pop("submitit_folder"), given, jobs, place)


class SlurmLauncher(LocalLauncher):
    cluster = "slurm"
