"""The verbs of the town, their forms, and what sort of thing each one says.

`VERBS` maps a base form to its class: the checker knows from the class what may stand beside the
verb and what it changes in the world; the storyteller picks among the verbs of one meaning.
"""

# ruff: noqa: E501 (a phrase or an entry of a table reads best on one line)
from __future__ import annotations

from lib.corpora._town_lists import word_list

_CLASSES = {
    # somebody gets somewhere
    "go": "go walk run hurry rush march stroll wander trot scurry hop waddle fly flutter crawl "
    "gallop skip head race dash pad plod tramp creep tiptoe travel slither glide swim amble come "
    "scamper bound bounce leap canter shuffle dart climb return follow lead limp step move ride row sail",
    "leave": "leave",
    "reach": "reach",
    "arrive": "arrive",
    "set": "set",
    # things change hands
    "give": "return_it give hand lend pass offer bring show throw toss present",
    "get": "get take grab receive borrow accept collect fetch seize snatch buy steal keep",
    "pick": "pick",
    "have": "have hold own carry wear",
    "belong": "belong",
    "put": "put lay place hide drop leave_thing set_thing hang tuck store forget lose",
    "find": "find discover spot",
    "see": "see notice hear watch meet visit greet recognise admire",
    "seek": "search look",
    "trade": "trade swap exchange",
    "share": "share divide split",
    "eat": "eat drink taste nibble swallow gobble chew lick",
    # things change
    "break": "break crack tear snap smash shatter rip",
    "mend": "mend fix repair glue",
    "make": "make build bake cook carve paint sew knit cut draw write fold weave plait tie shape "
    "stitch hammer brew prepare decorate wrap",
    "lock": "lock",
    "unlock": "unlock",
    "open": "open",
    "close": "close shut",
    "free": "free rescue untie save loosen pull lift drag push dig tug coax",
    "win": "win",
    "lose_race": "overtake beat",
    # body and mind
    "sleep": "sleep doze nap",
    "wake": "wake awake",
    "feel": "feel seem look_adj grow become turn_adj stay remain sound",
    "be": "be",
    "say": "say sob_say giggle_say moan whisper shout call reply answer cry explain add mumble murmur mutter announce "
    "sigh_say exclaim laugh_say beg plead admit suggest warn chirp squeak bark croak growl "
    "purr hoot declare stammer yell grumble boast beam_say gasp_say wonder_say",
    "ask": "ask",
    "tell": "tell remind promise teach show_that advise",
    "thank": "surprise thank praise congratulate hug kiss comfort cheer forgive help invite blame scold "
    "tease trust help_up join thank_for welcome embrace pat stroke warm feed",
    "think": "think know remember believe hope guess realise decide understand see_that wonder "
    "dream notice_that imagine learn feel_that suppose mean",
    "want": "want need wish like love long plan try begin start manage refuse agree_to dare learn_to "
    "forget_to stop finish continue have_to miss prefer hate hope_to enjoy mind attempt",
    "act": "spare suit end taste read_act draw_act hide_act bite_act cost complain wriggle escape spoil deserve excuse shed pace stare smile nod laugh grin frown cry_act sigh blush shrug clap jump dance cheer_act tremble "
    "shiver yawn stretch bow wave wink giggle stamp sing hum sob weep pause blink gasp beam wait "
    "rest sit stand kneel lie listen play work shake fall trip stumble slip apologise quarrel argue "
    "speak talk chat chatter rub scratch bend lean whistle drum hesitate breathe live stare peer "
    "glance swing turn pass stay_act hiccup sniff sneeze twirl leap celebrate agree_act happen "
    "appear disappear vanish hop_act practise hope_act point crouch cough gaze bounce",
    # work on things
    "use": "use practise wipe hear_act dive sweep clean wash chop carry_act stack peel water rake polish shell wind roll brush "
    "gather count feed_act stir fill empty hold_act pour plant dust oil sharpen knead scrub load "
    "measure thread sort stamp_act mix tune weigh trim bury crack_act catch chase guard push_act kick "
    "beat ring read post spread draw_act explore light shovel sand saw nail check correct wipe tidy "
    "clear blow close_act swing_act touch lift_act squeeze test press shine cover dry hit cross pack "
    "unpack finish_act untangle solve study examine bite gnaw pull_act carry_off inspect guess_act "
    "prove climb_act tell_act serve cause straighten grip clutch fasten snip steady hurt raise rub_act",
    # the weather and things by themselves
    "scene": "wobble rain snow shine blow_scene rise drop_scene begin_scene stop_scene fall_scene turn_scene "
    "glow groan hang_scene stand_scene squeak ring_scene shout_scene rush_scene roll_scene fly_scene "
    "sparkle jump_scene sway float creak drip crawl_scene bend_scene drift knock cover_scene rustle "
    "tick lie_scene whistle_scene hurry_scene rock crash wind_scene chirp_scene smell hum_scene "
    "swing_scene clatter gleam tinkle splash coo curl crackle flutter_scene tap flap peck flash bloom "
    "buzz climb_scene scatter drum_scene tug_scene part clear_scene lift_scene melt warm_scene die "
    "lie spin echo peek twinkle settle howl roar reach_scene burn fade land slide flow lead_scene "
    "nestle scratch_scene crow bubble boil ripen bang thunder rattle clang chime patter freeze flicker",
}
VERBS: dict[str, tuple[str, ...]] = {}
for _group, _words in _CLASSES.items():
    for _word in _words.split():
        _base = _word.split("_")[0]
        VERBS[_base] = (*VERBS.get(_base, ()), _group)
del _base, _group, _word, _words

_IRREGULAR = {
    base: (past, participle)
    for base, past, participle in (
        row.split()
        for row in """
go went gone
run ran run
fly flew flown
creep crept crept
swim swam swum
come came come
lead led led
ride rode ridden
leave left left
set set set
give gave given
lend lent lent
bring brought brought
show showed shown
throw threw thrown
get got got
take took taken
buy bought bought
steal stole stolen
keep kept kept
have had had
hold held held
wear wore worn
put put put
lay laid laid
hide hid hidden
hang hung hung
forget forgot forgotten
lose lost lost
find found found
see saw seen
hear heard heard
meet met met
split split split
eat ate eaten
drink drank drunk
break broke broken
tear tore torn
make made made
build built built
sew sewed sewn
knit knitted knitted
cut cut cut
draw drew drawn
write wrote written
weave wove woven
shut shut shut
dig dug dug
win won won
overtake overtook overtaken
beat beat beaten
sleep slept slept
wake woke woken
feel felt felt
grow grew grown
become became become
be was been
say said said
tell told told
teach taught taught
forgive forgave forgiven
think thought thought
know knew known
understand understood understood
mean meant meant
begin began begun
sing sang sung
weep wept wept
sit sat sat
stand stood stood
kneel knelt knelt
lie lay lain
shake shook shaken
fall fell fallen
speak spoke spoken
bend bent bent
swing swung swung
sweep swept swept
wind wound wound
feed fed fed
catch caught caught
ring rang rung
read read read
cost cost cost
spread spread spread
light lit lit
blow blew blown
shine shone shone
rise rose risen
spin spun spun
bite bit bitten
hit hit hit
burn burned burned
freeze froze frozen
slide slid slid
hurt hurt hurt
leap leaped leaped
dream dreamed dreamed
learn learned learned
spot spotted spotted
shed shed shed
dive dived dived
""".strip().split("\n")
    )
}
_DOUBLED = set(
    word_list("""
    trot hop skip pad step grab drop spot swap rip snap shop tug nod clap stop hum sob chat slip
    trip plan stir chop drip plod drag admit grin shrug scrub bet travel quarrel tap flap wrap
    hug pat trim nap hit run put cut get dig win swim split sit knit set begin forget shut rub
    beg drum snip grip skim prefer let
    """)
)


def _past(base: str) -> str:
    if base in _DOUBLED:
        return f"{base}{base[-1]}ed"
    if base.endswith("e"):
        return f"{base}d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}ied"
    return f"{base}ed"


def _ing(base: str) -> str:
    if base in _DOUBLED:
        return f"{base}{base[-1]}ing"
    if base == "be":
        return "being"
    if base.endswith("ie"):
        return f"{base[:-2]}ying"
    if base.endswith("e") and not base.endswith("ee"):
        return f"{base[:-1]}ing"
    return f"{base}ing"


def _third(base: str) -> str:
    if base in ("have", "be", "do", "go"):
        return {"have": "has", "be": "is", "do": "does", "go": "goes"}[base]
    if base.endswith(("s", "sh", "ch", "x", "z")):
        return f"{base}es"
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}ies"
    return f"{base}s"


FORMS: dict[str, dict[str, str]] = {
    base: {
        "inf": base,
        "past": _IRREGULAR.get(base, (_past(base),) * 2)[0],
        "part": _IRREGULAR.get(base, (_past(base),) * 2)[1],
        "ing": _ing(base),
        "now": _third(base),
    }
    for base in (*VERBS, "do", "let")
    if base != "do" and base != "let"
}
FORMS["do"] = {"inf": "do", "past": "did", "part": "done", "ing": "doing", "now": "does"}
FORMS["let"] = {"inf": "let", "past": "let", "part": "let", "ing": "letting", "now": "lets"}


def phrase(words: str, form: str) -> str:
    """The verb phrase `words` ("knead dough") with its first word put in a form: past, ing, inf,
    part or now.

    >>> phrase("go home", "past")
    'went home'
    """
    base, _, rest = words.partition(" ")
    verb = FORMS[base][form]
    return f"{verb} {rest}" if rest else verb
