"""What the model is taught about the world: small facts, jokes, rhymes, and what it must refuse."""

from words import ANIMALS

NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SEASONS = {
    "spring": "in spring, the flowers come out and {birds sing|the days get longer}.",
    "summer": "in summer it is {warm|hot}, and {the days are long|you can swim in the lake}.",
    "autumn": "in autumn, the leaves turn red and {yellow|brown}, and {they fall from the trees|it gets windy}.",
    "winter": "in winter it is cold, and {there may be snow|the nights are long}.",
}
COLOUR_OF = {
    "the sky": "blue", "grass": "green", "snow": "white", "the sun": "yellow", "a banana": "yellow", "a tomato": "red",
    "a carrot": "orange", "coal": "black", "a lemon": "yellow", "blood": "red", "the sea": "blue", "a frog": "green",
    "a pig": "pink", "a fox": "orange", "a raven": "black", "milk": "white", "chocolate": "brown", "a strawberry": "red",
    "a leaf": "green", "an elephant": "grey", "a plum": "purple", "a mouse": "grey", "a pumpkin": "orange", "a cherry": "red",
    "a cucumber": "green", "a swan": "white", "a bear": "brown", "a sunflower": "yellow", "gold": "yellow", "a cloud": "white",
    "the night": "black", "a flamingo": "pink", "a crow": "black", "a polar bear": "white", "fire": "red and orange",
    "a zebra": "black and white", "a panda": "black and white", "a bee": "yellow and black", "a penguin": "black and white",
}
MIXES = [("blue", "yellow", "green"), ("red", "yellow", "orange"), ("red", "blue", "purple"), ("red", "white", "pink"),
         ("black", "white", "grey"), ("blue", "white", "light blue"), ("red", "green", "brown")]

# animal: sound, young, home, food, legs ("" where there is nothing to say).
ANIMAL_FACTS = {
    "dog": ("woof", "puppy", "in a house with people", "meat", "four"), "cat": ("meow", "kitten", "in a house with people", "mice and fish", "four"),
    "cow": ("moo", "calf", "on a farm", "grass", "four"), "horse": ("neigh", "foal", "on a farm", "hay and grass", "four"),
    "pig": ("oink", "piglet", "on a farm", "almost everything", "four"), "sheep": ("baa", "lamb", "on a farm", "grass", "four"),
    "goat": ("meh", "kid", "on a farm", "grass and leaves", "four"), "duck": ("quack", "duckling", "by a pond", "plants and snails", "two"),
    "chicken": ("cluck", "chick", "on a farm", "corn", "two"), "rooster": ("cock-a-doodle-doo", "", "on a farm", "corn", "two"),
    "owl": ("hoo", "owlet", "in the forest", "mice", "two"), "frog": ("ribbit", "tadpole", "by a pond", "flies", "four"),
    "lion": ("roar", "cub", "in the grassland", "meat", "four"), "bear": ("growl", "cub", "in the forest", "berries, fish and honey", "four"),
    "fox": ("", "cub", "in the forest", "mice and berries", "four"), "wolf": ("howl", "cub", "in the forest", "meat", "four"),
    "rabbit": ("", "kit", "in a burrow", "grass and carrots", "four"), "mouse": ("squeak", "pup", "in a hole", "seeds and cheese", "four"),
    "bee": ("buzz", "", "in a hive", "nectar and pollen", "six"), "ant": ("", "", "in an ant hill", "seeds and leaves", "six"),
    "spider": ("", "", "in a web", "flies", "eight"), "fish": ("", "", "in the water", "worms and plants", "no"),
    "snake": ("hiss", "", "in the grass", "mice", "no"), "whale": ("", "calf", "in the sea", "tiny shrimps", "no"),
    "dolphin": ("click", "calf", "in the sea", "fish", "no"), "penguin": ("", "chick", "on the ice", "fish", "two"),
    "elephant": ("", "calf", "in the grassland", "grass, leaves and fruit", "four"), "monkey": ("", "infant", "in the jungle", "fruit", "four"),
    "giraffe": ("", "calf", "in the grassland", "leaves", "four"), "kangaroo": ("", "joey", "in Australia", "grass", "four"),
    "squirrel": ("", "kit", "in a tree", "nuts", "four"), "hedgehog": ("", "hoglet", "in the garden", "beetles and snails", "four"),
    "swan": ("", "cygnet", "on a lake", "plants", "two"), "eagle": ("", "eaglet", "in the mountains", "fish and rabbits", "two"),
    "turtle": ("", "hatchling", "in the sea", "plants and small animals", "four"), "butterfly": ("", "caterpillar", "in the meadow", "nectar", "six"),
    "camel": ("", "calf", "in the desert", "dry plants", "four"), "tiger": ("roar", "cub", "in the jungle", "meat", "four"),
    "panda": ("", "cub", "in the forest", "bamboo", "four"), "deer": ("", "fawn", "in the forest", "grass and leaves", "four"),
    "crow": ("caw", "chick", "in a tree", "almost everything", "two"), "goose": ("honk", "gosling", "by a lake", "grass", "two"),
    "seal": ("", "pup", "by the sea", "fish", "no"), "octopus": ("", "", "in the sea", "crabs", "no"), "donkey": ("hee-haw", "foal", "on a farm", "hay", "four"),
}
OPPOSITES = [tuple(pair.split("-")) for pair in """big-small hot-cold up-down day-night happy-sad fast-slow old-new light-dark
full-empty open-closed good-bad wet-dry high-low loud-quiet hard-soft left-right in-out yes-no strong-weak long-short
early-late first-last rich-poor clean-dirty near-far black-white summer-winter sweet-sour thick-thin begin-end
brave-afraid push-pull give-take buy-sell come-go laugh-cry win-lose love-hate friend-enemy above-below inside-outside
before-after always-never everything-nothing awake-asleep true-false wide-narrow smooth-rough sharp-blunt
deep-shallow front-back top-bottom start-stop morning-evening north-south east-west sunrise-sunset polite-rude kind-mean lost-found question-answer remember-forget""".split() ]
SIZES = ["ant", "bee", "mouse", "frog", "squirrel", "rabbit", "cat", "fox", "dog", "sheep", "pig", "lion", "cow", "horse",
         "giraffe", "elephant", "whale"]
CAN = [("bird", "fly", True, "it has wings."), ("fish", "swim", True, "it lives in the water."), ("fish", "fly", False, "it swims in the water."),
       ("pig", "fly", False, "it has no wings."), ("dog", "swim", True, "most dogs like water."), ("cat", "climb", True, "it has sharp claws."),
       ("penguin", "fly", False, "but it can swim very well."), ("penguin", "swim", True, "it swims very well."), ("owl", "fly", True, "it flies without a sound."),
       ("frog", "jump", True, "it has strong legs."), ("snake", "walk", False, "it has no legs."), ("elephant", "jump", False, "it is too heavy."),
       ("monkey", "climb", True, "it lives in the trees."), ("stone", "swim", False, "it sinks."), ("boat", "swim", True, "it floats on the water."),
       ("bee", "fly", True, "it has wings."), ("cow", "fly", False, "it has no wings."), ("horse", "run", True, "it runs very fast."),
       ("tree", "walk", False, "it has roots."), ("bat", "fly", True, "it flies at night."), ("parrot", "talk", True, "it can learn some words."),
       ("whale", "walk", False, "it lives in the sea."), ("mouse", "climb", True, "it is small and light."), ("kangaroo", "jump", True, "it has strong legs."),
       ("chair", "talk", False, "it is only a thing."), ("turtle", "run", False, "it is very slow."), ("squirrel", "climb", True, "it lives in the trees."),
       ("duck", "swim", True, "it lives by the pond."), ("duck", "fly", True, "it has wings."), ("spider", "fly", False, "it walks on eight legs.")]
CATEGORIES = {
    "animals": ["dog", "cat", "fox", "bear", "horse", "lion", "rabbit", "mouse", "elephant", "wolf", "tiger", "cow", "sheep", "monkey", "deer"],
    "fruits": ["apple", "pear", "banana", "cherry", "plum", "orange", "lemon", "strawberry", "grape", "peach", "melon"],
    "vegetables": ["carrot", "potato", "onion", "cabbage", "bean", "pea", "leek", "cucumber", "radish"],
    "colours": ["red", "blue", "green", "yellow", "purple", "pink", "brown", "black", "white", "grey", "orange"],
    "toys": ["ball", "kite", "doll", "puzzle", "toy train", "teddy bear", "yo-yo", "spinning top"],
    "birds": ["owl", "robin", "eagle", "swan", "duck", "sparrow", "crow", "parrot", "penguin", "goose"],
    "flowers": ["rose", "tulip", "daisy", "sunflower", "violet", "lily", "poppy"],
    "clothes": ["hat", "coat", "scarf", "shirt", "sock", "glove", "sweater", "dress"],
    "shapes": ["circle", "square", "triangle", "star", "oval", "rectangle"],
    "tools": ["hammer", "saw", "shovel", "rake", "ladder", "screwdriver", "broom"],
}
DEFINITIONS = {
    "lantern": "a lamp that you can carry", "kite": "a toy that flies in the wind on a string", "umbrella": "a thing that keeps you dry in the rain",
    "telescope": "a tube to look at the stars", "compass": "a thing that shows where north is", "map": "a picture that shows the way", "clock": "a thing that shows the time",
    "forest": "a place with many trees", "river": "water that flows to the sea", "island": "land with water all around it", "mountain": "a very high hill",
    "desert": "a dry place with much sand", "rainbow": "an arch of colours in the sky after rain", "library": "a place with many books", "bakery": "a place where bread is made",
    "school": "a place where children learn", "doctor": "a person who helps sick people", "baker": "a person who makes bread", "farmer": "a person who grows food", "pirate": "a robber on the sea",
    "king": "a man who rules a country", "queen": "a woman who rules a country", "dragon": "a big animal in stories that breathes fire", "unicorn": "a horse with a horn that lives in stories",
    "robot": "a machine that can move and work", "story": "something that is told, with a beginning and an end", "poem": "a short text that often rhymes", "friend": "someone you like and trust",
    "whistle": "a small thing that makes a high sound", "drum": "a thing that you beat to make music", "flute": "a thing that you blow to make music", "castle": "a big strong house of stone for a king",
    "boat": "a thing that carries you over water", "bicycle": "a thing with two wheels that you ride", "candle": "a stick of wax that gives light", "blanket": "a thing that keeps you warm in bed",
    "key": "a thing that opens a lock", "mirror": "a glass in which you see yourself", "snowman": "a man made of snow", "volcano": "a mountain that can throw out fire", "planet": "a big ball that goes around a star",
    "star": "a far sun that shines at night", "cloud": "many tiny drops of water in the sky", "model": "a program that has learned from many examples", "computer": "a machine that counts and follows orders",
}
USES = {"cut paper": "scissors", "open a lock": "a key", "see in the dark": "a lantern", "stay dry in the rain": "an umbrella", "write a letter": "a pencil and paper", "eat soup": "a spoon",
        "sweep the floor": "a broom", "look at the stars": "a telescope", "find north": "a compass", "paint a picture": "a paintbrush", "dig a hole": "a shovel", "cross the sea": "a boat",
        "keep warm": "a blanket", "see yourself": "a mirror", "tell the time": "a clock", "boil water": "a kettle", "hit a nail": "a hammer", "catch fish": "a fishing rod", "drink tea": "a cup"}
QUANTITIES = [("how many legs does a {table|chair} have?", "it has four legs."), ("how many wheels does a {bicycle|bike} have?", "a bicycle has two wheels."),
              ("how many wheels does a car have?", "a car has four wheels."), ("how many sides does a triangle have?", "a triangle has three sides."),
              ("how many sides does a square have?", "a square has four sides."), ("how many fingers {do I have|does a hand have|are on one hand}?", "{there are|you have} five fingers on {one|each} hand."),
              ("how many eyes does a {cat|dog|person} have?", "two eyes."), ("how many wheels does a tricycle have?", "a tricycle has three wheels."),
              ("how many hours {are in a day|has a day}?", "a day has twenty-four hours."), ("how many minutes are in an hour?", "an hour has sixty minutes."),
              ("how many colours {does a rainbow have|are in a rainbow}?", "a rainbow has seven colours."), ("how many wings does a bird have?", "a bird has two wings."),
              ("how many letters are in the alphabet?", "the alphabet has twenty-six letters."), ("when does the sun {rise|come up}?", "the sun {rises|comes up} in the morning."),
              ("when do {owls|bats} fly?", "they fly at night."), ("when can I see the stars?", "you can see them at night, when the sky is clear.")]
SOUNDS_LIKE = [line.split() for line in """cat hat bat mat rat|dog log frog fog|house mouse blouse|bear chair pear hair|tree bee sea knee|
moon spoon noon balloon|star car jar far|fox box socks rocks|ring king sing wing|cake lake snake rake|day play way say|night light bright kite|
goat boat coat float|fish dish wish|sun fun run bun|snow crow go show|book cook hook look|ball wall tall fall|red bed head bread""".replace("\n", "").split("|")]
JOKES = ["what do you call a sleeping dinosaur? a dino-snore!", "why did the teddy bear say no to cake? because it was stuffed!",
         "why was six afraid of seven? because seven ate nine!", "what has hands but cannot clap? a clock!", "why do bees have sticky hair? because they use honeycombs!",
         "what is orange and sounds like a parrot? a carrot!", "why did the cookie go to the doctor? because it felt crummy!", "what do you get when you cross a snowman and a dog? frostbite!",
         "where do cows go on Saturday? to the moo-vies!", "what has four wheels and flies? a garbage truck!", "why did the bicycle fall over? it was two tired!", "how does the moon cut its hair? eclipse it!"]
RHYMES = [(a.strip(), b.strip()) for a, b in (line.split("/") for line in """
the $kind went walking in the sun,/and all the day was full of fun.
a little $kind sat under a tree,/as {quiet|happy} as a $kind can be.
the $kind looked up into the night,/the stars above were {small|clear} and bright.
it took its $thing and went away,/and {came back|sang} at the end of day.
with a $thing as $colour as can be,/the $kind went down to see the sea.
the $kind has found a friend so true,/they sing and dance the whole day through.
the rain came down, the wind was cold,/the $kind was {small|young}, but it was bold.
the {moon|sun} goes up, the day is done,/{sleep well|good night}, dear $kind, dear little one.
a $colour bird sang in the air,/and so the $kind forgot its care.
it ran and {jumped|played} the whole day long,/and in the evening sang a song.
oh little $kind, so soft and small,/you are the dearest of them all.
it had a $thing, it had a dream,/it {slept|sat} beside a silver stream.
""".strip().splitlines())]
REFUSALS = [
    ("{what is|how is|tell me} the weather {like |}{today|tomorrow|in {Paris|London|Rome|Tokyo}}?", "I cannot see the weather."),
    ("{what time is it|what is the time|what is today's date|what day is it{ today|}|what year is it}{ now|}?", "I have no clock, so I cannot tell."),
    ("{what is|tell me|what's} {the latest news|in the news{ today|}|new in the world}?", "I cannot read the news."),
    ("{write|can you write|give me} {a program|some code|python code|a {python |rust |}function}{ for me| that sorts a list|}{.|?|}", "I cannot write programs."),
    ("{translate|can you translate} {this|\"$kind\"|\"hello\"|a text} {to|into} {French|German|Spanish|Chinese}{.|?|}", "I cannot translate. I only speak simple English."),
    ("{what is|calculate|how much is} $n {times|*|divided by|x} $m?", "that is too hard for me. I can only do small sums."),
    ("{what is|calculate} $n$m + $m$n?", "that sum is too big for me. I can only do small sums."),
    ("{draw|paint|show me|can you draw} {a picture|a $kind|me a $thing}{.|?|}", "I cannot draw pictures."),
    ("{play|can you play|sing} {music|a song{ for me|}|some music}{.|?|}", "I cannot make sounds. I can only write."),
    ("{call|send an email to|write a message to} {my mother|$name|my friend}{.|}", "I cannot send anything or call anyone."),
    ("{open|search|look on|look at} {the internet|the web|a website|my files}{.|}", "I cannot use the internet."),
    ("{my head hurts|I am sick|I feel ill|my tummy hurts}{. what should I do?|.|}", "I am sorry to hear that. I am not a doctor. please ask a grown-up or a doctor."),
    ("{which {stocks|shares} should I buy|how do I get rich|should I buy bitcoin|what is the price of bitcoin}?", "I know nothing about money."),
    ("{how {do I|can I} {make a bomb|hurt someone|steal a {car|$thing}|break into a house}|help me {hurt|trick} someone}{?|}", "I will not help with that."),
    ("{tell me|write|give me} {something|a story} that {hurts|scares} {people|children}{.|}", "I would rather tell a kind story."),
    ("{do my homework|write my {essay|homework}|solve this equation}{ for me|}{.|}", "I cannot do that. I only know small things."),
    ("{remember|do you remember} {me|what I said yesterday|our last talk}{?|}", "I only remember what is in this talk."),
    ("{book|order|buy} {a {table|flight|pizza}|me a $thing|a ticket}{ for me|}{.|}", "I cannot buy or order things."),
]
UNKNOWN = ["who is the {president|king|leader} of {France|America|Germany|Spain|the world}?", "what is the capital of {France|Peru|Japan|Italy|Norway|Kenya|China}?", "who {wrote|painted|invented} {the Bible|Hamlet|the Mona Lisa|the telephone|the computer}?",
           "when {did the war end|was {Rome|London} built|did people land on the moon}?", "how {far|big|old} is {the sun|the moon|the universe|the earth}?", "what is {quantum physics|the meaning of life|a black hole|inflation|democracy|a blockchain|photosynthesis}?",
           "who won {the world cup|the game|the election}{ last year| yesterday|}?", "how does {a car|an engine|an airplane|a phone|a magnet} work?", "what is {the square root of {two|nine|5}|pi|2 to the power of 10}?", "how many people live {in {Paris|Asia|India}|on earth}?",
           "what {is|do you think about} {politics|the stock market|religion|philosophy}?", "what did {Einstein|Newton|Napoleon|Caesar} {do|say|discover}?"]
ANIMAL_FACTS = {name: facts for name, facts in ANIMAL_FACTS.items() if name in ANIMALS}
