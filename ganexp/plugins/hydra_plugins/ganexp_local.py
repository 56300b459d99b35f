"""``hydra/launcher=local``: runs the members of a sweep in parallel, each in its own process.

Hydra looks for launchers only in the namespace package ``hydra_plugins``; ``ganexp.cli.hydra_app`` adds this
folder to the path.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Local(Launcher):
    """Runs ``slots`` members at a time on this machine."""

    _config: DictConfig

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._config, self._loader = config, hydra_context.config_loader

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs every member that is not done; results are in the run folders. Raises UserError, Stopped."""
        from ganexp.config.validate import validate_config
        from ganexp.errors import UserError
        from ganexp.sweeps.process_pool import Job, config_flags, run_jobs
        from ganexp.sweeps.sweep import is_done

        if not isinstance(self._slots, int) or self._slots < 1:
            raise UserError(f"hydra.launcher.slots={self._slots}: should be a whole number, at least 1")
        jobs = []
        for overrides in map(list, job_overrides):
            cfg = self._loader.load_sweep_config(self._config, overrides)
            folder = Path(cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir)
            if not is_done(folder, validate_config("train", cfg, overrides)):
                jobs.append(Job([*config_flags(), *overrides, f'hydra.run.dir="{folder}"'], folder))
        run_jobs(jobs, self._slots)
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = None
        return [done] * len(job_overrides)
