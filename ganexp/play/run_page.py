"""The page of runs that make samples from noise: sliders, labels, codes, truncation, ways between seeds."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ganexp.play.asked import Asked, Draw, Facts
from ganexp.play.events import listen
from ganexp.play.html import figures
from ganexp.play.labels import LabelControls

_REACH = 3.0
"""Standard deviations to either side."""

_LARGEST_SEED = 2**31 - 1
_RANDOM = -1


def run_page(facts: Facts, draw: Draw, *, n: int, seed: int) -> gr.Blocks:
    """The page; ``n`` and ``seed`` are those at the beginning. It draws whenever a control is changed."""
    with gr.Blocks(title="ganexp: " + ", ".join(facts.names), analytics_enabled=False) as page:
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                pictures = gr.HTML(elem_id="pictures")
            with gr.Column(scale=2, min_width=280):
                controls = _Controls(facts, n, seed)
                reset = gr.Button("All sliders to 0", elem_id="reset")

        def call(*values: Any) -> str:
            return figures(draw(controls.asked(values)))

        listen(page.load, call, controls.all, [pictures])
        for control in controls.all:
            listen(control.change, call, controls.all, [pictures])
        listen(reset.click, lambda: [0.0] * len(controls.moves), [], controls.moves)
    return page


class _Controls:
    """All controls, from whose values ``asked`` makes a request."""

    def __init__(self, facts: Facts, n: int, seed: int) -> None:
        with gr.Row():
            self.seed = gr.Number(
                seed, label="seed", precision=0, minimum=0, maximum=_LARGEST_SEED, elem_id="seed"
            )
            self.n = gr.Slider(1, 64, value=n, step=1, label="samples", elem_id="n")
        self.labels = LabelControls(facts.labels, several=facts.several, optional=True)
        self.codes = [_code(number, kind) for number, kind in enumerate(facts.codes)]
        self.truncation: list[Any] = []
        if facts.truncates:
            with gr.Row():
                self.truncation = [
                    gr.Checkbox(False, label="truncate"),
                    gr.Slider(0, 2, value=0.7, label="psi"),
                ]
        with gr.Accordion("from these samples to those of another seed", open=False):
            self.share = gr.Slider(0, 1, value=0, step=0.01, label="share of the way", elem_id="share")
            self.other = gr.Number(
                seed + 1, label="other seed", precision=0, minimum=0, maximum=_LARGEST_SEED, elem_id="other"
            )
        self.moves = [
            gr.Slider(-_REACH, _REACH, value=0, step=0.05, label=name, elem_id=f"slider-{number}")
            for number, name in enumerate(facts.sliders)
        ]
        own = [self.seed, self.n, self.share, self.other]
        self.all: list[Any] = [*own, *self.labels.controls, *self.codes, *self.truncation, *self.moves]

    def asked(self, values: Sequence[Any]) -> Asked:
        """The request of the values of ``all``; what was emptied is 0."""
        left = list(values)

        def take(count: int) -> list[Any]:
            taken, left[:count] = left[:count], []
            return taken

        seed, n, share, other = (value or 0 for value in take(4))
        label = self.labels.label(take(len(self.labels.controls)))
        codes = dict(enumerate(take(len(self.codes))))
        truncates, psi = take(2) if self.truncation else (False, 0.0)
        return Asked(
            n=max(1, int(n)),
            seed=int(seed),
            label=label,
            codes={number: value for number, value in codes.items() if value not in (None, _RANDOM)},
            truncation=float(psi) if truncates else None,
            moves=tuple(float(value or 0) for value in left),
            other_seed=int(other),
            share=float(share),
        )


def _code(number: int, categories: int) -> Any:
    """A control of a code: a list of categories, or a number that may be empty."""
    if categories:
        choices = [("random", _RANDOM), *((str(one), one) for one in range(categories))]
        return gr.Dropdown(choices, value=_RANDOM, label=f"code {number}")
    return gr.Number(None, label=f"code {number}, from -1 to 1 in training; empty: random", step=0.1)
