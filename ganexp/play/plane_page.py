"""The page of the sandbox: a GAN that learns points in the plane, with what can be changed while it learns.

A timer of the page asks for the next picture, and each answer takes some steps first. So nothing computes that
no page is waiting for, and a page that is closed leaves no thread behind.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import gradio as gr

from ganexp.errors import UserError
from ganexp.play.events import listen
from ganexp.play.html import Shown, curves, figures, told
from ganexp.play.sandbox import COLLAPSE, CURE, Sandbox, Settings

_SECONDS = 0.1
"""Between an answer and the next question of a page."""

_MAX_PAGES = 16
"""Pages whose networks are kept; the one that has not asked for the longest time begins anew."""

_ABOUT = """
Orange points are samples, dark spots the data. Colours are the critic's logits: green where it takes points
for real, blue for fake. Arrows show where the logit rises, which is where samples are drawn to; a critic of
packs has no surface, because it does not judge one point.

**Mode collapse.** All samples crowd at one spot, and when the critic has learned to call it fake, they move
together to another one: few modes are covered, and the losses hardly show it. *Collapse* begins anew with a
generator that learns ten times as fast as its critic. *Cure* goes on from there with an equally fast critic
and R1: samples spread to more and more modes. Other cures, with equal rates: packs of 2, or `wgan_gp` with
5 critic steps.
"""

Make = Callable[[Settings], Sandbox]
"""A new sandbox. Raises UserError."""


class Pages:
    """The sandbox of each page that is open, by Gradio's name of its session. Calls wait for one another."""

    def __init__(self, make: Make) -> None:
        self._make, self._lock = make, Lock()
        self._known: OrderedDict[str, Sandbox] = OrderedDict()

    def change(self, session: str, action: Callable[[Sandbox], None]) -> tuple[str, str, str]:
        """Does something with a page's sandbox; its picture, its curves and what is to be said, as HTML."""
        with self._lock:
            problem = ""
            sandbox = self._of(session)
            try:
                action(sandbox)
            except UserError as error:
                problem = told(str(error))
            return _shown(sandbox, problem)

    def close(self, session: str) -> None:
        """Forgets a page's sandbox."""
        with self._lock:
            self._known.pop(session, None)

    def __len__(self) -> int:
        return len(self._known)

    def _of(self, session: str) -> Sandbox:
        if session not in self._known:
            self._known[session] = self._make(Settings())
            while len(self._known) > _MAX_PAGES:
                self._known.popitem(last=False)
        self._known.move_to_end(session)
        return self._known[session]


def _shown(sandbox: Sandbox, problem: str) -> tuple[str, str, str]:
    modes, total = sandbox.modes(), len(sandbox.source.centres)
    line = f"step {sandbox.step:,}: <b>{modes.modes} of {total} modes</b> covered; "
    line += f"{modes.high_quality:.0%} of samples within three deviations of a mode"
    if sandbox.failed:
        problem = told("a loss is no longer finite: reset, or choose other settings")
    shown = Shown(
        sandbox.picture(), f"{type(sandbox.source).__name__.lower()}, step {sandbox.step}", "plane.png"
    )
    return figures([shown]), curves(sandbox.losses), f'<p class="modes">{line}</p>{problem}'


def plane_page(make: Make, choices: dict[str, list[str]]) -> gr.Blocks:
    """The page. ``choices``: those of the groups ``loss`` and ``penalties``."""
    pages = Pages(make)
    with gr.Blocks(title="ganexp: a GAN in the plane", analytics_enabled=False) as page:
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                picture = gr.HTML(elem_id="plane")
                status = gr.HTML(elem_id="status")
                losses = gr.HTML(elem_id="losses")
            with gr.Column(scale=2, min_width=280):
                with gr.Row():
                    start = gr.Button("Start", variant="primary", elem_id="start", min_width=80)
                    step = gr.Button("Step", elem_id="step", min_width=80)
                    reset = gr.Button("Reset", elem_id="reset", min_width=80)
                with gr.Row():
                    collapse = gr.Button("Collapse", elem_id="collapse", min_width=80)
                    cure = gr.Button("Cure", elem_id="cure", min_width=80)
                steps = gr.Slider(1, 200, value=20, step=1, label="steps from picture to picture")
                controls = _controls(choices)
                gr.Markdown(_ABOUT)
        timer = gr.Timer(_SECONDS, active=False)
        running = gr.State(False)
        shown = [picture, losses, status]

        def act(action: Callable[..., None]) -> Callable[..., tuple[str, str, str]]:
            def call(request: gr.Request, *given: Any) -> tuple[str, str, str]:
                return pages.change(_session(request), lambda sandbox: action(sandbox, *given))

            return call

        def preset(settings: Settings, action: Callable[[Sandbox, Settings], None]) -> Callable[..., Any]:
            def call(request: gr.Request) -> tuple[Any, ...]:
                made = pages.change(_session(request), lambda sandbox: action(sandbox, settings))
                return *made, *_values(settings)

            return call

        listen(page.load, act(lambda sandbox: None), [], shown)
        listen(timer.tick, act(lambda sandbox, count: sandbox.train(int(count))), [steps], shown)
        listen(step.click, act(lambda sandbox: sandbox.train(1)), [], shown)
        listen(reset.click, act(lambda sandbox: sandbox.reset()), [], shown)
        listen(collapse.click, preset(COLLAPSE, lambda sandbox, to: sandbox.reset(to)), [], [*shown, *controls])
        listen(cure.click, preset(CURE, lambda sandbox, to: sandbox.apply(to)), [], [*shown, *controls])
        change = act(lambda sandbox, *given: sandbox.apply(_settings(*given)))
        for control in controls:
            listen(
                control.release if isinstance(control, gr.Slider) else control.input, change, controls, shown
            )
        listen(start.click, _switched, [running], [running, timer, start])

        def forget(request: gr.Request) -> None:
            pages.close(_session(request))

        page.unload(forget)
    return page


def _switched(is_running: bool) -> tuple[bool, Any, str]:
    return not is_running, gr.Timer(active=not is_running), "Start" if is_running else "Pause"


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


def _controls(choices: dict[str, list[str]]) -> list[Any]:
    """In the order of the fields of ``Settings``. Rates are exponents of 10."""
    now = _values(Settings())
    return [
        gr.Dropdown(choices["loss"], value=now[0], label="loss"),
        gr.Dropdown(choices["penalties"], value=now[1], label="penalty, besides that of the loss"),
        gr.Slider(-5, -2, value=now[2], step=0.1, label="learning rate of the generator: 10 to the power of"),
        gr.Slider(-5, -2, value=now[3], step=0.1, label="learning rate of the critic: 10 to the power of"),
        gr.Slider(1, 10, value=now[4], step=1, label="critic steps for each of the generator (n_critic)"),
        gr.Radio([1, 2, 4], value=now[5], label="points that the critic sees at once (packing)"),
    ]


def _values(settings: Settings) -> tuple[Any, ...]:
    """What the controls show."""
    rates = [round(math.log10(rate), 1) for rate in (settings.generator_rate, settings.critic_rate)]
    return settings.loss, settings.penalty, *rates, settings.n_critic, settings.packing


def _settings(
    loss: str, penalty: str, generator_rate: float, critic_rate: float, n_critic: float, packing: float
) -> Settings:
    return Settings(loss, penalty, 10**generator_rate, 10**critic_rate, int(n_critic), int(packing))
