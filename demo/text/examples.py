"""Texts to start from: our own words, free to redistribute with the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Passage(NamedTuple):
    """What the button says, the text, and the class that a reader would give it; "" where none fits."""

    name: str
    text: str
    label: str = ""


Passages = tuple[Passage, ...]

ODD = Passage(
    "Emoji, other scripts",
    "🎬🍿 Wow!!! 😍 Фильм был прекрасен, 映画は素晴らしかった, ¡qué maravilla! <b>10/10</b> 👏👏",
)
LIST = Passage("A shopping list", "Buy milk, eggs and bread.")

NEWS: Passages = (
    Passage(
        "Bakery chain",
        "The bakery chain said on Tuesday that profit rose by a fifth in the third quarter, as customers bought more "
        "bread in the morning and the price of wheat fell. Its shares gained six percent, and investors now expect "
        "a higher dividend in spring.",
        "Business",
    ),
    Passage(
        "Relay final",
        "Nobody had given the young relay team a chance. But after a clean last exchange their runner passed two "
        "rivals on the final bend and won the gold medal by the width of a shoulder, in the fastest time of the "
        "season. The coach was in tears.",
        "Sports",
    ),
    Passage(
        "River treaty",
        "Ministers of the four countries along the river signed a treaty on Monday that shares its water in dry "
        "years. The talks had stopped twice because of troops near the border. The president called it a victory of "
        "patience; the opposition wants parliament to vote on it.",
        "World",
    ),
    Passage(
        "Small satellite",
        "A satellite no larger than a shoe box has sent its first pictures of the far side of the moon. Students "
        "wrote the software and built the radio from parts of old phones. Researchers say such tiny spacecraft will "
        "make experiments in orbit ten times cheaper.",
        "Sci/Tech",
    ),
    Passage(
        "Two topics",
        "The football club sold its stadium to a maker of computer chips, which will pay in shares and cover the "
        "roof with sensors. Fans protested in front of the town hall.",
    ),
    ODD,
    LIST,
)

REVIEWS: Passages = (
    Passage(
        "Warm",
        "I went in expecting very little and came out with wet eyes. The two old brothers who repair a piano that "
        "nobody wants are a joy to watch, the jokes are gentle, and the last scene is quietly perfect. I will see it "
        "again with my mother.",
        "positive",
    ),
    Passage(
        "Long",
        "My sister chose this one, and for the first quarter of an hour I was grateful. It opens in a lighthouse, with "
        "a storm that somebody took great trouble over, and an old keeper who talks to his lamp as other people talk "
        "to a dog. I liked him at once. Then his daughter arrives from the city with a suitcase and a secret, and the "
        "film begins to explain itself. She explains the secret to the keeper, the keeper explains it to the postman, "
        "and the postman, who has been given a comic moustache and no jokes, explains it to the whole village in the "
        "church. Every time the camera walks slowly towards a face, as if there were something in it. There is not. "
        "The colours are lovely, I will say that, and the sea does what it can. A younger actor might have saved the "
        "scenes in the boat, which should have been frightening and are only wet. By the time the lamp goes out, and "
        "of course it goes out, I had counted the planks in the ceiling. When the lights came on my sister was asleep, "
        "and the man behind us asked whether he had missed anything. I told him the truth: a dull, empty and badly "
        "written film, two wasted hours, and the worst that I have seen this year. Avoid it.",
        "negative",
    ),
    Passage(
        "Cold",
        "Two hours of people explaining the plot to one another in dark rooms. The hero has one expression, the music "
        "shouts what we should feel, and the ending was clear after ten minutes. A waste of a fine cast and of my "
        "evening.",
        "negative",
    ),
    Passage(
        "First bad, then good",
        "The first half hour is dull, and the dialogue sounds as if nobody had ever spoken it aloud. I nearly left. "
        "Then the storm comes, the film forgets its lesson about greed and simply follows three frightened people "
        "across a field at night, and it is magnificent: tense, funny and strange. What a pity about the beginning, "
        "and how glad I am that I stayed.",
        "positive",
    ),
    Passage(
        "Faint praise",
        "It is not that the film is bad. Every shot is pretty, everyone is dressed beautifully, and not one of them "
        "has anything to say. If you liked the poster you have seen the best of it.",
        "negative",
    ),
    Passage(
        "Negation",
        "Not once was I bored, and I never believed that I could care so much about a chess club.",
        "positive",
    ),
    ODD,
    LIST,
)


def of(classes: Sequence[str]) -> Passages:
    """Those that suit a model: reviews where it tells praise from blame, news otherwise."""
    return REVIEWS if {c.lower() for c in classes} & {"positive", "pos", "good"} else NEWS
