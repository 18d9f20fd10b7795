"""Poor explanations for lesson 17: what is replaced in the solution, by what, and which words of
the message name what is wrong with it."""

from importlib.resources import files

_LESSON = files("babypoet") / "course" / "lessons" / "17_explain"
_SOLUTION = (_LESSON / "solution.md").read_text(encoding="utf-8")
_START = (_LESSON / "start.md").read_text(encoding="utf-8")
_BODY, _RUBRIC = _SOLUTION.split("## Rubric")
_TICKED = "## Rubric" + _RUBRIC

_BUZZ = (
    "My model is a state of the art neural network. It is a transformer with self-attention and "
    "many layers, and its parameters are found by training with an optimizer on a powerful loss. "
    "First come the embeddings, which are vectors, then multi-head attention, which is the key "
    "mechanism, and at the end softmax gives a probability distribution over tokens. "
)
_MORE = (
    "The gradients flow through all layers by backpropagation, and residual connections keep them "
    "alive. Attention lets the tensors exchange context, so that the representation becomes rich. "
    "Hyperparameters were tuned with care. The architecture scales, generalises and adapts to any "
    "domain, and with more data and more layers it would be even more intelligent. "
)
_LAST = (
    "In this way deep learning makes it possible to generate text of high quality at the push of a "
    "button. The learned weights encode knowledge about language on several levels of abstraction. "
    "The decoder works autoregressively, which means that tokens are generated one after the other "
    "given the context. Sampling strategies control diversity. Normalisation and activation "
    "functions make the optimisation stable, while weight decay acts as a regulariser. Altogether "
    "it is an elegant and powerful approach, used by all leading companies, that has changed the "
    "field of artificial intelligence completely and for good. "
)

WRONG = [
    (_SOLUTION, "", "is empty"),
    (_SOLUTION, _START, "still the template"),
    (_BODY, _START.split("## Rubric")[0], "still the template"),
    (_BODY, "# How my model writes\n\nIt guesses the next letter, 79 of them.\n\n", "too short"),
    (_BODY, "# How my model writes\n\n" + _BODY.split("#", 1)[1] * 3, "too long"),
    (_BODY, "# How my model writes\n\n" + "It guesses the next letter of a text. " * 40, "repeats"),
    (
        _BODY,
        (_LESSON / "lesson.md").read_text(encoding="utf-8"),
        "copied from the lesson",
    ),
    (_BODY, "# How my model writes\n\n" + _BUZZ + _MORE + _LAST + "\n\n", "no example"),
    (
        _BODY,
        "# How my model writes\n\n" + _BUZZ + _MORE + _LAST + 'It wrote "the sea" 3 times.\n\n',
        "full of technical words",
    ),
    (_RUBRIC, _RUBRIC.replace("[x]", "[ ]"), "10 boxes are not ticked"),
    (
        "- [x] It says how the model learns.",
        "- [ ] It says how the model learns.",
        "One box is not",
    ),
    ("- [x] It says how the model learns.\n", "", "line of the rubric is gone"),
]
