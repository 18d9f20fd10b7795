"""What a page shows without JavaScript, in a phone's mail preview say: pictures and words.

    still = Still(data, words, end)
    still.training()        # Html: three samples and the loss curve

Each number is a <data> element that says what it is, as on the living page. Pictures are SVG
without style attributes, which the page's Content-Security-Policy would refuse."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from babypoet.exporting.words import Html, fill, glyph, safe
from babypoet.reference import Reference

# Cividis at 0, 1/8, ... 1 (Nunez, Anderton, Renslow 2018, PLoS ONE 13(7) e0199239)
_CIVIDIS = ("#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958",
            "#fee838")  # fmt: skip
LIKELIEST = 10  # characters of the dice
SAMPLE = 320  # characters of a sample


def number(x: float, name: str, shown: str, index: str = "") -> Html:
    """A number that says what it is: `x` under its name in the trace or in `data`."""
    value = str(x) if isinstance(x, int) else f"{x:.7g}"
    return Html(
        f'<data class="value" value="{value}" data-name="{safe(name)}" '
        f'data-index="{index}">{safe(shown)}</data>'
    )


def letters(nats: float) -> str:
    """e^nats, written: "torn between so many letters".

    >>> letters(1.5364), letters(4.37)
    ('4.6', '79')
    """
    n = math.exp(min(nats, 700))
    return f"{n:.1f}" if n < 20 else f"{n:,.0f}"


class Still:
    """The static half of a page."""

    def __init__(
        self, data: Mapping[str, Any], words: Mapping[str, str], end: Reference, prompt: list[int]
    ) -> None:
        """`end`: the model as it is in the file, its packed weights unpacked."""
        self.data, self.words, self.end, self.prompt = data, words, end, prompt
        self.characters: list[str] = data["characters"]

    def say(self, key: str, **parts: str | int) -> Html:
        """A sentence of the page, as HTML."""
        return fill(self.words[key], **parts)

    def paragraph(self, key: str, **parts: str | int) -> Html:
        """The same as a paragraph."""
        return Html(f"<p>{self.say(key, **parts)}</p>")

    def _torn(self, name: str, nats: float, index: str = "") -> Html:
        return number(nats, name, letters(nats), index)

    def _traced(self, ids: Sequence[int], inside: str) -> Html:
        """What was computed from a window carries the model and the window."""
        return Html(f'<div data-model="end" data-ids="{",".join(map(str, ids))}">{inside}</div>')

    # --- scenes -----------------------------------------------------------------------------------

    def guess(self) -> Html:
        """A held-out line, and what the model gave each of its letters."""
        size = self.end.config.block_size
        lines = self.data["game"]["lines"]
        if not lines or size < 2:
            return self.paragraph("story.no_line")
        right = lines[0]["ids"][: size - 1]
        window = [*lines[0]["context"], *right][-size:]
        p = self.end.trace(window)["probabilities"]  # (T, V)
        items = []
        for place, i in enumerate(right, start=len(window) - len(right)):
            share = float(p[place - 1, i])
            shown = number(share, "probabilities", percent(share), f"{place - 1},{i}")
            items.append(f"<li><b>{self._glyph(i)}</b> {shown}</li>")
        listed = f'<ol class="still-letters">{"".join(items)}</ol>'
        return Html(self.paragraph("story.still_guess") + self._traced(window, listed))

    def training(self) -> Html:
        """What was written at the start, on the way and at the end; the loss curve."""
        moments = self.data["history"]
        live = [i for i, moment in enumerate(moments) if moment["model"] is not None]
        shown = live if len(live) > 1 else sorted({0, len(moments) // 2, *live})
        figures = "".join(self._sample(i) for i in shown)
        return Html(f'<div class="still-samples">{figures}</div>{self._curve()}')

    def _sample(self, i: int) -> str:
        moment = self.data["history"][i]
        step = number(moment["step"], f"history[{i}].step", f"{moment['step']:,}")
        if moment["nats"] is None:
            caption = self.say("story.sample", step=step)
        else:
            torn = self._torn(f"history[{i}].nats", moment["nats"])
            caption = self.say("story.sample_torn", step=step, torn=torn)
        text = moment["sample"][:SAMPLE]
        return (
            f"<figure><figcaption>{caption}</figcaption>"
            f'<pre class="still-sample" dir="auto">\n{safe(text)}</pre></figure>'
        )

    def _curve(self) -> str:
        """The loss over the training, with the table of letter pairs as a level."""
        curve = [(step, nats, i) for i, (step, nats) in enumerate(self.data["curve"])]
        if len(curve) < 2:
            return ""
        levels = self.data["opponents"]
        height, width, left, right, top, bottom = 260, 640, 44, 12, 16, 36
        highest = max([nats for _, nats, _ in curve] + list(levels.values()))
        lowest = min([nats for _, nats, _ in curve] + list(levels.values()))
        span, last = (highest - lowest) or 1, curve[-1][0] or 1

        def x(step: float) -> str:
            return f"{left + (width - left - right) * step / last:.1f}"

        def y(nats: float) -> float:
            return float(top + (height - top - bottom) * (highest - nats) / span)

        parts = []
        for n in (1, 2, 3, 5, 8, 12, 20, 40, 80, 160, 400, 1000, 3000):
            if lowest <= math.log(n) <= highest:
                parts.append(
                    f'<text class="tick" x="{left - 6}" y="{y(math.log(n)) + 4:.1f}" '
                    f'text-anchor="end" fill="currentColor" font-size="12">{n}</text>'
                )
        for name, nats in levels.items():
            at = f"{y(nats):.1f}"
            parts.append(
                f'<path class="level" d="M{left} {at}H{width - right}" stroke="currentColor" '
                'stroke-dasharray="4 4" opacity="0.5"/>'
                f'<text class="level-label" x="{width - right}" y="{y(nats) - 4:.1f}" '
                f'text-anchor="end" fill="currentColor" font-size="12">{self._level(name)}</text>'
            )
        path = "L".join(f"{x(step)} {y(nats):.1f}" for step, nats, _ in curve)
        parts.append(
            f'<path class="series series-1" d="M{path}" fill="none" stroke="currentColor" '
            'stroke-width="2.5"/>'
            f'<text class="axis" x="{width - right}" y="{height - 8}" text-anchor="end" '
            f'fill="currentColor" font-size="12">{self.say("story.updates", n=last)}</text>'
        )
        first, end = curve[0], curve[-1]
        caption = self.say(
            "story.curve",
            first=self._torn("curve[0]", first[1], "1"),
            last=self._torn(f"curve[{end[2]}]", end[1], "1"),
            steps=number(end[0], f"curve[{end[2]}]", f"{end[0]:,}", "0"),
        )
        return (
            f'<figure><svg class="chart" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{self.say("story.curve_label")}">{"".join(parts)}</svg>'
            f"<figcaption>{caption}</figcaption></figure>"
        )

    def _level(self, name: str) -> Html:
        """An opponent's name in the page's language."""
        key = {"letter counts": "counts", "letter pairs": "pairs"}.get(name)
        if key is None:
            return self.say("story.level_counter", order=name.removesuffix(")").rsplit(" ", 1)[-1])
        return self.say(f"story.level_{key}")

    def dice(self) -> Html:
        """The likeliest next characters after the prompt."""
        ids = self.prompt[-self.end.config.block_size :]
        p = self.end.trace(ids)["probabilities"][-1]  # (V,)
        order = np.argsort(-p, kind="stable")[:LIKELIEST].tolist()
        items = []
        for i in order:
            share = float(p[i])
            shown = number(share, "probabilities", percent(share), f"{len(ids) - 1},{i}")
            width = max(0.5, 200 * share / float(p[order[0]]))
            bar = (
                '<svg viewBox="0 0 200 12" width="200" height="12" aria-hidden="true">'
                f'<rect width="{width:.1f}" height="12" fill="currentColor"/></svg>'
            )
            items.append(f"<li><b>{self._glyph(i)}</b> {shown} {bar}</li>")
        listed = self._traced(ids, f'<ol class="still-likeliest">{"".join(items)}</ol>')
        begun = Html(f"<q dir='auto'>{safe(self.data['prompt'])}</q>")
        return Html(self.paragraph("story.still_dice", prompt=begun, n=len(order)) + listed)

    def looking(self) -> Html:
        """The chosen head's attention over a line, as a picture."""
        chosen, ids = self.data["chosen_head"], self.data["history_ids"]
        if chosen is None:
            return self.paragraph("story.no_heads")
        layer, head = chosen["layer"], chosen["head"]
        weights = self.end.trace(ids)[f"blocks.{layer}.attention.weights"][head]  # (T, T)
        cell, edge, T = 16, 22, len(ids)
        size = edge + cell * T
        parts = []
        for row in range(T):
            middle = edge + cell * row + 12
            for place in (f'x="{edge - 6}" y="{middle}"', f'x="{middle - 4}" y="{edge - 6}"'):
                parts.append(
                    f'<text {place} text-anchor="middle" font-size="12" '
                    f'fill="currentColor">{self._glyph(ids[row], isolated=False)}</text>'
                )
            for column in range(row + 1):
                share = float(weights[row, column])
                parts.append(
                    f'<rect x="{edge + cell * column}" y="{edge + cell * row}" width="{cell - 1}" '
                    f'height="{cell - 1}" fill="{cividis(share)}"/>'
                )
        picture = (
            f'<svg class="still-attention" viewBox="0 0 {size} {size}" width="{size}" '
            f'height="{size}" role="img" aria-label="{self.say("story.attention_label")}">'
            f"{''.join(parts)}</svg>"
        )
        figure = f"<figure>{picture}<figcaption>{self._head(chosen)}</figcaption></figure>"
        return Html(self.paragraph("story.still_looking") + self._traced(ids, figure))

    def _head(self, chosen: Mapping[str, int]) -> Html:
        """What the chosen head looks at, in words."""
        at = next(
            i
            for i, head in enumerate(self.data["heads"])
            if (head["layer"], head["head"]) == (chosen["layer"], chosen["head"])
        )
        head = self.data["heads"][at]
        place = {"layer": head["layer"] + 1, "head": head["head"] + 1}
        if head["label"] is None:
            return self.say("story.head_unclear", **place)
        mass, even = (head[kind][head["label"]] for kind in ("mass", "expected"))
        return self.say(
            "story.head_clear",
            **place,
            label=self.say(f"story.head.{head['label']}"),
            mass=number(mass, f"heads[{at}].mass.{head['label']}", percent(mass)),
            even=number(even, f"heads[{at}].expected.{head['label']}", percent(even)),
        )

    def copying(self) -> Html:
        """The longest passage that its samples share with the training text."""
        copied = (self.data["verdict"] or {}).get("copied")
        if not copied:
            return self.paragraph("story.no_copies")
        length = number(copied["length"], "verdict.copied.length", f"{copied['length']:,}")
        return self.paragraph("story.still_copying", length=length)

    def room(self) -> Html:
        """Every value of the forward pass with its equation."""
        rows = "".join(
            f"<tr><td><code>{safe(v['name'])}</code></td><td>{safe(v['shape'])}</td>"
            f"<td><code>{safe(v['equation'])}</code></td></tr>"
            for v in self.data["values"]
            if self.data["rung"] in v["rungs"]
        )
        heading = "".join(
            f'<th scope="col">{self.say(f"story.room_{name}")}</th>'
            for name in ("name", "shape", "equation")
        )
        return Html(
            f"{self.paragraph('story.still_room')}<details><summary>{self.say('story.room_open')}"
            '</summary><div class="still-wide"><table>'
            f"<thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table></div></details>"
        )

    def _parts(self) -> dict[str, Html]:
        """How many characters the model learned from, was chosen by, and is judged by."""
        text = self.data["text"]
        names = ("train", "validation", "held_out")
        return {name: number(text[name], f"text.{name}", f"{text[name]:,}") for name in names}

    def _glyph(self, i: int, isolated: bool = True) -> str:
        shown = safe(glyph(self.characters[i]))
        return f"<bdi>{shown}</bdi>" if isolated else shown

    # --- words ------------------------------------------------------------------------------------

    def story(self) -> Html:
        """What a language model is, told with this one's numbers."""
        data = self.data
        moments = data["history"]
        end = next(i for i, moment in enumerate(moments) if moment["model"] == "end")
        first, last = moments[0]["nats"], moments[end]["nats"]
        counted = {
            name: number(data[group][name], f"{group}.{name}", f"{data[group][name]:,}")
            for group, name in (("text", "characters"), ("text", "distinct"), ("training", "steps"))
        }
        size = number(data["parameters"], "parameters", f"{data['parameters']:,}")
        parts = [
            ("what", "story.what", {"parameters": size}),
            ("token", "story.token", {"distinct": counted["distinct"]}),
            ("trained", "story.trained", {"steps": counted["steps"]}),
            ("parts", "story.parts", {"characters": counted["characters"], **self._parts()}),
        ]
        if end > 0 and first is not None and last is not None:
            torn = {
                "first": self._torn("history[0].nats", first),
                "last": self._torn(f"history[{end}].nats", last),
                "nats": number(last, f"history[{end}].nats", f"{last:.2f}"),
            }
            parts.append(("loss", "story.loss", torn))
        else:
            parts.append(("loss", "story.loss_alone", {}))
        none = "" if data["heads"] else "_none"
        parts.append(("attention", f"story.attention{none}", {}))
        parts.append(("invents", "story.invents", {}))
        copied = (data["verdict"] or {}).get("copied")
        if copied:
            length = number(copied["length"], "verdict.copied.length", f"{copied['length']:,}")
            parts.append(("copies", "story.copies", {"length": length}))
        else:
            parts.append(("copies", "story.copies_unjudged", {}))
        parts.append(("temperature", "story.temperature", {}))
        pairs = data["opponents"].get("letter pairs")
        if pairs is not None and last is not None:
            against = {
                "pairs": self._torn("opponents.letter pairs", pairs),
                "last": self._torn(f"history[{end}].nats", last),
            }
            parts.append(("bigger", "story.bigger", against))
        else:
            parts.append(("bigger", "story.bigger_alone", {}))
        block = self.end.config.block_size
        seen = number(block, "models[0].config.block_size", f"{block:,}")
        parts.append(("cannot", "story.cannot", {"seen": seen}))
        told = [
            f"<h3>{self.say(f'story.{heading}_heading')}</h3>{self.paragraph(key, **filled)}"
            for heading, key, filled in parts
        ]
        return Html("\n".join(told))

    def lead(self) -> Html:
        """One sentence about this model."""
        text = self.data["text"]
        return self.paragraph(
            "story.lead",
            text=text["name"],
            characters=number(text["characters"], "text.characters", f"{text['characters']:,}"),
        )

    def contents(self) -> Html:
        """What the file holds and what it gives away."""
        rows = []
        for i, line in enumerate(self.data["contents"]):
            size = number(line["bytes"], f"contents[{i}].bytes", f"{line['bytes']:,}")
            amount = self.say("story.bytes", n=size)
            rows.append(
                f"<li><strong>{safe(line['what'])}</strong> ({amount}). {safe(line['tells'])}</li>"
            )
        return Html(f"<ul>{''.join(rows)}</ul>")


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.343), percent(0.0042), percent(0.00001)
    ('34 %', '0.4 %', '< 0.1 %')
    """
    if share < 0.001:
        return "< 0.1 %" if share > 0 else "0 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def cividis(share: float) -> str:
    """The colour of a number from 0 to 1, interpolated between nine.

    >>> cividis(0), cividis(1)
    ('#00224e', '#fee838')
    """
    at = min(max(share, 0.0), 1.0) * (len(_CIVIDIS) - 1)
    low = min(int(at), len(_CIVIDIS) - 2)
    pair = (_CIVIDIS[low], _CIVIDIS[low + 1])
    a, b = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in pair)
    mixed = (round(u + (v - u) * (at - low)) for u, v in zip(a, b, strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed)
