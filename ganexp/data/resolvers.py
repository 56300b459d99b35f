"""OmegaConf resolvers for facts about data, without torch; ``register`` registers all of ganexp's resolvers.

| in a YAML | gives |
|---|---|
| ``${medmnist:subset,channels}`` | a subset's channels, or its ``classes`` |
| ``${folder_resolution:path}`` | the largest power of two, at most 64, that fits into a folder's images |
| ``${folder_classes:path,split}`` | the number of classes in a folder |
| ``${pairs_resolution:path,split,direction}`` | the largest resolution, at most 64, that pairs' targets fill |
| ``${unpaired_resolution:path,a,b,split}`` | the largest resolution, at most 64, that both domains fill |
| ``${pairs_source_resolution:path,split,direction,64}`` | the resolution of their sources, if it is 64 |
"""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ganexp.config.resolvers import register_config_resolvers


def register() -> None:
    """Registers every resolver with OmegaConf; may be called repeatedly."""
    register_config_resolvers()
    for name, resolver in (
        ("medmnist", _medmnist),
        ("folder_resolution", _folder_resolution),
        ("folder_classes", _folder_classes),
        ("unpaired_resolution", _unpaired_resolution),
        ("pairs_resolution", _pairs_resolution),
        ("pairs_source_resolution", _pairs_source_resolution),
    ):
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _medmnist(subset: str, fact: str) -> int:
    from ganexp.data.medmnist import facts

    channels, classes = facts(subset)
    return {"channels": channels, "classes": classes}[fact]


def _folder_resolution(root: str) -> int:
    from ganexp.data.folder import default_resolution

    return default_resolution(Path(root))


def _folder_classes(root: str, split: Any) -> int:
    from ganexp.data.folder import class_names

    return len(class_names(Path(root), split))


def _unpaired_resolution(root: Any, a: Any, b: Any, split: Any) -> int:
    from ganexp.data.unpaired import default_resolution

    return default_resolution(root, a, b, split)


def _pairs_resolution(root: str, split: Any, direction: str) -> int:
    from ganexp.data.pairs import default_resolution

    return default_resolution(Path(root), split, direction)


def _pairs_source_resolution(root: str, split: Any, direction: str, resolution: Any) -> int:
    from ganexp.data.pairs import source_resolution

    return source_resolution(Path(root), split, direction, resolution)
