"""What ``torchrun`` says of this process in its environment. Needs no torch."""

import os

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


def world() -> int:
    """How many processes it started for one job, on all machines; 1 where it started none."""
    return int(os.environ["WORLD_SIZE"]) if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= {*os.environ} else 1


def rank() -> int:
    """Which of them this is."""
    return int(os.environ["RANK"]) if world() > 1 else 0


def without() -> dict[str, str]:
    """The environment of a process that is to be none of them."""
    return {key: value for key, value in os.environ.items() if key not in VARIABLES}
