"""Names of the files in a folder of ``ganexp export``."""

GENERATOR = "generator.safetensors"
"""The averaged generator's weights."""

RECORD = "export.json"
"""The SHA-256 of every other file, and how much programs differ from the generator."""

PROGRAMS = ("generator.onnx", "generator.pt2")

TEXTS = ("config.yaml", "run.json", "metrics.jsonl", "evaluations.jsonl", "README.md")

PICTURE = "samples.png"

NAMES = (GENERATOR, *PROGRAMS, *TEXTS, PICTURE, RECORD)

SHARED = tuple(name for name in NAMES if name != "generator.pt2")
"""What goes to a hub and comes from one; the example inputs in a ``.pt2`` are a pickle."""

LEFT_OUT = "left-out"
"""Stands in the configuration where a path was."""
