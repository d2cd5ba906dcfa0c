"""The panel: controls and a figure that follows them, in a notebook."""

import html
import io
import os
from dataclasses import fields
from typing import Any

from .. import experiments, figures
from ..core.reward import FORMS
from ..errors import InputError, MissingFileError
from ..files import root
from ..traces.sources import list_traces
from .parameters import joined
from .variant import MARK, Variant, cached_trace, export, numbers, sentence

#: How wide a control and its name are.
_LOOK = {"style": {"description_width": "92px"}, "layout": {"width": "270px"}}
#: A slider redraws when it is let go, not on the way.
_SLIDER = _LOOK | {"continuous_update": False}


class Panel:
    """Controls and a figure that follows them; `widget` is what a notebook shows.

    Parameters
    ----------
    variant : Variant, optional
        Where to start.
    """

    def __init__(self, variant: Variant | None = None):
        import ipywidgets as w

        start = variant or Variant()
        controls = _choices(start) | _sliders(start)
        names = [field.name for field in fields(Variant) if field.name in controls]
        self.controls = {name: controls[name] for name in names}
        self.name = w.Text(placeholder="a-name", description="export as", **_LOOK)
        self.button = w.Button(
            description="export",
            tooltip="write parameters, numbers and figure to build/explore",
            layout=_LOOK["layout"],
        )
        self.message = w.HTML()
        wide = {"width": "100%", "max_width": "1000px"}
        self.picture = w.Image(format="png", layout=wide)
        self.button.on_click(lambda _: self.export())
        for key, control in self.controls.items():
            moved = self._other_trace if key == "trace" else self._moved
            control.observe(moved, names="value")
        self._busy = False
        left = w.VBox(
            [*self.controls.values(), self.name, self.button],
            layout={"flex": "0 0 300px"},
        )
        right = w.VBox(
            [self.picture, self.message],
            layout={"flex": "1 1 0%", "overflow": "hidden"},
        )
        self.widget = w.HBox([left, right])
        self.draw()

    @property
    def variant(self) -> Variant:
        """What the controls say."""
        values = {key: control.value for key, control in self.controls.items()}
        chosen = values.pop("models")
        known = self.controls["models"].options
        everyone = tuple(chosen) == tuple(known)
        return Variant(**values, models="all" if everyone else joined(chosen))

    def draw(self) -> None:
        """Redraw; a choice that cannot be drawn is one line under the figure."""
        try:
            frame = numbers(self.variant)
        except (InputError, MissingFileError) as error:
            self.message.value = f"<b>{html.escape(str(error))}</b>"
            return
        drawn = io.BytesIO()
        figures.variant(frame, MARK, quick=True).savefig(drawn, format="png", dpi=125)
        self.picture.value = drawn.getvalue()
        self.message.value = html.escape(sentence(frame))

    def export(self) -> None:
        """Write what is on screen under the name given."""
        try:
            folder = export(self.variant, self.name.value)
        except (InputError, MissingFileError) as error:
            self.message.value = f"<b>{html.escape(str(error))}</b>"
            return
        text = (
            f"exported to {os.path.relpath(folder, root())}; `pickllm promote"
            f" {self.name.value}` makes it a part of `make reproduce`"
        )
        self.message.value = html.escape(text)

    def _moved(self, _: object) -> None:
        if not self._busy:
            self.draw()

    def _other_trace(self, _: object) -> None:
        trace = cached_trace(self.controls["trace"].value, "")
        # contexts and pool change with the trace: one drawing, not three
        self._busy = True
        try:
            self.controls["context"].options = trace.contexts
            self.controls["models"].options = trace.models
            self.controls["models"].value = trace.models
        finally:
            self._busy = False
        self.draw()


def _choices(start: Variant) -> dict[str, Any]:
    """Return the controls that choose one of several, or several."""
    import ipywidgets as w

    here = cached_trace(start.trace, start.prices)
    traces = {name for name in list_traces() if not name.endswith("-rows")}

    def one_of(name, options, value):
        return w.Dropdown(options=options, value=value, description=name, **_LOOK)

    return {
        "trace": one_of("trace", sorted({start.trace, *traces}), start.trace),
        "context": one_of("context", here.contexts, start.context),
        "models": w.SelectMultiple(
            options=here.models,
            value=here.models,
            rows=4,
            description="pool",
            **_LOOK,
        ),
        "form": one_of("reading", list(FORMS), start.form),
        "learner": one_of("learner", experiments.ROUTERS, start.learner),
    }


def _sliders(start: Variant) -> dict[str, Any]:
    """Return the controls that hold a number."""
    import ipywidgets as w

    def slider(kind, name, low, high, **options):
        return kind(
            getattr(start, name),
            min=low,
            max=high,
            description="rate" if name == "learning_rate" else name.replace("_", " "),
            **options,
            **_SLIDER,
        )

    powers = {"base": 10, "step": 0.05, "readout_format": ".3g"}
    real, whole = w.FloatSlider, w.IntSlider
    return {
        "w_accuracy": slider(real, "w_accuracy", 0, 3, step=0.1),
        "w_cost": slider(real, "w_cost", 0, 3, step=0.01),
        "w_latency": slider(real, "w_latency", 0.1, 3, step=0.1),
        "learning_rate": slider(w.FloatLogSlider, "learning_rate", -2.3, 0, **powers),
        "epsilon": slider(real, "epsilon", 0, 1, step=0.01),
        "queries": slider(whole, "queries", 50, 5000, step=50),
        "sessions": slider(whole, "sessions", 50, 5000, step=50),
        "seed": w.BoundedIntText(
            start.seed, min=0, max=2**31, description="seed", **_LOOK
        ),
    }
