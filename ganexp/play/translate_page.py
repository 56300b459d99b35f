"""The page of runs that make images from images: an image in, and what each run makes of it."""

import os
from pathlib import Path
from typing import Any

import gradio as gr

from ganexp.play.asked import Image, Translate, Translating
from ganexp.play.events import listen
from ganexp.play.html import figures, told
from ganexp.play.labels import LabelControls


def translate_page(facts: Translating, translate: Translate) -> gr.Blocks:
    """The page. It translates whenever a file is chosen or a control is changed."""
    with gr.Blocks(title="ganexp: " + ", ".join(facts.names), analytics_enabled=False) as page:
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                pictures = gr.HTML(told("choose an image"), elem_id="pictures")
            with gr.Column(scale=2, min_width=280):
                file = gr.File(label="image", file_count="single", file_types=["image"], elem_id="file")
                direction = _direction(facts)
                labels = LabelControls(facts.labels, several=facts.several, optional=False)
                degrades = _degrades(facts)
        controls = [file, *direction, *labels.controls, *degrades]

        def call(path: str | None, *values: Any) -> str:
            if path is None:
                return told("choose an image")
            given = list(values)
            way = given.pop(0) if direction else None
            made = bool(given.pop()) if degrades else False
            image = Image(Path(path).name, uploaded(path), way, labels.label(given), made)
            return figures(translate(image))

        for control in controls:
            listen(control.change, call, controls, [pictures])
    return page


def uploaded(path: str) -> bytes:
    """An uploaded file. Raises PermissionError for files outside of their folder, as Gradio does."""
    file, folder = (Path(one).resolve() for one in (path, os.environ["GRADIO_TEMP_DIR"]))
    if not file.is_relative_to(folder):
        raise PermissionError("not an uploaded file")
    return file.read_bytes()


def _direction(facts: Translating) -> list[Any]:
    if not facts.directions:
        return []
    return [gr.Radio(list(facts.directions), value=facts.directions[0], label="direction")]


def _degrades(facts: Translating) -> list[Any]:
    if not facts.degrades:
        return []
    return [gr.Checkbox(False, label="make the run's source of it first, with its own degradation")]
