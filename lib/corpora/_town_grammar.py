"""Small words of English and what they do: the tables of the reader."""

from __future__ import annotations

from lib.corpora._town_lexicon import VERB_FORMS
from lib.corpora._town_lists import phrase_list, word_list
from lib.corpora._town_words import KINDS

TIMES = frozenset(
    word_list("""
    day morning noon afternoon evening night week month year hour minute moment time spring
    summer autumn winter sunrise sunset dawn birthday while instant
    """)
) | {"days", "weeks", "hours", "minutes", "years", "times", "months", "mornings", "evenings"}


SUBORDINATE = frozenset(
    word_list("""
    because when while until before after as where although though if since till once
    """)
)


LINKS = frozenset(word_list("and but so then or yet"))


BE = frozenset(word_list("was were is are am be been being"))


NONE: frozenset[str] = frozenset()


FINITE = ("past", "now")


ANY = ("past", "now", "inf")


HEADS = {"one", "many", "mass"}


NOUNISH = {"one", "many", "mass", "det", "obj", "adj"}


PLURAL_DETS = frozenset(
    word_list("""
    two three four five six seven eight nine ten eleven twelve many few several these those both
    """)
)


FIRST_NOUNS = frozenset(
    word_list("""
    apple pear plum cherry nut peach birthday roof ticket straw snow stone paper toy tree garden
    forest river village town school church winter summer spring autumn evening morning night
    afternoon picnic tea wool wood water rain flower pumpkin potato carrot cabbage onion egg
    fish bread butter kitchen barn mill market harbour gold silver brass leather cotton silk
    shell button cart door window bell clock tower sea sand mountain horse sheep cow bird corn
    thorn
    """)
)


AFTER_DET = frozenset(
    word_list("""
    two three four five six seven eight nine ten many few several other own hundred
    """)
)


RELATIONS = frozenset(
    word_list("""
    friend sister brother cousin neighbour aunt uncle grandmother grandfather mother father
    teacher son daughter pet
    """)
)


PLACE_PREPS = frozenset(word_list("at in on by near from"))


INTENSE = frozenset(
    word_list("""
    very so too really quite rather most just all more even almost nearly
    """)
)


INVERTS = {"scene", "act", "go", "be", "feel"}


PREP_WORDS = {
    "course": ("of",),
    "last": ("at",),
    "first": ("at",),
    "once": ("at",),
    "home": ("at", "for"),
    "all": ("at",),
    "long": ("before",),
    "now": ("by", "from", "until"),
    "then": ("by", "from", "until"),
    "there": ("from", "over"),
    "here": ("from", "over"),
    "dark": ("after", "before", "until", "in"),
    "late": ("until",),
    "tonight": ("until",),
    "tomorrow": ("until", "for"),
    "inside": ("from",),
    "outside": ("from",),
    "far": ("from", "by"),
    "above": ("from",),
    "below": ("from",),
    "short": ("in",),
    "secret": ("in",),
    "general": ("in",),
    "two": ("in",),
    "half": ("in",),
    "ever": ("for", "than"),
    "before": ("than",),
    "everywhere": ("from",),
    "today": ("for",),
    "fast": ("as",),
    "sure": ("for",),
    "time": ("on", "in"),
    "nearby": ("from",),
    "away": ("from",),
}


BETWEEN = frozenset(
    word_list("""
    not never always also still just already soon often even really almost only ever both all
    simply usually sometimes hardly gladly once finally quickly again
    """)
)


IDIOMS = {
    tuple(words.split()): len(words.split())
    for words in phrase_list("""
    side by side;  step by step;  bit by bit;  piece by piece;  again and again;  up and down;
    high and low;      as well as possible;  from beginning to end;  from top to bottom;  from
    ear to ear;  once more;  all at once;  at once;      of course;  at all;  at last;  at
    first;  at long last;  as usual;  as promised;  here and there;  to and fro;  one by one;
    over and over;  round and round;  all around;  all over;  as well;  all day long;  all night
    long;  in no time;  right away;      any more;  no more;  no longer;  so far;  far away;  by
    chance;  by accident;  by mistake;  by heart;  on foot;      on purpose;  in vain;  with all
    might;  day and night;  back and forth;  in two;  upside down;  for ever;  once again;
    as always;  as before;  in the end;  on the way;  on tiptoe;  in return;  just then;  only
    then;  for joy;  by good luck;      in there;  over there;  any longer;  up and up;  on and
    up;  from time to time;  now and then;  arm in arm;  hand in hand;  for good;  for much too
    long;  for too long;  any longer;  up and up;  on and up;      as fast as possible;  as
    quickly as possible;  as soon as possible;  at home;  all together;  for sure;  in thought;
    at length;  of all;  in high spirits;  face to face;  by now;  in time;  on time;  in bed;
    to bed;  any time;  from branch to branch;  from flower to flower;  from door to door;  from
    house to house;  from place to place;  from one foot to the other;  all the way;  not so
    long ago;  long ago;  not long ago;  once upon a time;  not long after;  soon after;  soon
    afterwards;  faster and faster;      higher and higher;  louder and louder;  taller and
    taller;  more and more;  bigger and bigger;  smaller and smaller;      in half;  at night;
    at noon;  by day;  by night;  in love;  in turn;  in turns;  from morning till night;  a
    little;      a bit;  a lot;  very much;  so much;  too much;  for long;  for free;  out
    loud;  on end;  first of all;  all of a sudden;      as hard as possible;  as high as
    possible;  one more time;  in a row;  until late;  by hand;  at heart;  in tears;      from
    then on;  from now on;  from that day on;  ever since;  ever after;  for ever and ever;
    happily ever after;      as possible;  in secret;  all along;  at sunset;  at sunrise;  at
    dawn;  by sea;  good day;  on and on;  by name
    """)
}


IDIOM_STARTS = frozenset(words[0] for words in IDIOMS)


PHRASES = frozenset(
    phrase_list("""
    what are friends for; i am sorry , but no; sorry , but no; why not; what now; not today;
    good day; excuse me; many thanks; well done; all right; very well; thank you; never mind; oh
    dear; thank you so much; thank you very much; of course; with pleasure; not at all; no
    trouble; no trouble at all; good morning; good evening; good night; good luck; see you
    tomorrow; one moment; oh no; no way; me too; and then; what else; you see; hush now; look
    out; all is well; let go; too bad; not yet; how lovely; come in; just now; this way; here
    you are; at last; certainly not; of course not; oh yes; once more; no more; your turn; my
    turn; happy birthday; merry christmas; so what; not me; only this once
    """)
)


_FORMS_OF = {word: frozenset(form for _, form in pairs) for word, pairs in VERB_FORMS.items()}


def forms_of(word: str) -> frozenset[str]:
    """Which forms of verbs a word may be; none, if it is no verb."""
    return _FORMS_OF.get(word, NONE)


ALIVE = frozenset(KINDS) | frozenset(
    word_list("""
    friend sister brother cousin neighbour aunt uncle grandmother grandfather mother father man
    woman child person people king queen prince princess piper thief guest visitor stranger
    traveller passenger baby parent winner runner owner family class team crowd bird gull lark
    swallow pigeon heron rooster chicken bat bee wasp fly moth beetle spider snail worm ant
    ladybird cricket butterfly dragonfly crab tadpole woodpecker parrot creature pet fellow kid
    lad fish one other others town village world voice
    """)
)
