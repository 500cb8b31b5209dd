"""`lib.corpora.town`: what is told is true, and the checker knows what is not."""

# ruff: noqa: E501 (a story reads best on one line)
from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from lib.corpora import CorpusError, read
from lib.corpora._town_lexicon import TAGS
from lib.corpora._town_sums import is_held_out_step
from lib.corpora._town_words import BOYS, GIRLS, KINDS, PLACES
from lib.corpora._town_world import Chance, Event, Moment, Person, Thing, World
from lib.corpora.town import (
    CARD,
    PARTS,
    Story,
    answer,
    arithmetic,
    card,
    check_story,
    is_held_out_combination,
    score_stories,
    story,
)

ROOT = Path(__file__).parents[1]
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple", "orange", "pink")


@cache
def stories() -> tuple[Story, ...]:
    """600 stories of both splits."""
    return tuple(story(i, split, seed=1) for i in range(300) for split in ("train", "held_out"))


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_text(part: str) -> None:
    corpus = read("town", part=part, size=30)
    assert len(corpus) == len(list(corpus)) == corpus.card()["documents"] == 30
    assert list(corpus) == list(corpus)
    assert len(set(corpus)) == 30 or part == "identity"  # there are few ways to ask for a name
    assert all(document.strip() == document and document.isascii() for document in corpus)
    assert "\n\n" not in "".join(corpus)  # a blank line parts documents, nothing else does
    assert len(read("town", part=part)) == 10_000


def test_documents_are_made_one_by_one() -> None:
    """Any one at once, and none is kept: a million cost nothing until they are read."""
    million = read("town", size=1_000_000)
    began = time.process_time()
    late = million.documents[999_999].load()
    assert time.process_time() - began < 1
    assert late == story(999_999).text
    assert [document.key for document in million.documents[2:4]] == [
        "0/stories/train/2",
        "0/stories/train/3",
    ]
    assert million.documents[5].load() == list(read("town", size=6))[5]


def test_seeds_and_splits_differ() -> None:
    seen: Counter[str] = Counter()
    for seed in (0, 1):
        for split in ("train", "held_out"):
            seen.update(read("town", size=200, split=split, seed=seed))
    assert max(seen.values()) == 1
    everything = list(read("town", size=40, split="all"))
    train, held_out = list(read("town", size=36)), list(read("town", size=4, split="held_out"))
    assert everything == [t for k in range(4) for t in (*train[9 * k : 9 * k + 9], held_out[k])]


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"path": "x"}, {"part": "poems"}, {"split": "test"}]
)
def test_wrong_requests(wrong: dict[str, object]) -> None:
    with pytest.raises(CorpusError):
        read("town", **wrong)  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="'train' or 'held_out'"):
        story(0, "all")


FROZEN = {
    "train": "6fe4631cd3e9dea608ba79804c1bd7034857b80d90a71fac758447793bb24ad2",
    "held_out": "cb987576d5ae34799a84f32aec0997e402246d20ba91c7f65ab822b8401e5f32",
}
DIGEST = (
    "import hashlib; from lib.corpora import read; "
    "[print(split, hashlib.sha256(chr(0).join(read('town', size=200, split=split)).encode())"
    ".hexdigest()) for split in ('train', 'held_out')]"
)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_the_same_bytes_on_every_python(version: str) -> None:
    """Also without torch and with another hash seed. Checkpoints were trained on these bytes."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        python = Path(sys.executable)
    else:
        found = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
        if not found:
            pytest.skip(f"there is no Python {version} here")
        python = found[-1]
    run = subprocess.run(
        [python, "-c", DIGEST],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "7"},
    )
    assert run.returncode == 0, run.stderr
    assert dict(line.split() for line in run.stdout.splitlines()) == FROZEN


def test_held_out_combinations() -> None:
    """None happens in training; at least one in every held-out story."""
    happened = {
        split: [s for s in stories()[k::2]] for k, split in enumerate(("train", "held_out"))
    }
    for split, some in happened.items():
        for one in some:
            held = [c for c in one.combinations if is_held_out_combination(*c)]
            assert bool(held) == (split == "held_out"), (split, held)
    kinds = [
        (k, "give", n) for k in list(KINDS)[:40] for n in ("hat", "kite", "saw", "bun", "ring")
    ]
    assert 10 < sum(is_held_out_combination(*c) for c in kinds) < 35


def test_speed() -> None:
    """Half a megabyte a second on one core: measured 1.9; here a tenth is enough."""
    began = time.process_time()
    size = sum(len(text) for text in read("town", size=300, seed=3))
    assert size / (time.process_time() - began) > 190_000


# --- the truth --------------------------------------------------------------------------------------


def test_what_happened_could_happen() -> None:
    """Every event is possible after those before it, and its moment is what follows from it."""
    for one in stories()[:200]:
        assert len(one.events) == len(one.moments)
        for event, before, after in zip(one.events[1:], one.moments, one.moments[1:]):
            now = world(before)  # who and what comes in with this event was there before
            now.place = {**after.place, **now.place}
            for thing, holder in after.holder.items():
                if thing not in now.lies:
                    now.holder.setdefault(thing, holder)
            for thing, place in after.lies.items():
                if thing not in now.holder:
                    now.lies.setdefault(thing, place)
            if event.kind == "share_out" and event.thing and event.who:
                now.holder.setdefault(event.thing, event.who)
            assert not now.problem(event), (event.kind, one.text)
            if event.kind in ("give", "lend", "return"):
                assert after.holder[event.thing] is event.whom  # type: ignore[index]
            if event.kind == "go":
                assert after.place[event.who] == event.place  # type: ignore[index]
        told = [number for sentence in one.sentences for number in sentence.events]
        late = [number for number in told if number]  # event 0 is told twice: who, and what day
        assert late == sorted(late)
        assert all(event.cause < event.index for event in one.events)


def world(moment: Moment) -> World:
    """A world as it was at a moment."""
    return World(
        Chance(0), moment.weather, moment.daytime, place=dict(moment.place),
        holder=dict(moment.holder), lies=dict(moment.lies), locked=dict(moment.locked),
        broken=set(moment.broken), gone=set(moment.gone), asleep=set(moment.asleep),
    )  # fmt: skip


# --- the checker ------------------------------------------------------------------------------------


def test_it_accepts_what_is_told() -> None:
    """Measured 99.9 % of 4,000."""
    scores = score_stories(one.text for one in stories())
    assert scores["stories"] == 600
    assert scores["good"] >= 0.99, scores
    assert scores["parse"] >= 0.995, scores
    assert 110 < scores["words"] < 160


def test_it_shares_only_the_dictionary() -> None:
    """The checker's modules import nothing of the storyteller's, and the other way around."""
    telling = set(
        [
            "_town_teller",
            "_town_phrases",
            "_town_openings",
            "_town_ways",
            "_town_hands",
            "_town_moods",
            "_town_wants",
            "_town_speech",
            "_town_news",
            "_town_quarrels",
            "_town_adventures",
            "_town_endings",
            "_town_story",
            "_town_themes",
            "_town_plots",
            "_town_world",
        ]
    )
    reading = set(
        [
            "_town_lexicon",
            "_town_grammar",
            "_town_clauses",
            "_town_nouns",
            "_town_predicates",
            "_town_reader",
            "_town_sentences",
            "_town_state",
            "_town_moves",
            "_town_deeds",
            "_town_sky",
            "_town_checker",
        ]
    )
    for some, others in ((reading, telling), (telling, reading)):
        for name in some:
            source = (ROOT / f"lib/corpora/{name}.py").read_text(encoding="utf-8")
            imported = set(re.findall(r"^(?:from|import) lib\.corpora\.(\w+)", source, re.M))
            assert not imported & others, (name, imported & others)


def test_every_word_is_in_the_dictionary() -> None:
    words = Counter(w for one in stories() for w in re.findall(r"[A-Za-z]+", one.text))
    small = {
        "and",
        "but",
        "not",
        "named",
        "called",
        "because",
        "while",
        "so",
        "or",
        "I",
        "than",
        "upon",
        "s",
    }
    unknown = [
        w for w in words if w not in TAGS and w.lower() not in TAGS and w.lower() not in small
    ]
    assert unknown == ["I"] or unknown == []


class Told:
    """A story sentence by sentence, with what is known to be so after each."""

    def __init__(self, one: Story) -> None:
        self.story = one
        self.sentences = [sentence.text for sentence in one.sentences]
        self.last: list[int] = []
        for sentence in one.sentences:
            self.last.append(max([*sentence.events, *self.last[-1:]]))

    def moment(self, n: int) -> Moment:
        return self.story.moments[self.last[n]]

    def events(self, n: int) -> tuple[Event, ...]:
        return self.story.events[: self.last[n] + 1]

    def people(self, n: int) -> list[Person]:
        words = set(re.findall(r"\w+", " ".join(self.sentences[: n + 1])))
        return [person for person in self.story.people if person.name in words]

    def placed(self, n: int) -> dict[Person, str]:
        """Where people are, as far as it was told."""
        moment, people = self.moment(n), self.people(n)
        found = {}
        for event in self.events(n):
            for person in (event.who, event.whom):
                if event.kind in ("hero", "go", "owner", "deliver", "meet") and person in people:
                    found[person] = moment.place[person]
        return found

    def held(self, n: int) -> dict[Thing, Person]:
        """Who holds what, as far as it was told; only things whose noun is theirs alone."""
        moment, people = self.moment(n), self.people(n)
        nouns = Counter(thing.noun for thing in self.story.things)
        told = {t for e in self.events(n) if e.kind in HELD for t in (e.thing, e.other) if t}
        return {
            thing: holder
            for thing, holder in moment.holder.items()
            if thing in told and holder in people and nouns[thing.noun] == 1 and not thing.plural
        }

    def insert(self, n: int, sentence: str) -> str:
        return " ".join([*self.sentences[: n + 1], sentence, *self.sentences[n + 1 :]])

    def swap(self, n: int, name: str, other: str) -> str:
        sentence = re.sub(rf"\b{name}\b", other, self.sentences[n])
        return " ".join([*self.sentences[:n], sentence, *self.sentences[n + 1 :]])


HELD = ("has", "owner", "give", "lend", "return", "trade", "make", "win", "grab", "fetch", "take",
        "see_with")  # fmt: skip
AGAINST = {"sunny": ("It was raining.",), "rainy": ("The sun was shining.", "It was snowing."),
           "snowy": ("It was raining.",), "foggy": ("The sun was shining.",)}  # fmt: skip


def at(place: str) -> str:
    return f"{PLACES[place].at} the {place}"


def contradictions(told: Told, dice: random.Random) -> Iterator[tuple[str, str]]:
    """One sentence more, which says what is not so."""
    n = dice.randrange(1, len(told.sentences) - 1)
    moment, people, found = told.moment(n), told.people(n), []
    for thing, holder in told.held(n).items():
        for other in people:
            if other is not holder and other not in moment.asleep:
                found.append(("holder", f"{other.name} had the {thing.noun}."))
        if thing in moment.broken and any(e.kind == "break" for e in told.events(n)):
            found.append(("whole", f"The {thing.noun} was whole."))
    for person, place in told.placed(n).items():
        wrong = dice.choice([other for other in PLACES if other != place])
        found.append(("place", f"{person.name} was {at(wrong)}."))
    for event in told.events(n):
        who, thing = event.who, event.thing
        if event.kind in ("has", "owner") and thing and thing.look in COLOURS:
            if sum(other.noun == thing.noun for other in told.story.things) == 1:
                wrong = dice.choice([look for look in COLOURS if look != thing.look])
                found.append(
                    ("look", f"The {thing.noun} {'were' if thing.plural else 'was'} {wrong}.")
                )
        if event.kind == "hero" and who:
            kinds = [
                k for k, v in KINDS.items() if k != who.kind and not v.sex and k[0] not in "aeiou"
            ]
            found.append(("kind", f"{who.name} was a {dice.choice(kinds)}."))
            wrong = dice.choice([other for other in PLACES if other != who.home])
            found.append(("home", f"{who.name} lived {at(wrong)}."))
    if moment.weather in AGAINST and told.last[n] > 2 and told.story.theme != "night":
        found.append(("weather", dice.choice(AGAINST[moment.weather])))
    if any(event.kind == "locked" for event in told.events(n)):
        found += [("locked", f"The {box.noun} was open.") for box, shut in moment.locked.items()
                  if shut and isinstance(box, Thing)]  # fmt: skip
    if found:
        sort, sentence = dice.choice(found)
        yield sort, told.insert(n, sentence)


def impossible(told: Told, dice: random.Random) -> Iterator[tuple[str, str]]:
    """One sentence more, which tells what the simulator does not allow."""
    n = dice.randrange(1, len(told.sentences) - 1)
    moment, placed, found = told.moment(n), told.placed(n), []
    awake = [person for person in told.people(n) if person not in moment.asleep]
    now = world(moment)

    def add(sort: str, event: Event, sentence: str) -> None:
        if now.problem(event):
            found.append((sort, sentence))

    for thing, holder in told.held(n).items():
        for who in awake:
            for whom in told.people(n):
                if who is not whom and who is not holder:
                    add(
                        "give",
                        Event("give", who, thing, whom),
                        f"{who.name} gave the {thing.noun} to {whom.name}.",
                    )
            add("put", Event("put", who, thing), f"{who.name} put the {thing.noun} on the ground.")
        if thing not in moment.broken and thing.group != "food":
            add("mend", Event("mend", holder, thing), f"{holder.name} mended the {thing.noun}.")
        if thing.group != "food":
            found.append(("eat", f"{holder.name} ate the {thing.noun}."))
        found.append(("thing", f"The {thing.noun} ate a pear."))
    for who, place in placed.items():
        if who in awake:
            add("go", Event("go", who, place=place), f"{who.name} walked to the {place}.")
            for whom, there in placed.items():
                if there != place and whom in awake:
                    add(
                        "meet",
                        Event("meet", who, whom=whom),
                        f"{who.name} talked with {whom.name}.",
                    )
    for who in told.people(n):
        if who in moment.asleep:
            add("asleep", Event("go", who, place="mill"), f"{who.name} went to the mill.")
    if found:
        sort, sentence = dice.choice(found)
        yield sort, told.insert(n, sentence)


def swaps(told: Told, dice: random.Random) -> Iterator[tuple[str, str]]:
    """One name in one sentence becomes another, so that the sentence is no longer true."""
    people = told.story.people
    places = [
        (n, person)
        for n, sentence in enumerate(told.sentences)
        for person in people
        if len(re.findall(rf"\b{person.name}\b", sentence)) == 1
    ]
    dice.shuffle(places)
    if dice.random() < 0.5:
        for n, person in places:
            others = [o for o in told.people(n) if o is not person and untrue(told, n, person, o)]
            if others:
                yield "known", told.swap(n, person.name, dice.choice(others).name)
                return
    for n, person in places:
        if sum(person.name in sentence for sentence in told.sentences) > 1:
            taken = {other.name for other in people}
            names = [x for x in (GIRLS if person.female else BOYS) if x not in taken]
            yield "stranger", told.swap(n, person.name, dice.choice(names))
            return


def untrue(told: Told, n: int, person: Person, other: Person) -> bool:
    """Whether the one event that sentence n tells cannot happen with `other` instead."""
    (index, *more) = told.story.sentences[n].events
    event = told.story.events[index]
    if more or not index or event.kind not in VISIBLE or person not in (event.who, event.whom):
        return False
    if event.extra == "found":  # who finds what nobody has heard of may be anybody
        return False
    instead = {"who": other} if event.who is person else {"whom": other}
    changed = replace(event, **instead)
    return changed.who is changed.whom or bool(
        world(told.story.moments[index - 1]).problem(changed)
    )


VISIBLE = (
    "go",
    "give",
    "lend",
    "return",
    "trade",
    "put",
    "eat",
    "use",
    "take",
    "find",
    "unlock",
    "ask",
)
"""Events whose needs a reader can see: who goes must be elsewhere, who gives must have."""


@pytest.mark.parametrize("plant", [contradictions, impossible, swaps])
def test_it_rejects_planted_errors(
    plant: Callable[[Told, random.Random], Iterator[tuple[str, str]]],
) -> None:
    """Measured over 4,000 stories: 98.8 % of contradictions, 98.9 % of impossible events,
    98.4 % of swapped names."""
    dice = random.Random(0)
    planted, caught, missed = Counter[str](), Counter[str](), []
    for one in stories():
        for sort, text in plant(Told(one), dice):
            planted[sort] += 1
            if check_story(text).consistent:
                missed.append((sort, text))
            else:
                caught[sort] += 1
    assert planted.total() > 250
    assert len(planted) >= 2
    assert caught.total() / planted.total() >= 0.95, missed[:3]


FOREIGN = [
    (True, 'Mia had a red kite. She went to the hill and flew it. Then she walked home.'),
    (False, 'One day, Ben was very sad. He could not find his hat. His sister Ann helped him.'),
    (True, 'Once there was a boy named Tom. He had a big dog. The dog was brown. Tom and the dog played in the park all day.'),
    (True, 'Otto was a baker. He lived in the bakery. Every morning he baked bread. One day a girl named Mia came to the bakery. She asked Otto for a bun. He gave her a bun, and she ate it at once.'),
    (False, 'A fox named Finn lived in the forest. He was hungry. He found an apple under a tree and ate it. Then he gave the apple to a bear.'),
    (True, 'Lena was a girl who lived at the mill. She had a blue ball. One day she lost the ball. She looked for it everywhere. At last she found it behind the barn and was happy.'),
    (False, 'Lena was a girl who lived at the mill. She had a blue ball. She loved her red ball.'),
    (False, 'Paul went to the market. Paul was in the library. He bought a pear.'),
    (False, 'Nora the farmer had a key. Max the cat took the key from Nora. Nora opened the chest with the key.'),
    (True, 'Nora the farmer had a key. The chest was locked. She unlocked the chest with the key and found a golden ring.'),
    (False, 'The chest was locked. Nora the farmer opened the chest and found a ring.'),
    (False, 'Sam was a boy. He fell asleep. Then he walked to the school.'),
    (True, 'Sam was a boy. He fell asleep. After an hour he woke up and walked to the school.'),
    (True, 'It was raining. Julia put on her coat and ran to the barn. Soon the rain stopped, and the sun came out.'),
    (False, 'It was raining. Julia stood in the garden. The sun was shining.'),
    (False, 'The kite went to the and happy. She the boat with red.'),
    (False, 'Mia gave Tom the. Then sad.'),
    (False, 'Tom had an old boat. The boat said hello and ate a cake.'),
    (True, 'Hugo was a shy mouse. He met a cat called Iris. "Do not be afraid," said Iris. "I am your friend." They became good friends.'),
    (False, '"Where is my hat?" asked Otto. "It is on the shelf," answered Mia.'),
    (True, 'A girl named Eva and a boy named Leo were friends. Eva had a pie. She shared the pie with Leo, and they were both glad.'),
    (False, 'A girl named Eva had a pie. Leo was happy. He ate the pie.'),
    (False, 'Rosa the goat was a good runner. Rosa the fox won the race.'),
    (True, 'Kate had a drum. She dropped it, and it broke. Her uncle Fred mended the drum with glue. Kate thanked him.'),
    (False, 'Kate had a drum. Her uncle Fred gave the drum to Kate.'),
    (True, 'Walter was a proud bear who lived in a cave. One cold night he heard a noise. He took a lantern and went out of the cave. A small mouse sat in the snow.'),
    (True, 'Emma wanted to bake a cake, but she had no flour. So she went to the mill and asked the miller for flour. The miller smiled and gave her a sack.'),
    (True, 'In the morning, Ivy and Jack went to the lake. They swam in the cold water. When they were tired, they lay in the grass and looked at the clouds.'),
    (False, 'Bella gave the ring to Bella. Bella was happy.'),
    (False, 'Carl was at the farm. Daisy was at the harbour. Carl gave Daisy a coin.'),
    (True, 'Vera was a weaver. She made a warm scarf for her brother Ted. Ted wore the scarf every day.'),
    (True, 'Adam wanted a sled because it was snowing. His grandfather Karl built a sled for him. Adam rode it down the hill and laughed.'),
    (True, 'Nick borrowed a hammer from Olga the carpenter. He mended the fence with the hammer and gave it back to her.'),
    (False, 'Nick the boy had a hammer. Olga the carpenter mended the fence with the hammer.'),
    (True, 'Tess was a small squirrel. She lived in the park. One day she found a golden nut under a bench. She was so happy that she danced.'),
    (True, 'Luke the farmer had three cows and a dog. The dog was old and slept all day.'),
    (True, 'Ruby had a kite, but the string broke. She cried. Her friend Ned gave her a new string, and they flew the kite together.'),
    (True, 'Gina was in the kitchen. Gina was hungry, so she ate an apple. The apple was sweet.'),
    (False, 'Jonas was a baker. He was very kind. Jonas was a doctor.'),
    (True, 'Polly gave her doll to Ruth the nurse. Polly played with the doll.'),
    (False, 'Polly gave her doll to Ruth the nurse. Then Polly gave the doll to Max the cook.'),
    (True, 'Frank sat on a bench and read a book. A bird sang in the tree above him.'),
    (False, 'The bench sat on Frank and read a book.'),
    (True, 'Stella and her brother Tim were at the beach. They built a castle. A big wave came, and the castle was gone.'),
    (False, 'Hans was at the mill. Hans went to the mill.'),
    (True, 'Erik lost his ring in the river. A fish swallowed the ring. Erik was sad.'),
    (True, 'Alma asked Ben, the boy at the inn, for a lamp. Ben said no. Alma was cross.'),
    (False, 'Alma took the lamp, the lamp took Alma, and.'),
    (False, 'Louis was asleep. Louis ate a pie.'),
    (True, 'Milly was tired. She went to bed early and slept well. In the morning she felt better.'),
    (True, 'One night a thief came to the town. He took the bell from the church. In the morning, nobody heard the bell.'),
    (True, 'Theo the teacher opened the door and saw that it was snowing. The children ran out and threw snowballs.'),
    (True, 'Clara baked a cake for her grandmother Ida. She carried it through the forest. Ida was very pleased and cut the cake.'),
    (True, 'Dan wanted to climb the tower, but the door was locked. He asked Vera the clockmaker for the key. She unlocked the door with the key, and they climbed up together.'),
    (False, 'The sun was shining, and Pam was in the garden. It was raining hard.'),
    (True, 'Anna had a cup of tea. She drank the tea and smiled.'),
    (False, 'Anna had a cup of tea. She drank the tea. Then she gave the table and.'),
    (True, 'Isaac was a goat. Isaac barked at the cat. The cat ran up a tree.'),
    (False, 'Wilma lent her spade to Joe the potter. Joe dug a hole with the spade. Then Wilma dug a hole with the spade.'),
    (True, 'Wilma lent her spade to Joe the potter. Joe dug a hole with the spade and gave it back to Wilma. Then Wilma dug a hole with the spade.'),
    (True, 'Emil has a hat. The hat is blue. Emil likes the hat.'),
    (False, 'Fay had a green hat. Everybody liked her yellow hat.'),
    (True, 'Oscar and Nina were friends. Oscar told Nina a secret. Nina promised to keep it.'),
    (True, 'Arlo the fox wanted the cheese, but the crow did not want to share it. So Arlo said that the crow had a lovely voice. The crow began to sing, and the cheese fell to the ground. Arlo took it and ran away.'),
    (True, 'Once upon a time, a girl named Lily lived in a small house. Lily loved flowers. One day she planted a rose in the garden. She watered it every morning, and soon the rose was tall and pretty.'),
    (False, 'Jack had a bone. A dog took the bone and ran away. Jack still had the bone.'),
    (True, 'Ada and her cousin Leo found a map in the attic. The map showed the way to a cave. They took a lantern and went to the cave. There they found an old chest full of coins.'),
    (True, 'Victor the sailor was at the harbour. His boat was broken. He mended the boat with a hammer and sailed across the lake.'),
    (False, 'Greta was a hen. She lived at the farm. She lived on the beach.'),
    (True, 'Harry had two apples. He ate one apple and gave the other to Sara, a girl from the mill.'),
    (True, 'It was a cold night. Snow fell on the roofs. Inside, Olga the weaver sat by the fire and drank hot milk.'),
    (True, 'Finn lost his key. He looked under the bed and behind the door. Then he remembered that he had left it at the inn.'),
    (True, 'Nell was very quiet because she was shy. She never said a word. But one day she began to sing, and everybody listened.'),
    (False, 'The ladder asked the rope for help.'),
    (False, 'Simon gave his lunch to Dora the cat. Simon ate his lunch.'),
    (True, 'Hazel wanted to surprise her mother. She picked some flowers and put them on the table. Her mother was so happy that she kissed her.'),
    (False, 'Felix ran faster than Noah the hare. Felix won the race. Noah won the race.'),
    (True, 'Iris the teacher was asleep in the library. A loud noise woke her. She looked around, but nobody was there.'),
    (True, 'George the bear was hungry. He went to the river and caught a fish. He ate the fish and went back to the cave.'),
    (True, 'Cora borrowed a book from the library. The book was thick and heavy. Cora read it in two days.'),
    (True, 'Peter broke the window. He was afraid to tell his father. But in the evening he said that he was sorry, and his father forgave him.'),
    (False, 'Maya walked. Quickly the was and.'),
    (True, 'Amos the donkey carried a heavy sack to the mill. On the way he met Bess the goat. "May I help you?" asked Bess. "Yes, please," said Amos.'),
    (False, 'Bess the goat had a bell. The bell was golden. The silver bell rang.'),
]  # fmt: skip


def test_foreign_stories() -> None:
    """Nobody's templates: written by hand, with the verdict that a reader would give.

    On the first reading the checker agreed with 28 of 34, 25 of 30 and 15 of 20 of them, and was
    mended after each; it cannot follow animals without a name, for instance.
    """
    wrong = [
        (text, check_story(text)) for good, text in FOREIGN if check_story(text).consistent != good
    ]
    assert len(wrong) <= 0.05 * len(FOREIGN), wrong


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Mia had a red kite. The kite was blue.", "the kite is red, not blue"),
        ("Otto was a fox. Otto was a miller.", "Otto is a fox, not a miller"),
        ("Tom went to the mill. Tom was in the park.", "Tom is at the mill, not in the park"),
        ("A girl named Ada had a saw. Her friend Max sold the saw.", "unknown word 'sold'"),
        ("Ada was a girl. Zoe smiled.", "nobody has said who Zoe is"),
        ("Ada smiled smiled.", "'smiled' stands twice"),
        ("Ada the hill quickly to.", "cannot be read"),
        ('Ada said, "Hello.', "quotation mark"),
    ],
)
def test_it_says_why(text: str, reason: str) -> None:
    problems = check_story(text).problems
    assert problems
    assert any(reason in problem.reason for problem in problems) or problems[0].sort == "cut"
    assert all(problem.sentence in text for problem in problems)


def test_cut_texts_and_rubbish() -> None:
    """A text may stop anywhere and be anything; the checker answers all the same."""
    dice = random.Random(5)
    for one in stories()[:60]:
        cut = one.text[: dice.randrange(40, len(one.text))].rstrip()
        verdict = check_story(cut)
        if cut[-1] not in '.!?"':
            assert not verdict.complete
            assert [problem.sort for problem in verdict.problems] == ["cut"]
            assert verdict.consistent is (verdict.sentences > 1), (
                "a cut sentence alone tells nothing"
            )
    for text in ("", " ", "\n\n", ".", '"', '""', '"."', "...", "Mia", "a" * 5000, "Mia and " * 800,
                 '"' * 99, "the " * 400 + ".", "\x00 é 漢字 🙂.", "Mia 's.", "He.", "and, and, and."):  # fmt: skip
        began = time.process_time()
        verdict = check_story(text)
        assert not verdict.consistent or not verdict.complete, text[:40]
        assert time.process_time() - began < 2
        assert answer(text, "Where is Mia?") is None


def test_nonsense_from_good_words() -> None:
    """Shuffled words rarely make a sentence; sentences of many stories never make a story."""
    dice = random.Random(2)
    whole = [one.text.replace("\n", " ") for one in stories()[:150]]
    shuffled = []
    for text in whole:
        words = re.findall(r"[A-Za-z']+", text)
        dice.shuffle(words)
        shuffled.append(" ".join(words[:12]) + ".")
    assert score_stories(shuffled)["parse"] < 0.05
    mixed = [
        " ".join(dice.choice(one.sentences).text for one in dice.sample(stories(), 10))
        for _ in range(60)
    ]
    assert score_stories(mixed)["consistent"] < 0.05


# --- questions, facts, sums ---------------------------------------------------------------------------


def test_answers_from_the_text() -> None:
    """Measured 99.9 % of 13,426 questions."""
    asked, right, sorts = 0, 0, Counter[str]()
    for one in stories():
        for question, reply in one.questions:
            asked += 1
            right += answer(one.text, question) == reply
            sorts[" ".join(question.split()[:2])] += 1
    assert asked > 2000
    assert len(sorts) >= 8
    assert right / asked >= 0.99
    text = stories()[0].text
    assert answer(text, "How old is the moon?") is None
    assert answer(text, "Who has the submarine at the end?") is None


def test_questions_and_facts_are_read_as_documents() -> None:
    for document in read("town", part="questions", size=40, split="held_out"):
        told, *asked = re.split(r"\nQuestion: ", document)
        assert asked
        for pair in asked:
            question, reply = pair.split("\nAnswer: ")
            assert reply
            assert question.endswith("?")
    for document in read("town", part="facts", size=40):
        told, facts = document.split("\nFacts:\n")
        assert all(fact.endswith(".") for fact in facts.split("\n"))
        assert len(told) > len(facts)


def test_facts_agree_with_the_story() -> None:
    """A fact behind its story is no contradiction; a fact with another name is, mostly."""
    agree = total = caught = changed = 0
    for one in stories()[:150]:
        for fact in one.facts:
            if " has the " in fact:
                past = fact.replace(" has ", " had ")
                total += 1
                agree += check_story(f"{one.text} {past}").consistent
                holder = fact.split()[0]
                for person in one.people:
                    if person.name != holder and re.search(rf"\b{person.name}\b", one.text):
                        changed += 1
                        wrong = past.replace(holder, person.name)
                        caught += not check_story(f"{one.text} {wrong}").consistent
    assert total > 50
    assert agree / total > 0.97
    assert caught / changed > 0.95


def worked_out(question: str) -> int:
    """The answer, worked out from the words of a problem by other means than its steps."""
    count = 0
    for sentence in re.findall(r"[^.?]+[.?]", question):
        numbers = [int(number) for number in re.findall(r"\d+", sentence)]
        if " in each." in sentence and " with " in sentence:
            count = numbers[0] * numbers[1]
        elif " had " in sentence and sentence.endswith("."):
            count = numbers[0]
        elif " more " in sentence:
            count += numbers[0]
        elif "equally" in sentence or "the same number" in sentence:
            assert count % numbers[0] == 0
            count //= numbers[0]
        elif numbers:
            assert any(
                word in sentence for word in (" gave ", " lost ", " sold ", " ate ", " away ")
            )
            count -= numbers[0]
    return count


def test_sums_are_right() -> None:
    lengths: Counter[int] = Counter()
    for split in ("train", "held_out"):
        for i in range(1500):
            problem = arithmetic(i, split)
            assert worked_out(problem.question) == problem.answer, problem
            left = problem.steps[0].left
            for step in problem.steps:
                assert step.left == left
                assert eval(f"{step.left} {step.sign} {step.right}") == step.result >= 0
                left = step.result
            assert left == problem.answer
            held = [s for s in problem.steps if is_held_out_step(s.left, s.sign, s.right)]
            assert bool(held) == (split == "held_out")
            lengths[len(problem.steps)] += 1
    assert set(lengths) >= {1, 2, 3, 4}


def test_worked_and_plain_sums_are_the_same_problems() -> None:
    plain = read("town", part="arithmetic", size=50)
    worked = read("town", part="worked_arithmetic", size=50)
    for one, two in zip(plain, worked):
        assert re.sub(r"\nSteps: [^\n]*", "", two) == one
        assert re.fullmatch(r"Question: .+\?\nAnswer: \d+", one)
        assert re.fullmatch(r"Question: .+\?\nSteps: ([\d+*/=. -]+)\nAnswer: \d+", two)


# --- the card -----------------------------------------------------------------------------------------


def test_card() -> None:
    """What `CARD` says is what is measured, on all of its million words."""
    measured = card()
    assert {name: round(value, 4) for name, value in measured.items()} == pytest.approx(
        CARD, abs=6e-4
    )
    assert CARD["words"] > 1_000_000
    assert 1500 <= CARD["vocabulary"] <= 3000


# --- the village ------------------------------------------------------------------------------------


def test_the_village_is_a_part_of_the_town() -> None:
    """Fewer people, things and kinds of story, told and checked the same way."""
    few = [story(i, split, part="village") for i in range(150) for split in ("train", "held_out")]
    assert all(check_story(s.text).consistent for s in few)
    assert [s.text for s in few[::2]] == list(read("town", part="village", size=150))
    many = stories()[:300]
    for of in (
        lambda s: {s.theme},
        lambda s: {person.name for person in s.people},
        lambda s: {thing.noun for thing in s.things},
    ):
        small, large = (len(set().union(*map(of, group))) for group in (few, many))
        assert small < 0.6 * large
    assert len({s.text for s in few}) == 300
    for s in few:
        held_out = any(is_held_out_combination(*names) for names in s.combinations)
        assert held_out == (s in few[1::2])


def test_a_cut_sentence_alone_is_no_story() -> None:
    assert not check_story("The fox and").parses
    assert check_story("Mia had a red kite. She").parses
