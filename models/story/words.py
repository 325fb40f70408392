"""The word lists of the corpus: who the stories are about, what they own, and where they live."""

ANIMALS = """fox rabbit bear mouse owl cat dog duck hedgehog squirrel frog turtle elephant lion penguin deer otter badger wolf
goat sheep pig cow horse pony donkey chicken rooster goose swan robin sparrow crow parrot eagle bee ant butterfly ladybug
snail spider beetle cricket monkey tiger zebra giraffe kangaroo koala panda raccoon beaver mole bat seal whale dolphin crab
octopus fish lizard snake crocodile hippo camel llama puppy kitten bunny moose hamster raven firefly""".split()
PEOPLE = """girl boy princess prince knight wizard witch giant queen king pirate sailor farmer baker painter fisherman
shepherd gardener miller doctor teacher inventor clockmaker""".split()
MAGICAL = """dragon robot unicorn elf fairy mermaid snowman troll ghost gnome star cloud tree train car tractor monster
dinosaur phoenix genie pumpkin scarecrow rocket teapot alien moon""".split()
WORKERS = """astronaut cook soldier singer dancer detective explorer carpenter tailor postman firefighter librarian magician
nurse pilot driver scientist student musician captain hunter merchant cowboy clown ninja explorer""".split()
FEMALE_KINDS = {"girl", "princess", "witch", "queen", "mermaid", "cow", "chicken"}
MALE_KINDS = {"boy", "prince", "king", "wizard", "rooster", "fisherman"}

GIRLS = """Mia Lily Rosie Nora Ella Ada Ruby Hazel Ivy Luna Daisy Clara Poppy Willow Molly Zoe Tess Mabel Penny Olive Stella
Fern Maya Nina Pearl Flora Juno Wren Lulu Bella Anna Greta Ines Sofia Tilly Dora Edie Kiki Lena Suki""".split()
BOYS = """Pip Max Leo Finn Oscar Tom Milo Otto Ben Theo Hugo Felix Jack Sam Toby Rufus Barney Gus Bruno Charlie Henry Arlo
Nico Ollie Remy Jasper Basil Rowan Archie Ned Teddy Alfie Casper Dexter Emil Flint Kip Louis Monty Rolo""".split()

TRAITS = """brave kind shy clever curious lazy proud gentle cheerful honest stubborn clumsy patient lonely hungry sleepy
quiet friendly careful playful grumpy silly wise polite busy little tiny young old small big happy sad strong
fast slow funny sweet smart jolly dreamy restless helpful calm merry fearless""".split()
COLOURS = "red blue green yellow orange purple white golden silver pink brown".split()

THINGS = """kite ball lantern key book drum hat boat bell map flute clock coin umbrella basket mirror kettle button balloon
scarf blanket shell feather crown necklace ring wagon bicycle sled teapot cup spoon pencil paintbrush letter box whistle
compass candle pillow doll puppet ribbon rope ladder bucket broom stone pebble marble bottle trumpet violin backpack glove
sock boot coat telescope lamp statue chair wheel bag toy rocket train paper-boat snow-globe music-box teddy-bear sword
shield magnet camera guitar piano flag tent hammer shovel fishing-rod skateboard scooter mask potion wand cloak hourglass
treasure-map magic-carpet jar plate fork bowl bucket rug quilt lamp-post jewel diamond pearl acorn pinecone leaf petal
notebook picture puzzle kaleidoscope spyglass anchor oar parachute kayak tractor windmill sandcastle snowball lollipop
watch bracelet button-box sweater hammock harp banjo whisk apron ladle trophy medal dice yo-yo spinning-top""".split()
THINGS = sorted({thing.replace("-", " ") for thing in THINGS})
FOODS = ["cake", "pie", "bread", "honey", "soup", "cheese", "apples", "berries", "cookies", "nuts", "carrots", "pancakes",
         "plums", "pears", "muffins", "jam", "corn", "cherries"]
SEEDS = ["sunflower", "pumpkin", "rose", "apple tree", "bean", "tulip", "oak", "strawberry", "cherry tree", "tomato"]

# place: the preposition that goes with it, and two things found there.
PLACES = {
    "forest": ("in", "an old oak", "a pile of leaves"), "meadow": ("in", "the tall grass", "a patch of clover"),
    "village": ("in", "the well", "the market stalls"), "garden": ("in", "the rose bushes", "the stone wall"),
    "valley": ("in", "a row of poplars", "the stream"), "park": ("in", "the fountain", "a wooden bench"),
    "castle": ("in", "the tower stairs", "the great hall"), "cave": ("in", "a flat rock", "a dark corner"),
    "farm": ("on", "the barn", "the hay"), "hill": ("on", "a big rock", "the bushes"),
    "mountain": ("on", "a pine tree", "the snow"), "island": ("on", "the palm trees", "the sand"),
    "beach": ("on", "the rocks", "the sand dunes"), "lake": ("by", "the reeds", "the old dock"),
    "river": ("by", "the bridge", "the willow tree"), "pond": ("by", "the lily pads", "the mud"),
    "sea": ("by", "the lighthouse", "the fishing nets"), "desert": ("in", "a tall cactus", "the dunes"),
    "jungle": ("in", "the vines", "a huge fern"), "town": ("in", "the clock tower", "the bakery"),
    "city": ("in", "the library", "the train station"), "orchard": ("in", "the apple trees", "the old ladder"),
    "school": ("at", "the playground", "the book shelves"), "harbour": ("at", "the ships", "a stack of barrels"),
    "swamp": ("in", "a hollow log", "the wet moss"), "field": ("in", "the wheat", "the scarecrow"),
    "market": ("at", "the fruit stand", "the carts"), "library": ("in", "the tall shelves", "the reading table"),
    "mill": ("at", "the water wheel", "the sacks of flour"), "barn": ("in", "the hay", "the wooden gate"),
}
PLACE_ADJECTIVES = ["quiet", "green", "sunny", "small", "faraway", "windy", "beautiful", "peaceful", "misty", "big", "lovely",
                    "cold", "warm", "old"]

TIMES = ["one morning", "one sunny day", "one day", "one windy afternoon", "one spring morning", "one autumn day",
         "early one morning", "one cold day", "one summer evening", "one rainy afternoon", "one bright morning"]
FEARS = {
    "the dark": "it was dark", "thunder": "the thunder rolled", "deep water": "the water was deep",
    "high places": "it was very high", "loud noises": "the noise was loud", "strangers": "there were strangers around",
    "storms": "the storm roared", "the night": "the night was black",
}
TREASURES = ["a box of old letters", "a chest of golden coins", "a tiny door in a tree", "a nest with three blue eggs",
             "a room full of books", "a garden that nobody had seen before", "a pot of sweet honey", "a shiny blue stone",
             "a family of sleeping bats", "a waterfall as bright as silver"]
