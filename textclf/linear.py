"""Linear classifiers on words, pairs of words and pieces of words: what a practitioner has without any network.

``linear_models`` trains each kind of ``KINDS`` with its strength chosen on validation. They stand in every table of
plans: TF-IDF with a support vector machine, the same with pieces of words beside the words, and NB-SVM (Wang & Manning
2012, "Baselines and Bigrams", ACL).
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.texts import TextData

Array = NDArray[Any]
Machines = list[tuple[Array, float]]  # weights (F,) and intercept, for each class or for the second of two

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the TF-IDF model's regularisation; validation chooses
NB_STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)  # of NB-SVM's, whose features are already weighed
SHARES = (0.25, 0.5, 1.0)  # of the machine's own weights; the rest is their mean size, as in naive Bayes
SMOOTHING = 1.0  # added to each count of a feature, so that unseen ones say nothing
TOKEN = r"\w+|[^\w\s]"  # punctuation counts: "!" and "?" are opinions too


@dataclass(frozen=True)
class Linear:
    """A trained linear classifier.

    Args:
        predict: texts -> class indices ``(N,)``.
        strength: of its regularisation, the best of those tried on validation.
        validation_accuracy: there.
        features: words, pairs and pieces that it knows.
        megabytes: of its vocabulary and weights, pickled.
    """

    predict: Callable[[Sequence[str]], Array]
    strength: float
    validation_accuracy: float
    features: int
    megabytes: float


def linear_models(
    data: TextData, strengths: Mapping[str, float] | None = None, kinds: Iterable[str] | None = None
) -> dict[str, Linear]:
    """Each kind of linear classifier, trained on the training texts: name -> model.

    Args:
        strengths: of kinds whose strength is known already: these are not tried again.
        kinds: of ``KINDS``; those of the strengths, or all, if left out.
    """
    from sklearn.exceptions import ConvergenceWarning

    known = strengths or {}
    with warnings.catch_warnings():  # the strongest of those tried seldom converge, and are seldom the best
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {name: KINDS[name](data, known.get(name)) for name in kinds or known or KINDS}


def tfidf_svm(data: TextData, strength: float | None = None) -> Linear:
    """TF-IDF of words and pairs with a linear support vector machine."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return _svm(TfidfVectorizer(ngram_range=(1, 2), min_df=least(data), sublinear_tf=True), data, strength)


def pieces_svm(data: TextData, strength: float | None = None) -> Linear:
    """TF-IDF of words and pairs, and of three and four letters within a word, with a support vector machine."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=least(data), sublinear_tf=True)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), min_df=least(data), sublinear_tf=True)
    return _svm(make_union(words, pieces), data, strength)


def _svm(features: Any, data: TextData, strength: float | None) -> Linear:
    """A linear support vector machine on what ``features``, a transformer of scikit-learn, makes of texts."""
    from sklearn.svm import LinearSVC

    x, held = features.fit_transform(data.train.texts), features.transform(data.validation.texts)
    label, held_label = data.train.labels.numpy(), data.validation.labels.numpy()
    tried = STRENGTHS if strength is None else (strength,)
    fitted = {c: LinearSVC(C=c, random_state=0).fit(x, label) for c in tried}
    right = {c: float(machine.score(held, held_label)) for c, machine in fitted.items()}
    best = max(right, key=right.__getitem__)

    def predict(texts: Sequence[str]) -> Array:
        found: Array = fitted[best].predict(features.transform(texts))
        return found

    return Linear(predict, best, right[best], x.shape[1], _megabytes(features, fitted[best]))


def nb_svm(data: TextData, strength: float | None = None) -> Linear:
    """NB-SVM: a support vector machine on which words and pairs occur, each weighed by its log count ratio.

    One machine a class against the rest; two classes need one. Validation chooses its strength and how far it may
    depart from naive Bayes.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    features = CountVectorizer(ngram_range=(1, 2), min_df=least(data), token_pattern=TOKEN, binary=True)
    x, held = features.fit_transform(data.train.texts), features.transform(data.validation.texts)
    label, held_label = data.train.labels.numpy(), data.validation.labels.numpy()
    targets = [1] if len(data.classes) == 2 else range(len(data.classes))
    ratios = [log_count_ratio(x, label == target) for target in targets]
    found: dict[tuple[float, float], Machines] = {}
    for tried in NB_STRENGTHS if strength is None else (strength,):
        own = [_own_weights(x, label == t, r, tried) for t, r in zip(targets, ratios, strict=True)]
        for share in SHARES:
            found[tried, share] = [
                (r * ((1 - share) * np.abs(w).mean() + share * w), b)
                for r, (w, b) in zip(ratios, own, strict=True)
            ]
    right = {how: float((_decide(held, machines) == held_label).mean()) for how, machines in found.items()}
    best = max(right, key=right.__getitem__)
    size = _megabytes(features, found[best])
    return Linear(
        lambda texts: _decide(features.transform(texts), found[best]), best[0], right[best], x.shape[1], size
    )


KINDS: dict[str, Callable[[TextData, float | None], Linear]] = {
    "TF-IDF": tfidf_svm,
    "words and characters": pieces_svm,
    "NB-SVM": nb_svm,
}


def _megabytes(*parts: Any) -> float:
    return len(pickle.dumps(parts)) / 1e6


def least(data: TextData) -> int:
    """In how many texts a feature must occur; small sets keep every one."""
    return min(2, max(1, len(data.train) // 100))


def log_count_ratio(x: Any, inside: Array) -> Array:
    """How much likelier each feature is inside a class than outside, ``(F,)`` in nats; ``x`` sparse ``(N, F)``."""
    counts = [SMOOTHING + np.asarray(x[rows].sum(0)).ravel() for rows in (inside, ~inside)]
    ratio: Array = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
    return ratio


def _own_weights(x: Any, inside: Array, ratio: Array, strength: float) -> tuple[Array, float]:
    """Weights ``(F,)`` of the features times ``ratio``, and the intercept, of a class against the rest."""
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=strength, random_state=0).fit(x.multiply(ratio).tocsr(), inside)
    return machine.coef_[0], float(machine.intercept_[0])


def _decide(x: Any, machines: Machines) -> Array:
    """Class indices ``(N,)`` of features ``(N, F)``: the class whose machine speaks up most."""
    scores = np.stack(
        [x @ weights + intercept for weights, intercept in machines], 1
    )  # (N, K), or (N, 1) for two
    chosen: Array = (scores[:, 0] > 0).astype(np.int64) if len(machines) == 1 else scores.argmax(1)
    return chosen
