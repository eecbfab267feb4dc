"""The pages as HTML; every text that came from outside is escaped.

Predictor; Entry and error, or Prediction -> HTML text
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markupsafe import Markup

from mammo.evaluation.estimates import in_words
from mammo.inference.exam.reading import MAX_IMAGES
from mammo.inference.prediction import NOTICE, Prediction, Score, explained
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError, Refusal
from mammo.inference.web import words
from mammo.inference.web.entry import CLINICAL, Entry, FieldsError
from mammo.inference.web.queue import KEEP_S
from mammo.pages.environment import data_uri, environment

FOLDER = Path(__file__).parent
# what a browser lets through before the upload, which may be more than mammo.records.tables.numerals reads
NUMBER = r'\s*([+\-]?(\d+[.,]?\d*|[.,]\d+)|[Uu]nknown)?\s*'
NEED_SLOT = (Refusal.MISSING_VIEW, Refusal.CONTRADICTION)  # problems that the places for side and view solve


class Problem(NamedTuple):
    """What stands above the form when an exam was not scored."""

    message: str
    reason: Refusal
    fields: dict[str, str]  # message by name of a clinical variable

    @classmethod
    def of(cls, error: ExamError) -> 'Problem':
        """An error of an exam in the words of the page, with advice."""
        if isinstance(error, FieldsError):
            return cls('Some clinical values cannot be used', error.reason, error.fields)
        text = error.message if ': ' in error.message else words.sentence(error.message)  # not a file name
        return cls(text, error.reason, {})


class Pages:
    """All pages of one bundle."""

    def __init__(self, predictor: Predictor, max_bytes: int) -> None:
        self.predictor = predictor
        self.environment = environment(FOLDER / 'templates')
        self.environment.filters |= dict(
            task=words.task_words, quantity=words.quantity, lead=words.lead, in_words=in_words,
            level=words.level_words,
            sentence=words.sentence, explained=explained, data_uri=data_uri, number=number,
        )  # fmt: skip
        self.environment.globals |= dict(
            notice=NOTICE, bundle_id=predictor.bundle_id, label=predictor.label, sides=words.SIDES,
            slots=words.SLOTS, schema=predictor.schema, measures=words.MEASURES, max_images=MAX_IMAGES,
            max_bytes=max_bytes, n_models=len(predictor.members), prefix=CLINICAL,
            knows_preprocessing=predictor.preprocessed, keep_min=KEEP_S // 60, number_pattern=NUMBER,
        )  # fmt: skip

    def form(self, entry: Entry | None = None, problem: Problem | None = None) -> str:
        """The form, with what was typed before and what was wrong with it."""
        open_slots = bool(problem and problem.reason in NEED_SLOT)
        return self._render('form', entry=entry or Entry(), problem=problem, open_slots=open_slots)

    def result(self, prediction: Prediction, key: str) -> str:
        """The answer, with pictures and JSON inside the page; ``key`` of its exam."""
        pictures: list[bytes | None] = [*prediction.overlays().values()]
        pictures = pictures or [None] * len(prediction.images)
        images = list(zip(prediction.images, pictures, strict=True))
        return self._render(
            'result', answer=prediction, images=images, scale=scale(prediction.main),
            json=prediction.to_json(), key=key,
        )  # fmt: skip

    def waiting(self, ahead: int, progress: tuple[int, int], key: str) -> str:
        """Exams that come before, or images seen and all; the page asks again by itself."""
        return self._render('waiting', ahead=ahead, n_seen=progress[0], n_images=progress[1], key=key)

    def card(self) -> str:
        """The model card; HTML in it is shown as text, not used."""
        markdown = MarkdownIt('commonmark', dict(html=False)).enable('table').disable('image')
        tokens = markdown.parse(self.predictor.card)
        for token in tokens:
            token.attrs.pop('style', None)  # alignment, which the policy of the page does not allow
        html = markdown.renderer.render(tokens, markdown.options, {})
        return self._render('card', text=Markup(html))  # escaped by the renderer

    def message(self, status: int, text: str) -> str:
        """The page of an HTTP error."""
        title = Refusal.of_status(status).meaning
        return self._render('message', title=title, text='' if text == HTTPStatus(status).phrase else text)

    def _render(self, name: str, **values: Any) -> str:
        return self.environment.get_template(f'{name}.html.jinja').render(**values)


def scale(score: Score) -> dict[str, float | None] | None:
    """Places from 0 to 100 on the drawn scale of a prob."""
    if score.kind != 'binary':
        return None
    threshold = score.decision['threshold'] if score.decision else None
    places = dict(value=score.lead, threshold=threshold)
    return {k: None if v is None else round(100 * min(1, max(0, v)), 2) for k, v in places.items()}


def number(value: float) -> str:
    """A bound of a range, as short as it is exact."""
    return f'{value:g}'
