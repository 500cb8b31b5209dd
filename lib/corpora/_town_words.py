"""The words of the town: names, kinds, places, things, traits, weather. Data, shared by all.

The storyteller and the checker share these tables and nothing else. A line of a table is an entry;
columns are parted by "|" and lists inside a column by ";" (the verbs stand in `_town_verbs`).
"""

# ruff: noqa: E501 (a phrase or an entry of a table reads best on one line)
from __future__ import annotations

from typing import NamedTuple

from lib.corpora._town_lists import word_list


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")] for row in table.strip().split("\n")]


def _list(cell: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in cell.split(";") if item.strip())


GIRLS = tuple(
    word_list("""
    Ada Alma Anna Bella Bess Carla Clara Cora Daisy Dora Ella Emma Eva Fay Flora Gina Grace
    Greta Hanna Hazel Helen Ida Iris Ivy Jane Julia June Kate Lena Lily Lola Lucy Mara Mary Maya
    Mia Milly Nell Nina Nora Olga Pam Pearl Penny Polly Rita Rosa Ruby Ruth Sally Sara Sofia
    Stella Tess Tilly Vera Wilma Zoe
    """)
)
BOYS = tuple(
    word_list("""
    Abel Adam Alfie Amos Anton Arlo Ben Bruno Carl Cole Dan Eli Emil Erik Felix Finn Frank Fred
    George Gus Hans Harry Henry Hugo Isaac Ivan Jack Jacob Jan Joe Jonas Karl Kurt Leo Louis
    Luke Marco Max Milo Ned Nick Noah Oliver Oscar Otto Paul Peter Ralph Remy Rob Sam Simon Ted
    Theo Tim Toby Tom Victor Walter Will
    """)
)


class Kind(NamedTuple):
    """What somebody is: a girl, a baker, a fox."""

    noun: str
    plural: str
    group: str  # child, grown or animal
    sex: str  # "f", "m" or "" for either
    skills: tuple[str, ...]
    homes: tuple[str, ...]


KINDS = {
    row[0]: Kind(row[0], row[1], row[2], row[3], _list(row[4]), _list(row[5]))
    for row in _rows(
        """
        girl | girls | child | f | | cottage; farm; mill; harbour; inn; bakery
        boy | boys | child | m | | cottage; farm; mill; harbour; inn; station
        baker | bakers | grown | | bake | bakery
        miller | millers | grown | | carry | mill
        farmer | farmers | grown | | dig; carry | farm
        teacher | teachers | grown | | read | school
        shepherd | shepherds | grown | | climb | hill; meadow
        weaver | weavers | grown | | sew | cottage
        potter | potters | grown | | make | workshop
        tailor | tailors | grown | | sew | shop
        gardener | gardeners | grown | | dig; climb | garden; park
        carpenter | carpenters | grown | | mend; climb | workshop
        blacksmith | blacksmiths | grown | | mend; carry | forge
        fisherman | fishermen | grown | m | swim | harbour; lake
        postman | postmen | grown | m | run | station
        doctor | doctors | grown | | heal | square
        nurse | nurses | grown | | heal | square
        painter | painters | grown | | paint | attic; harbour
        cook | cooks | grown | | bake | inn
        sailor | sailors | grown | | swim; climb | harbour; beach
        beekeeper | beekeepers | grown | | climb | orchard; meadow
        librarian | librarians | grown | | read | library
        cobbler | cobblers | grown | | mend; sew | shop
        toymaker | toymakers | grown | | mend; make | workshop; market
        clockmaker | clockmakers | grown | | mend | tower
        woodcutter | woodcutters | grown | | climb; carry | forest
        fiddler | fiddlers | grown | | play | inn; square
        innkeeper | innkeepers | grown | | bake | inn
        ferryman | ferrymen | grown | m | swim; carry | river
        washerwoman | washerwomen | grown | f | sew | river; well
        grocer | grocers | grown | | carry | shop; market
        lamplighter | lamplighters | grown | | climb | square; bridge
        dog | dogs | animal | | dig; swim; run | farm; yard; inn
        cat | cats | animal | | climb | barn; attic; bakery
        kitten | kittens | animal | | climb | barn; cottage
        puppy | puppies | animal | | dig; run | yard; farm
        rabbit | rabbits | animal | | dig; run | meadow; hill
        hare | hares | animal | | run | field; hill
        fox | foxes | animal | | dig; run | forest; hill
        hen | hens | animal | f | | farm; yard
        duck | ducks | animal | | swim | pond; river
        goose | geese | animal | | swim | pond; farm
        goat | goats | animal | | climb | hill; farm
        lamb | lambs | animal | | | meadow; farm
        sheep | sheep | animal | | | meadow; hill
        pig | pigs | animal | | dig | farm; yard
        pony | ponies | animal | | run; carry | stable; meadow
        horse | horses | animal | | run; carry | stable; field
        donkey | donkeys | animal | | carry | stable; mill
        cow | cows | animal | f | carry | barn; meadow
        mouse | mice | animal | | dig | barn; mill; library
        owl | owls | animal | | fly | barn; tower; forest
        crow | crows | animal | | fly | tower; field
        robin | robins | animal | | fly | garden; orchard
        sparrow | sparrows | animal | | fly | market; bakery
        magpie | magpies | animal | | fly | forest; park
        frog | frogs | animal | | swim | pond; well
        toad | toads | animal | | swim | pond; garden
        hedgehog | hedgehogs | animal | | dig | garden; orchard
        squirrel | squirrels | animal | | climb | park; forest
        badger | badgers | animal | | dig; carry | forest; hill
        mole | moles | animal | | dig | garden; field
        otter | otters | animal | | swim | river; lake
        beaver | beavers | animal | | swim; mend | river; lake
        bear | bears | animal | | climb; carry; swim | cave; forest
        deer | deer | animal | | run | forest; meadow
        swan | swans | animal | | swim | lake; river
        turtle | turtles | animal | | swim | lake; beach
        """
    )
}


class Place(NamedTuple):
    """A place of the town."""

    noun: str
    at: str  # the preposition that goes with it
    indoors: bool
    spots: tuple[str, ...]  # where a small thing can lie there
    scenes: tuple[str, ...]  # what is always to be seen or heard there
    adjectives: tuple[str, ...]


PLACES = {
    row[0]: Place(row[0], row[1], row[2] == "in", _list(row[3]), _list(row[4]), _list(row[5]))
    for row in _rows(
        """
        mill | at | in | under the wheel; behind the sacks; beside the stairs | the big wheel turned slowly; flour hung in the air; the stones groaned | old; dusty
        bakery | in | in | on the counter; behind the oven; under the bench | warm loaves stood in rows; the oven glowed; sweet steam filled the room | warm; little
        school | at | in | under a desk; beside the blackboard; on the shelf | chalk squeaked on the blackboard; coats hung in a row; the bell rang twice | small; red
        market | at | out | under a stall; between the barrels; beside the fountain | people shouted prices; stalls stood side by side; a piper played a tune | busy; noisy
        bridge | on | out | under the arch; between two stones; on the wall | the water rushed below; carts rolled over the stones; swallows flew under the arch | old; narrow; wooden
        river | by | out | among the reeds; under the roots; on a flat stone | the water sparkled; fish jumped; reeds swayed by the bank | wide; cold; deep
        pond | by | out | among the lilies; under the willow; in the mud | frogs sang in the reeds; lilies floated on the water; a willow touched the water | quiet; green; muddy
        well | by | out | behind the bucket; in the moss; under the roof | the rope creaked; moss grew on the stones; drops fell into the dark | deep; old
        park | in | out | under a bench; beside the statue; behind the swings | swings creaked; children shouted on the swings; pigeons walked about | big; sunny
        garden | in | out | under the roses; among the beans; behind the shed | bees hummed among the roses; beans climbed up their poles; butterflies danced | pretty; little; wild
        orchard | in | out | under an apple tree; in the long grass; behind the fence | ripe fruit hung from the branches; wasps buzzed in the long grass; blossoms fell like snow | old; shady
        farm | at | out | beside the trough; under the cart; behind the haystack | chickens scratched in the dirt; a rooster crowed; the cart stood by the gate | big; lonely
        barn | in | in | in the straw; behind the ladder; under the beam | dust danced in the light; straw covered the floor; the old door creaked | dark; red; old
        stable | in | in | under the saddle; in the hay; beside the manger | it smelled of hay and leather; saddles hung on the wall; flies buzzed | warm; dim
        hill | on | out | beside a rock; in the heather; under the lonely tree | the grass bent in the breeze; the whole town lay below; clouds drifted by | steep; green; windy
        forest | in | out | under a fern; beside a hollow log; among the mushrooms | branches creaked; a woodpecker knocked; moss covered the logs | dark; deep; quiet
        library | in | in | behind the dictionary; on the top shelf; under the lamp | the shelves reached the ceiling; a clock ticked; pages rustled | quiet; tall
        station | at | in | under the bench; beside the ticket window; behind a suitcase | a train whistled; steam rose; travellers hurried past | noisy; old
        harbour | at | out | among the nets; behind a barrel; beside an anchor | gulls cried; boats rocked at their ropes; it smelled of salt and tar | busy; windy
        lighthouse | at | in | on the stairs; behind the lamp; under the window | the great lamp turned; waves crashed below; the stairs wound up and up | tall; white
        beach | on | out | in the sand; between two rocks; under the seaweed | waves rolled over the sand; shells lay everywhere; crabs ran sideways | sandy; long; empty
        cave | in | out | behind a rock; in a crack; on a ledge | water dripped; bats slept overhead; every step echoed | dark; cold; deep
        meadow | in | out | among the daisies; in the clover; beside a molehill | crickets chirped; daisies nodded; the clover smelled sweet | green; wide; sunny
        field | in | out | beside the scarecrow; in a furrow; behind the hedge | the corn rustled; a scarecrow waved its sleeves; larks sang high above | wide; golden
        forge | at | in | under the anvil; beside the bellows; behind the coal | sparks flew; the fire roared; the anvil rang | hot; smoky
        inn | at | in | under a table; on the windowsill; beside the fireplace | plates clattered; a kettle hummed; guests laughed at the tables | cosy; crowded
        shop | in | in | on a shelf; under the counter; behind the jars | jars gleamed on the shelves; the bell on the door tinkled; it smelled of soap | tiny; neat
        square | in | out | beside the fountain; under the clock; behind a bench | the fountain splashed; lamps stood around it; neighbours chatted in the shade | wide; busy
        tower | in | in | behind the bells; on the windowsill; under the stairs | the great clock ticked; pigeons cooed; the bells hummed softly | high; old; windy
        workshop | in | in | under the workbench; among the shavings; on a hook | shavings curled on the floor; tools hung in rows; it smelled of glue | tidy; dusty
        cottage | in | in | under the bed; behind the stove; in a drawer | a fire crackled; curtains fluttered at the window; a kettle sang | cosy; little; white
        attic | in | in | behind a trunk; under the blankets; beside the cradle | cobwebs hung from the beams; mice scratched behind the beams; old trunks stood everywhere | dusty; dark
        cellar | in | in | behind the barrels; under the steps; on a shelf | barrels stood in rows; it smelled of apples; a spider spun in the corner | cool; dark
        yard | in | out | behind the woodpile; under the bucket; beside the kennel | laundry flapped on the line; hens pecked at the ground; a puddle shone | small; tidy; muddy
        lake | by | out | among the pebbles; under an old boat; in the reeds | ripples ran over the water; dragonflies flashed; a heron stood in the shallows | blue; calm
        playground | at | out | under the slide; beside the sandpit; behind the seesaw | a seesaw went up and down; shoes lay in the sandpit; children laughed | new; noisy
        """
    )
}


class Noun(NamedTuple):
    """A thing that changes hands."""

    noun: str
    group: str  # toy, tool, wear, food, treasure, paper or box
    plural: bool  # "a pair of" things: boots, gloves
    looks: tuple[str, ...]  # the adjectives that fit


_COLOURS = "red; blue; green; yellow; brown; white; black; purple; orange; pink"
_LOOKS = {
    "toy": f"{_COLOURS}; painted; wooden; new; striped",
    "tool": "old; heavy; new; rusty; sharp; long; strong; small",
    "wear": f"{_COLOURS}; woollen; warm; striped; new; patched",
    "food": "fresh; big; little; round; tasty",
    "treasure": "silver; golden; tiny; shiny; old; pretty; strange",
    "paper": "thick; thin; old; torn; folded; yellow",
    "box": "wooden; heavy; little; old; green; carved",
}
_THINGS = {
    "toy": "kite ball doll drum whistle puppet hoop sled wagon flute trumpet balloon scooter mask",
    "tool": "ladder rope spade hammer saw lantern bucket broom net axe rake lamp candle needle "
    "wheelbarrow shovel torch oar umbrella hook",
    "wear": "hat scarf coat cap shawl apron belt cloak blanket jacket ribbon *boots *gloves "
    "*mittens *slippers *socks",
    "food": "apple pear cake pie bun cheese loaf plum pumpkin melon cabbage carrot turnip biscuit "
    "pancake sausage fish egg nut cherry peach tart sandwich onion potato",
    "treasure": "ring coin bell shell feather necklace crown button mirror medal compass pebble "
    "brooch spoon cup",
    "paper": "book map letter picture notebook card",
    "box": "box basket chest jar bag sack trunk",
}
_NO_LOOKS = {
    "balloon": f"{_COLOURS}; striped; big",
    "lamp": "old; little; bright; green; brass",
    "lantern": "old; bright; little; rusty; red",
    "torch": "bright; long; strong; little",
    "broom": "old; new; long; good",
    "bucket": "old; blue; rusty; big; wooden",
    "wheelbarrow": "old; rusty; green; big",
    "oar": "long; old; strong; wooden",
    "hook": "strong; rusty; big; old",
    "rake": "old; long; rusty; good",
    "spade": "old; heavy; sharp; good; small",
    "shovel": "old; heavy; new; big",
    "hammer": "old; heavy; good; small",
    "saw": "old; sharp; long; good",
    "axe": "sharp; heavy; old; good",
    "boots": f"{_COLOURS}; heavy; warm; new; old",
    "belt": "brown; black; new; wide; patched",
    "hat": f"{_COLOURS}; straw; new; tall; funny",
    "cap": f"{_COLOURS}; woollen; striped; new; little",
    "ribbon": f"{_COLOURS}; silk; long; striped; pretty",
    "candle": "white; yellow; red; tall; new",
    "needle": "sharp; silver; long; tiny",
    "umbrella": f"{_COLOURS}; big; old",
    "rope": "long; strong; thick; old",
    "ladder": "long; wooden; tall; old",
    "net": "long; green; strong; old",
    "trumpet": "golden; shiny; old; little",
    "flute": "silver; wooden; new; little",
    "whistle": "silver; wooden; shiny; tiny",
    "mirror": "round; silver; tiny; old",
    "shell": "white; pink; tiny; pretty; striped",
    "feather": "blue; white; long; grey; black",
    "pebble": "white; round; smooth; shiny; grey",
    "button": "red; blue; golden; shiny; round",
    "cup": "blue; white; silver; little; tall",
    "jar": "green; blue; tall; little; clean",
    "bag": "brown; red; heavy; little; patched",
    "sack": "heavy; brown; patched; big",
    "basket": "round; little; brown; big",
    "cake": "big; round; sweet; little; birthday",
    "pie": "big; hot; sweet; fresh; little",
    "bun": "fresh; sweet; sticky; warm; big",
    "loaf": "fresh; warm; big; brown; round",
    "melon": "ripe; green; big; round; sweet",
    "cabbage": "green; big; fresh; round",
    "turnip": "big; white; fresh; round",
    "biscuit": "sweet; crunchy; big; round",
    "pancake": "hot; sweet; big; thin; round",
    "sandwich": "big; fresh; tasty; thick",
    "potato": "big; hot; brown; round",
    "peach": "ripe; sweet; juicy; big; round",
    "tart": "sweet; little; fresh; sticky",
    "fish": "fresh; big; silver; fat",
    "egg": "fresh; brown; white; big; speckled",
    "cheese": "fresh; big; round; yellow",
    "apple": "red; green; big; sweet; shiny",
    "pear": "ripe; green; yellow; big; sweet",
    "plum": "purple; ripe; sweet; fat",
    "carrot": "orange; long; fresh; crunchy",
    "pumpkin": "orange; fat; big; round",
    "cherry": "red; ripe; sweet; dark",
    "sausage": "fat; long; fresh; big",
    "nut": "brown; big; round; crunchy",
    "onion": "brown; big; red; round",
    "book": "thick; thin; red; blue; old",
    "map": "old; torn; folded; yellow",
    "letter": "long; short; folded; yellow",
    "picture": "pretty; little; strange; colourful",
    "notebook": "thick; thin; red; blue; new",
    "card": "pretty; colourful; little; folded",
}
THINGS = {
    noun.lstrip("*"): Noun(
        noun.lstrip("*"), group, noun[0] == "*", _list(_NO_LOOKS.get(noun, _LOOKS[group]))
    )
    for group, nouns in _THINGS.items()
    for noun in nouns.split()
}
THINGS["key"] = Noun("key", "treasure", False, _list("silver; golden; rusty; tiny; big; old"))
CLOTH = ("kite", "puppet", "umbrella", "net", "mask")
WOOD = ("drum", "sled", "wagon", "broom", "rake", "ladder", "hoop")
FOODS = tuple(noun for noun, thing in THINGS.items() if thing.group == "food")


class Use(NamedTuple):
    """What one does with a thing: "to fly {it} on the hill"."""

    verb: str
    rest: str  # "{}" is the thing
    place: str  # where; empty for anywhere
    weather: str  # what it needs; empty for none
    result: str  # what comes of it


USES: dict[str, tuple[Use, ...]] = {}
for _row in _rows(
    """
    kite | fly | {} on the hill | hill | windy | it danced high above the roofs
    kite | fly | {} in the meadow | meadow | windy | it climbed until it was as small as a bird
    kite | fly | {} on the beach | beach | windy | it sailed over the waves like a gull
    ball | play | with {} in the park | park | | it bounced over the grass like a rabbit
    ball | kick | {} around the yard | yard | | it rolled through every puddle
    drum | play | {} at the school | school | | everybody marched in a circle
    drum | beat | {} in the square | square | | all the windows opened
    flute | play | {} on the bridge | bridge | | even the fish seemed to listen
    trumpet | play | {} in the tower | tower | | the whole town heard it
    sled | ride | {} down the hill | hill | snowy | the snow flew to both sides
    scooter | ride | {} across the square | square | | the pigeons jumped out of the way
    wagon | pull | {} to the market | market | | it rattled over the stones
    hoop | roll | {} across the playground | playground | | it wobbled, but it did not fall
    puppet | show | {} to the children at the school | school | | the children laughed and clapped
    mask | wear | {} to the party at the inn | inn | | nobody guessed who was behind it
    ladder | use | {} to pick pears in the orchard | orchard | | soon three baskets were full of pears
    ladder | use | {} to mend the roof of the barn | barn | | not a drop came through the roof any more
    rope | use | {} to tie up the boat at the harbour | harbour | | the boat could not drift away
    rope | use | {} to make a swing in the orchard | orchard | | the swing flew high into the leaves
    spade | use | {} to plant beans in the garden | garden | | soon the beans stood in a straight row
    spade | use | {} to dig a ditch in the field | field | | the water ran away at last
    rake | use | {} to tidy up the garden | garden | | the garden looked as neat as a room
    rake | use | {} to gather hay in the meadow | meadow | | the haystack grew taller and taller
    shovel | use | {} to clear the path in the park | park | | everyone could walk there again
    hammer | use | {} to mend the fence at the farm | farm | | the fence stood straight again
    hammer | use | {} to build a shed in the yard | yard | | the little shed did not even shake
    saw | use | {} to cut wood in the forest | forest | | there was enough wood for the whole winter
    axe | use | {} to chop wood in the forest | forest | | the pile of wood grew as high as a house
    lantern | use | {} to explore the cave | cave | | the walls of the cave sparkled
    torch | use | {} to explore the cellar | cellar | | the shadows danced on the walls
    lamp | use | {} to read in the attic | attic | | the story was the best one in the book
    candle | use | {} to light up the cellar | cellar | | the mice ran into their holes
    bucket | use | {} to fetch water from the well | well | | the water was cold and clear
    bucket | use | {} to gather shells on the beach | beach | | there were pink shells and white shells
    broom | use | {} to sweep the floor of the barn | barn | | the dust flew out of the door
    broom | use | {} to clean the workshop | workshop | | the floor was as clean as a plate
    net | use | {} to catch fish in the lake | lake | | a big fish jumped right into it
    net | use | {} to catch tadpoles in the pond | pond | | the tadpoles wriggled and escaped again
    needle | use | {} to sew a costume for the party at the school | school | | the costume was full of tiny stars
    wheelbarrow | use | {} to carry pumpkins to the market | market | | not one pumpkin fell off
    oar | use | {} to row across the lake | lake | | the boat slid over the water
    umbrella | carry | {} to the market | market | rainy | not a drop fell on the shopping
    hook | use | {} to hang a lamp in the stable | stable | | the light fell into every corner
    hat | wear | {} to the fair in the square | square | | everybody admired it
    cap | wear | {} to the game at the playground | playground | | it did not fall off once
    scarf | wear | {} on the frozen lake | lake | snowy | the wind could not bite
    coat | wear | {} to the harbour | harbour | cold | the cold could not get in
    gloves | wear | {} in the snowy field | field | snowy | the snowman had a carrot for a nose
    mittens | wear | {} in the snowy park | park | snowy | the snowballs were round and hard
    boots | wear | {} in the muddy field | field | rainy | the mud splashed up to the knees
    cloak | wear | {} in the play at the school | school | | it was just right for a king
    ribbon | wear | {} to the dance at the inn | inn | | it fluttered at every turn
    apron | wear | {} in the bakery | bakery | | it was soon full of flour
    blanket | spread | {} on the grass for a picnic in the meadow | meadow | sunny | even the ants came to the feast
    basket | use | {} to gather mushrooms in the forest | forest | | there were more mushrooms than leaves
    basket | use | {} to carry eggs to the market | market | | not a single egg broke
    sack | use | {} to bring flour from the mill | mill | | there was enough flour for a hundred loaves
    bag | use | {} to carry books to the library | library | | the librarian was very pleased with the books
    jar | use | {} to keep honey in the cellar | cellar | | the honey shone like gold
    book | read | {} under the lamp in the library | library | | the last page was the best of all
    map | use | {} to find the cave | cave | | the cave was right behind the waterfall
    letter | post | {} at the station | station | | the letter left with the evening train
    picture | hang | {} on the wall of the school | school | | the whole class admired it
    bell | ring | {} at the wedding in the square | square | | everybody danced around the fountain
    compass | use | {} to cross the forest | forest | | the needle always pointed to the north
    crown | wear | {} in the play at the school | school | | everybody bowed to the new king
    notebook | draw | ships in {} at the harbour | harbour | | one ship had seven sails
    """
):
    USES[_row[0]] = (*USES.get(_row[0], ()), Use(*_row[1:]))

TRAITS: dict[str, tuple[str, ...]] = {
    row[0]: _list(row[1])
    for row in _rows(
        """
        kind | never passed anyone in need; liked to help other people
        brave | was not afraid of the dark; never ran from trouble
        shy | spoke very softly; liked to listen more than to talk
        curious | asked a hundred questions a day; wanted to know everything
        clever | could solve any riddle; always had a good idea
        greedy | always wanted the biggest piece; did not like to share
        lazy | liked to sleep late; never hurried
        careless | often left things lying around; never looked twice
        forgetful | often forgot where things were; sometimes forgot the day of the week
        careful | always looked twice; never broke anything
        proud | loved to win; did not like to ask for help
        patient | never minded waiting; could sit still for hours
        honest | always told the truth; never kept what belonged to others
        generous | gave away almost everything; loved to give presents
        grumpy | complained about everything; seldom smiled
        playful | loved jokes and games; could not sit still
        stubborn | never gave up; did not listen to advice
        gentle | never hurt a fly; had a soft voice
        cheerful | sang from morning till night; laughed at every joke
        quiet | seldom said much; loved peace and quiet
        busy | was always working; never had a free minute
        merry | loved music and dancing; was always in a good mood
        helpful | carried bags for the neighbours; loved to be useful
        dreamy | loved to watch the clouds; was often lost in thought
        timid | was afraid of loud noises; trembled at every shadow
        hopeful | always hoped for the best; never stayed sad for long
        """
    )
}
GIVING = ("kind", "generous", "helpful", "gentle", "cheerful", "merry", "honest")
CLOSE = ("greedy", "proud", "stubborn", "grumpy")

MOODS: dict[str, tuple[str, ...]] = {
    "glad": ("glad", "happy", "pleased", "delighted", "overjoyed", "cheerful", "joyful"),
    "sad": ("sad", "unhappy", "miserable", "gloomy", "downcast", "heartbroken"),
    "cross": ("cross", "angry", "annoyed", "furious", "grumpy"),
    "sorry": ("sorry", "ashamed", "guilty"),
    "worried": ("worried", "anxious", "uneasy", "nervous"),
    "afraid": ("afraid", "scared", "frightened"),
    "tired": ("tired", "weary", "sleepy", "exhausted"),
    "hungry": ("hungry", "starving"),
    "thankful": ("thankful", "grateful"),
    "surprised": ("surprised", "amazed", "astonished", "startled"),
    "lonely": ("lonely",),
    "proud": ("proud",),
    "excited": ("excited", "eager"),
    "relieved": ("relieved",),
    "puzzled": ("puzzled", "confused"),
    "cold": ("cold", "chilly"),
    "bored": ("bored",),
}


class Weather(NamedTuple):
    """One kind of weather, and the ways to say it."""

    name: str
    mornings: tuple[str, ...]  # adjectives: "one windy morning"
    states: tuple[str, ...]  # how it was
    begins: tuple[str, ...]  # how it comes
    ends: tuple[str, ...]  # how it goes


WEATHERS = {
    row[0]: Weather(row[0], *map(_list, row[1:]))
    for row in _rows(
        """
        sunny | sunny; bright; warm; golden | the sun was shining; the sky was blue; there was not a cloud in the sky; the sun warmed the roofs | the sun came out; the sky cleared; the clouds parted; the sun broke through the clouds | the sun went behind a cloud; clouds covered the sun
        windy | windy; breezy; blustery | the wind was blowing; a strong wind blew; leaves flew through the air; the wind tugged at every hat | the wind began to blow; a strong wind rose; the wind picked up | the wind dropped; the wind died down
        rainy | rainy; wet; drizzly | it was raining; rain fell softly; rain drummed on the roofs; the streets were full of puddles | it began to rain; rain started to fall; dark clouds came and it rained hard | the rain stopped; it stopped raining
        snowy | snowy; wintry | it was snowing; snow lay on the roofs; snow covered the streets; everything was white with snow | it began to snow; snow started to fall; fat snowflakes began to fall | the snow stopped; it stopped snowing
        foggy | foggy; misty; grey | fog lay over the town; a thick mist hid the roofs; nobody could see far in the fog | fog rolled in; a thick mist came up from the river | the fog lifted; the mist cleared
        cold | cold; frosty; chilly; icy | the air was icy; frost covered the windows; the puddles were frozen | it turned cold; a cold air came down from the hills | it grew warmer; the frost melted
        """
    )
}
RELATIONS = {
    "f": ("sister", "friend", "cousin", "neighbour", "aunt", "grandmother"),
    "m": ("brother", "friend", "cousin", "neighbour", "uncle", "grandfather"),
}
