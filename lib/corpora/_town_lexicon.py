"""The dictionary of the town: what part of speech every word can be.

The checker reads with it. The storyteller does not use it, so a test can tell whether both agree.
"""

from __future__ import annotations

from lib.corpora._town_lists import word_list
from lib.corpora._town_verbs import FORMS
from lib.corpora._town_words import BOYS, GIRLS, KINDS, PLACES, THINGS

COUNT = word_list("""
    day morning noon afternoon evening night week month year hour minute moment time spring
    summer autumn winter birthday holiday sunrise sunset friend brother sister uncle aunt cousin
    neighbour mother father grandmother grandfather baby parent guest visitor stranger traveller
    passenger thief king queen prince princess piper man woman child person teacher family town
    village city home house street road lane path way edge corner side middle end top bottom bit
    piece half part pair pile heap bundle lot row circle line door window wall floor roof room
    ceiling stair step lid lock counter shelf table chair desk bench bed drawer fireplace stove
    oven kettle plate bowl fork bottle glass pot pan pocket parcel suitcase curtain sheet shirt
    shoe sock heel sleeve knot bandage blade handle nail board plank pole wire hole crack ledge
    corner step doorstep windowsill fence gate hedge arch statue fountain swing slide seesaw
    sandpit stall cart wheel barrel bucket trough kennel haystack woodpile workbench anvil
    bellows trunk saddle loom fiddle pipe clock bell boat ship deck sail anchor train track
    ticket tile beam cobweb cradle castle church shed bank wave shore stone rock pebble puddle
    ditch furrow log branch twig stick root leaf tree bush thorn fern flower rose daisy lily
    tulip blossom reed stalk acorn mushroom molehill scarecrow snowman snowball snowflake cloud
    star sky sea sun moon world breeze spark shadow ripple drop waterfall dam nest bird gull
    lark swallow pigeon heron rooster chicken bat bee wasp fly moth beetle spider snail worm ant
    ladybird cricket butterfly dragonfly crab tadpole woodpecker parrot creature pet finger hand
    foot leg knee ear eye nose paw wing head heart face mouth voice shoulder arm tail tooth word
    story tale song tune riddle joke game party fair feast picnic dance wedding play race
    contest prize present gift idea plan wish promise secret surprise mistake question answer
    reason lesson adventure journey walk trip visit deed favour turn trade deal bargain rule
    problem accident sound noise bang rattle squeak splash cry shout whisper song laugh smile
    hug kiss bow nod frown sigh yawn tear dream thought mood tick tap oh job task chore price
    cost coin page letter paper card note bone crumb meal breakfast lunch supper dinner bite
    sandwich carrot pea bean orange nut hazelnut pepper berry strawberry pear weed costume toy
    tool thing something wick lamp log brush pencil line string rope coil barrel sheet colour
    shape size number newspaper dictionary book stamp bandage spoonful horseshoe shaving price
    sum handstand hive palace tower tunnel box blackboard fault courage strength candlelight
    group team class course kid lad fellow runner winner search use rest fall look start ride
    drink talk hello will deal skill wonder judge kitchen bedroom hall mountain island wolf
    sparrow farmhouse hut playmate crown table cloud number picture bicycle wheelchair bath toe
    thumb neck quilt rag thimble knock grumble while place bark scratching bush owner row
    stranger ground treasure breath complaint willow change manger north south east west oak
    pine birch elm lid scratch tent flag bed lantern hat pillow carpet doll bonfire campfire
    bark trunk leash collar cage trap
    """)
MASS = word_list("""
    flour bread butter milk tea water rain snow ice wind air fog mist frost sunshine light
    darkness dark steam smoke dust dirt mud sand grass hay straw moss clover corn wheat heather
    seaweed earth wood wool cloth leather silk clay coal glue soap salt sugar tar tape brass
    gold silver honey jam gravy soup medicine laundry firewood money food fruit fish meat music
    dancing jumping winning waiting peace quiet silence fear joy anger luck trouble kindness
    patience courage strength advice help work care love trust fun noise company hope relief
    regret time room shade space weather thunder lightning sleep rest hunger thirst cold heat
    warmth delay truth pleasure shopping homework chalk paint ink trade everything thread string
    paper fire moonlight candlelight tiptoe accident purpose town bed school home noon sunset
    sunrise supper lunch breakfast dinner spite return tears mind order haste foot pity shame
    pride grief wrong getting sharing giving skill chance love half helping night rope need
    thought beginning heart tea dough nature
    """)
PLURAL_ONLY = word_list("""
    people clothes glasses spirits tears thanks bellows shavings stairs spirits guests means
    neighbours everybody's scissors oats shallows
    """)
IRREGULAR_PLURALS = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "foot": "feet",
    "tooth": "teeth", "leaf": "leaves", "shelf": "shelves", "half": "halves", "loaf": "loaves",
    "scarf": "scarves", "thief": "thieves", "mouse": "mice", "goose": "geese", "sheep": "sheep",
    "fish": "fish", "deer": "deer", "snowman": "snowmen", "knife": "knives", "wolf": "wolves",
    "potato": "potatoes", "tomato": "tomatoes",
}  # fmt: skip
ADJECTIVES = word_list("""
    old young little small big large huge tiny great long short tall thin thick fat narrow wide
    deep high low round square flat straight crooked bent sharp smooth rough soft hard heavy
    light strong weak loose tight red blue green yellow brown white black purple orange pink
    grey golden silver colourful striped speckled painted wooden woollen straw silk brass carved
    patched folded torn broken whole empty full open closed locked new fresh ripe sweet sour
    sticky juicy tasty crunchy hot warm cool cold chilly icy frozen wet dry damp muddy dusty
    rusty dirty clean tidy neat shiny bright dim dark pale clear moonlit sunny windy breezy
    blustery rainy drizzly snowy wintry foggy misty frosty stormy cloudy sandy grassy smoky steep
    shady busy noisy loud quiet silent calm still lonely crowded cosy pretty lovely beautiful ugly
    fine wonderful nice good better best bad worse worst terrible strange odd funny special
    usual same different other another next last first second third only own early late quick
    slow fast faster fastest right wrong left true real simple easy difficult possible ready
    sure safe lost missing gone stuck trapped free alive asleep awake alone ill hurt sick tired
    weary sleepy exhausted hungry starving thirsty happy glad pleased delighted overjoyed
    cheerful joyful merry sad unhappy miserable gloomy downcast heartbroken cross angry annoyed
    furious grumpy sorry ashamed guilty worried anxious uneasy nervous afraid scared frightened
    thankful grateful surprised amazed astonished startled lonely proud excited eager relieved
    puzzled confused bored kind brave shy curious clever greedy lazy careless forgetful careful
    patient impatient honest generous playful stubborn gentle helpful dreamy timid hopeful wise
    foolish silly wild tame naughty polite rude friendly fluffy furry useful useless dear
    precious poor rich famous secret sudden faraway far near top bottom middle travelling
    birthday straw apple sleepy skilful older younger oldest youngest biggest smallest finest
    bigger smaller taller shorter longer stronger single several many few much more most enough
    fair usual worth close skilful straight spoiled borrowed closer unlucky lucky steady able
    lame deaf hollow flying barefoot breathless speechless fallen shaky common certain perfect
    magic royal quieter warmer colder kinder happier ten-year-old angrier busier such
    """)
ADVERBS = word_list("""
    then now soon later again once twice always never often sometimes seldom usually still
    already just almost even only also too very quite really so rather away home back up down
    out in off over around about along past by through together alone apart ahead behind inside
    outside there here everywhere nowhere somewhere anywhere far near nearby early late first
    last next today tonight tomorrow yesterday slowly quickly quietly softly loudly gently
    carefully carelessly kindly warmly coldly crossly angrily proudly shyly politely happily
    sadly gladly eagerly bravely patiently suddenly finally luckily certainly maybe perhaps
    deeply soundly fairly nearly hardly straight fast hard high low well better best worse much
    more most enough all both each upstairs downstairs forever ever yet else instead before
    after since aloud forward backwards sideways overhead below above underneath round right
    left exactly simply truly everyday outdoors indoors long alike gratefully nervously
    thankfully hopefully unfortunately cheerfully secretly tightly firmly immediately sleepily
    thoughtfully honestly bitterly merrily tenderly oh badly closer further wisely dearly merely
    barely safely helpfully madly neatly brightly heavily lightly twice thrice however anyway
    meanwhile afterwards immediately indeed ago across on under
    """)
PREPOSITIONS = word_list("""
    in on at to from with without by under over behind beside between among into onto through
    across along past around round up down near against above below inside outside before after
    until till since for of off about like upon during except than as despite toward towards out
    beyond underneath because_of next_to in_front_of out_of instead_of on_top_of in_spite_of
    """)
DETERMINERS = word_list("""
    the a an this that these those some any no every each all both another other many few
    several much more most such what which half enough one two three four five six seven eight
    nine ten eleven twelve hundred my your his her its our their whose either neither
    """)
SUBJECTS = word_list("""
    i he she it they we you everybody everyone somebody someone nobody anybody anyone nothing
    something everything anything this that these those one some all both each most others none
    who few many two three
    """)
OBJECTS = word_list("""
    me him her it them us you everybody everyone somebody someone nobody anybody anyone nothing
    something everything anything this that these those one some all both each himself herself
    itself themselves myself yourself others none mine yours hers theirs ours more another two
    three whom other ones any
    """)
MODALS = word_list("can could may might must shall should will would cannot")
WH = word_list("who what where when why how which whose whether if")
INTERJECTIONS = word_list("""
    yes no oh well please hello thanks goodbye hmm sorry ah hooray welcome never certainly
    gladly indeed
    """)


def plural_of(noun: str) -> str:
    """The plural of a noun.

    >>> plural_of("berry")
    'berries'
    """
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith(("s", "sh", "ch", "x", "z")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


SINGULAR: dict[str, str] = {}  # the base of every noun form, "mice" -> "mouse"
TAGS: dict[str, set[str]] = {}


def _enter(tag: str, words: list[str] | tuple[str, ...]) -> None:
    for word in words:
        TAGS.setdefault(word, set()).add(tag)


_ones = [*COUNT, *KINDS, *PLACES, *(noun for noun, t in THINGS.items() if not t.plural)]
_enter("one", _ones)
for _noun in _ones:
    _many = KINDS[_noun].plural if _noun in KINDS else plural_of(_noun)
    SINGULAR[_noun] = _noun
    SINGULAR[_many] = _noun
    _enter("many", [_many])
for _noun, _entry in THINGS.items():
    if _entry.plural:
        SINGULAR[_noun] = _noun
        SINGULAR[_noun.rstrip("s")] = _noun
        _enter("many", [_noun])
        _enter("one", [_noun.rstrip("s")])
_enter("many", [*PLURAL_ONLY, "ones"])
_enter("mass", MASS)
_enter("adj", ADJECTIVES)
_enter("adv", ADVERBS)
_enter("prep", PREPOSITIONS)
_enter("det", DETERMINERS)
_enter("subj", SUBJECTS)
_enter("obj", OBJECTS)
_enter("modal", MODALS)
_enter("wh", WH)
_enter("int", INTERJECTIONS)
_enter("name", (*GIRLS, *BOYS))
FEMALE = frozenset(GIRLS)
NAMES = frozenset((*GIRLS, *BOYS))

VERB_FORMS: dict[str, list[tuple[str, str]]] = {}  # "took" -> [("take", "past")]
for _base, _forms in FORMS.items():
    for _form, _word in _forms.items():
        VERB_FORMS.setdefault(_word, []).append((_base, _form))
for _word, _form in (
    ("was", "past"),
    ("were", "past"),
    ("is", "now"),
    ("are", "now"),
    ("am", "now"),
):
    if ("be", _form) not in VERB_FORMS.setdefault(_word, []):
        VERB_FORMS[_word].append(("be", _form))
for _word in VERB_FORMS:
    TAGS.setdefault(_word, set()).add("verb")
