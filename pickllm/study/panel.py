"""The panel: controls and a figure that follows them, in a notebook."""

import html
import io

from .. import experiments, figures
from ..core.reward import FORMS
from ..errors import InputError, MissingFileError
from ..files import root
from ..traces.sources import list_traces
from .variant import MARK, Variant, cached_trace, export, numbers, sentence


class Panel:
    """Controls and a figure that follows them; `widget` is what a notebook shows.

    Parameters
    ----------
    variant : Variant, optional
        Where to start.
    """

    def __init__(self, variant=None):
        import ipywidgets as w

        start = variant or Variant()
        slow = {
            "continuous_update": False,
            "style": {"description_width": "92px"},
            "layout": w.Layout(width="270px"),
        }
        once = {key: slow[key] for key in ("style", "layout")}
        log = {"base": 10, "step": 0.05, "readout_format": ".3g"}
        here = cached_trace(start.trace, start.prices)
        self.controls = {
            "trace": w.Dropdown(
                options=sorted(
                    {
                        start.trace,
                        *(t for t in list_traces() if not t.endswith("-rows")),
                    }
                ),
                value=start.trace,
                description="trace",
                **once,
            ),
            "context": w.Dropdown(
                options=here.contexts,
                value=start.context,
                description="context",
                **once,
            ),
            "models": w.SelectMultiple(
                options=here.models,
                value=here.models,
                rows=4,
                description="pool",
                **once,
            ),
            "form": w.Dropdown(
                options=list(FORMS), value=start.form, description="reading", **once
            ),
            "w_accuracy": w.FloatSlider(
                start.w_accuracy,
                min=0,
                max=3,
                step=0.1,
                description="w accuracy",
                **slow,
            ),
            "w_cost": w.FloatSlider(
                start.w_cost, min=0, max=3, step=0.01, description="w cost", **slow
            ),
            "w_latency": w.FloatSlider(
                start.w_latency,
                min=0.1,
                max=3,
                step=0.1,
                description="w latency",
                **slow,
            ),
            "learner": w.Dropdown(
                options=experiments.ROUTERS,
                value=start.learner,
                description="learner",
                **once,
            ),
            "learning_rate": w.FloatLogSlider(
                start.learning_rate, min=-2.3, max=0, description="rate", **log, **slow
            ),
            "epsilon": w.FloatSlider(
                start.epsilon, min=0, max=1, step=0.01, description="epsilon", **slow
            ),
            "queries": w.IntSlider(
                start.queries, min=50, max=5000, step=50, description="queries", **slow
            ),
            "sessions": w.IntSlider(
                start.sessions,
                min=50,
                max=5000,
                step=50,
                description="sessions",
                **slow,
            ),
            "seed": w.BoundedIntText(
                start.seed, min=0, max=2**31, description="seed", **once
            ),
        }
        self.name = w.Text(placeholder="a-name", description="export as", **once)
        self.button = w.Button(
            description="export",
            tooltip="write parameters, numbers and figure to build/explore",
            layout=w.Layout(width="270px"),
        )
        self.message = w.HTML()
        self.picture = w.Image(
            format="png", layout=w.Layout(width="100%", max_width="1000px")
        )
        self.button.on_click(lambda _: self.export())
        for key, control in self.controls.items():
            control.observe(
                self._moved if key != "trace" else self._other_trace, names="value"
            )
        self._busy = False
        left = w.VBox(
            [*self.controls.values(), self.name, self.button],
            layout=w.Layout(flex="0 0 300px"),
        )
        self.widget = w.HBox(
            [
                left,
                w.VBox(
                    [self.picture, self.message],
                    layout=w.Layout(flex="1 1 0%", overflow="hidden"),
                ),
            ]
        )
        self.draw()

    @property
    def variant(self):
        """What the controls say."""
        values = {key: control.value for key, control in self.controls.items()}
        chosen, known = values.pop("models"), self.controls["models"].options
        return Variant(
            **values,
            models="all" if tuple(chosen) == tuple(known) else ",".join(chosen),
        )

    def draw(self):
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

    def export(self):
        """Write what is on screen under the name given."""
        try:
            folder = export(self.variant, self.name.value)
        except (InputError, MissingFileError) as error:
            self.message.value = f"<b>{html.escape(str(error))}</b>"
            return
        text = (
            f"exported to {folder.relative_to(root())}; `pickllm promote"
            f" {self.name.value}` makes it a part of `make reproduce`"
        )
        self.message.value = html.escape(text)

    def _moved(self, _):
        if not self._busy:
            self.draw()

    def _other_trace(self, _):
        trace = cached_trace(self.controls["trace"].value, "")
        self._busy = (
            True  # contexts and pool change with the trace: one drawing, not three
        )
        try:
            self.controls["context"].options = trace.contexts
            self.controls["models"].options = trace.models
            self.controls["models"].value = trace.models
        finally:
            self._busy = False
        self.draw()
