"""Reads the environment variables that ``torchrun`` sets. Needs no torch."""

import os

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


def world_size() -> int:
    """The number of torchrun's processes of this job, on all machines; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= {*os.environ} else 1


def rank() -> int:
    """This process's rank; 0 without torchrun."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def environment_without_torchrun() -> dict[str, str]:
    """The environment without torchrun's variables, for a child process that is not one of its ranks."""
    return {key: value for key, value in os.environ.items() if key not in VARIABLES}
