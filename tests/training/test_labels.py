"""One spelling of labels, whatever they were stored as."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from training.errors import DataError
from training.labels import in_order, read_labels, word


@pytest.mark.parametrize(
    ("spellings", "label"),
    [
        ((1, 1.0, "1", "1.0", " 1 ", np.int8(1), np.float32(1), [1], "[1]"), "1"),
        ((-1, -1.0, "-1", "-1.0"), "-1"),
        (("01", "01 "), "01"),
        ((0.5, "0.5"), "0.5"),
        ((True, "True", "true", "TRUE", " true", np.bool_(True)), "True"),
        ((False, "False", "false", "FALSE"), "False"),
        (("very  good", " very good\n", "very\u00a0good", b"very good", ["very good"], '["very good"]'), "very good"),
        (("M\u00fcll", "Mu\u0308ll"), "M\u00fcll"),
        ((None, float("nan"), "", "  ", np.nan, pandas.NA, pandas.NaT, [], "[]"), ""),
        (("NA",), "NA"),
        (("None",), "None"),
        (("null",), "null"),
        (("nan",), "nan"),
        (("1e3",), "1e3"),
        (("1,000",), "1,000"),
    ],
)  # fmt: skip
def test_what_was_written_decides_and_not_how_it_is_stored(spellings, label):
    assert {word(value) for value in spellings} == {label}


@pytest.mark.parametrize(
    "values",
    [
        [True, False, None],
        ["true", "FALSE", ""],
        np.array(["True", "false", " "]),
        pandas.array([True, False, None], dtype="boolean"),
        np.array([True, False, None], object),
        [b"true", b"False", b""],
    ],
)
def test_booleans_are_two_classes_in_every_container(values):
    labels = read_labels(values, "x")
    assert (labels.index.tolist(), labels.classes) == ([1, 0, -1], ("False", "True"))


@pytest.mark.parametrize(
    "values", [[1, 0, 10], [1.0, 0.0, 10.0], ["1", "0", "10"], np.array([1, 0, 10], np.uint8)]
)
def test_numbers_are_words_in_order_of_value(values):
    labels = read_labels(values, "x")
    assert (labels.index.tolist(), labels.classes) == ([1, 0, 2], ("0", "1", "10"))


def test_order_does_not_trip_over_words_that_python_reads_as_numbers():
    words = ["nan", "b", "10", "9", "-1", "inf", "1_0", "a", "2.5"]
    assert in_order(words) == in_order(words[::-1]) == ("-1", "2.5", "9", "10", "1_0", "a", "b", "inf", "nan")


def test_classes_that_differ_in_case_alone_are_joined_and_said():
    labels = read_labels(["Pos", "pos", "pos", "POS", "neg"], "x")
    assert (labels.index.tolist(), labels.classes) == ([1, 1, 1, 1, 0], ("neg", "pos"))
    assert labels.notes == ("'POS', 'Pos' are read as 'pos': only the case differs",)


def test_letters_of_both_cases_stay_classes_and_are_said():
    labels = read_labels(["a", "A", "Co", "CO"], "x")
    assert labels.classes == ("A", "CO", "Co", "a")
    assert len(labels.notes) == 2


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 1, -1, 1.0], [0, 1, -1, 1]),
        (["no", "Yes", None, "yes "], [0, 1, -1, 1]),
        (["0", "1", "", "1"], [0, 1, -1, 1]),
        ([False, True, None, True], [0, 1, -1, 1]),
    ],
)
def test_declared_classes_keep_their_order(values, found):
    labels = read_labels(values, "x", ("no", "Yes"))
    assert (labels.index.tolist(), labels.classes) == (found, ("no", "Yes"))


def test_digits_that_are_declared_names_are_names():
    assert read_labels(["3", "1"], "x", ("1", "3")).index.tolist() == [1, 0]
    assert read_labels([1, 0], "x", ("1", "3")).index.tolist() == [1, 0]


@pytest.mark.parametrize("values", [["maybe", "no"], [0, 2], [-2, 0]])
def test_labels_beyond_the_declared_ones_are_refused(values):
    with pytest.raises(DataError, match="x: label '.+' is not one of its 2 classes"):
        read_labels(values, "x", ("no", "yes"))


@pytest.mark.parametrize(
    "values",
    [
        ["a;b", "a", "b"],
        ["news|sport", "sport|film", "news"],
        ["a, b", "a", "b"],
        [["a", "b"], ["a"]],
        ["['a', 'b']", "['c']"],
        ['["a", "b"]', '["c"]'],
        [("a", "b"), ("c",)],
        np.array([["a", "b"], ["c", "d"]]),
        [{"a": 1, "b": 0}, {"a": 0, "b": 1}],
    ],
)
@pytest.mark.parametrize("classes", [None, ("a", "b", "c", "news")])
def test_several_labels_in_a_cell_are_refused_as_such(values, classes):
    with pytest.raises(DataError, match="several labels, such as"):
        read_labels(values, "x", classes)


@pytest.mark.parametrize(
    "values",
    [["Sci/Tech", "World"], ["Home; Garden", "Toys"], ["Books, used", "Books"], ["a,b", "a"], ["[x", "y]"]],
)
def test_one_label_with_a_sign_in_it_is_one_label(values):
    assert set(read_labels(values, "x").classes) == set(values)


@pytest.mark.parametrize(
    "values",
    [
        [i * 0.37 + 0.1 for i in range(12)],
        [f"{i / 100:.2f}" for i in range(100)] * 9,
        ["1e-3", "2e-3", "0.5", "7", "9.25"],
    ],
)
def test_quantities_are_no_classes(values):
    with pytest.raises(DataError, match="different numbers with decimals as labels .*: that is a quantity"):
        read_labels(values, "a.csv")


@pytest.mark.parametrize(
    "values", [[0.5, 1.5, 2.5, 4.5] * 3, list(range(80)), [0.5, 1.0, 1.5, 2, 2.5, 3] * 4]
)
def test_ratings_and_whole_numbers_are_classes(values):
    assert len(read_labels(values, "a.csv").classes) == len(set(values))
