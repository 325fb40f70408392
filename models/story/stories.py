"""Stories: who takes part, what can happen to them, and how it is told at length or in short."""

import zlib

from grammar import expand, maybe, spell
from words import (ANIMALS, BOYS, COLOURS, FEARS, FEMALE_KINDS, FOODS, GIRLS, MAGICAL, MALE_KINDS, PEOPLE, PLACE_ADJECTIVES,
                   PLACES, SEEDS, THINGS, TIMES, TRAITS, TREASURES, WORKERS)

KINDS = ANIMALS + PEOPLE + MAGICAL + WORKERS
ONSETS = "b c d f g h j k l m n p r s t v w z br dr fl gl kr pl st tr th sh".split()
VOWELS = "a e i o u a e i o ee oo ai".split()
CODAS = "b d k l m n p r s t x nd lf rn sk".split()


def is_held_out(kind, thing):
    """True for one hero-and-thing pair in twenty-five: training never sees these, the held-out set consists of them."""
    return zlib.crc32(f"{kind}/{thing}".encode()) % 25 == 0


def invented_name(random):
    """A name that is in no list, so that the model must copy it rather than know it."""
    name = random.choice(ONSETS) + random.choice(VOWELS)
    if maybe(random, 0.7):
        name += random.choice(CODAS)[0] + random.choice(VOWELS)
    return (name + (random.choice(CODAS) if maybe(random, 0.5) else "")).capitalize()


def person(random, kind, prefix=""):
    """Slots of one character: kind, name and pronouns, each under `prefix`."""
    female = kind in FEMALE_KINDS or (kind not in MALE_KINDS and maybe(random, 0.5))
    name = invented_name(random) if maybe(random, 0.25) else random.choice(GIRLS if female else BOYS)
    pronouns = ("she", "her", "her", "herself") if female else ("he", "him", "his", "himself")
    slots = dict(zip(("he", "him", "his", "himself"), pronouns))
    return {prefix + key: value for key, value in {**slots, "kind": kind, "name": name}.items()}


def cast(random, held_out=False):
    """Draws everything that a story needs; the pair of hero and thing is from the asked side of the split."""
    while True:
        kind, thing = random.choice(KINDS if maybe(random, 0.5) else ANIMALS), random.choice(THINGS)
        if kind != thing and is_held_out(kind, thing) == held_out:
            break
    slots = person(random, kind)
    friend = random.choice([other for other in ANIMALS + PEOPLE if other not in (kind, thing)])
    while True:
        other = person(random, friend, "f")
        if other["fname"] != slots["name"]:
            break
    slots.update(other)
    place = random.choice(list(PLACES))
    preposition, slots["spot"], slots["spot2"] = PLACES[place]
    if maybe(random, 0.5):
        slots["spot"], slots["spot2"] = slots["spot2"], slots["spot"]
    fear = random.choice(list(FEARS))
    slots.update(trait=random.choice(TRAITS), thing=thing, place=place, prep=preposition, colour=random.choice(COLOURS),
                 time=random.choice(TIMES), food=random.choice(FOODS), seed=random.choice(SEEDS), fear=fear,
                 fearful=FEARS[fear], treasure=random.choice(TREASURES), adjective=random.choice(PLACE_ADJECTIVES))
    return slots


OPENINGS = [
    "{once upon a time|long ago|once}, {there was|there lived} a $trait $kind {named|called} $name. {$he lived|$his home was} $prep a {$adjective |}$place.",
    "once upon a time, $prep a {$adjective |}$place, {there was|there lived} a $trait $kind {named|called} $name.",
    "$name was a $trait $kind {who lived|that lived} $prep a {$adjective |}$place.",
    "$prep a $adjective $place there lived a $trait $kind. $his name was $name.",
    "there once was a $trait $kind {named|called} $name. $he lived $prep a $place{ with $his family| not far from here|}.",
    "this is the story of $name, a $trait $kind {from a|who lived $prep a} $place.",
]
SHORT_OPENINGS = [
    "{once upon a time, there was|there once was} a $trait $kind named $name who lived $prep a $place.",
    "$name was a $trait $kind who lived $prep a $place.",
]
ENDINGS = ["The end.", "", "", "And they all lived happily ever after.", "$name {slept well|smiled in $his sleep} that night."]

# Each plot: what it is about (as people ask for it), its lesson, its beats (one line of each is told), and its short form.
PLOTS = {
    "lost": {
        "themes": ["not giving up", "helping each other", "losing something"],
        "lesson": "{friends help you find what you have lost|it is easier to search together|you should never give up}",
        "beats": [
            ["$name had a $colour $thing that $he {loved very much|took everywhere}.", "the thing $name loved {best|most} was $his {old |}$thing.", "$name {never went|did not like to go} anywhere without $his $thing."],
            ["$time, the $thing was gone! {\"oh no! where is my $thing?\"|\"who has seen my $thing?\"} cried $name.", "but $time, $name could not find the $thing. $he {began to cry|was very {sad|worried}}.", "$time, $name {woke up and|came home and} saw that the $thing was {gone|missing}."],
            ["$he looked {behind|under} $spot, but it was not there. $he looked {near|behind} $spot2, but it was not there either.", "$name {searched|looked} all day {near|around} $spot and $spot2, but {found nothing|there was no $thing}."],
            ["then $he met $fname the $fkind. \"{why are you sad|what is wrong}, $name?\" asked $fname. \"I lost my $thing,\" said $name. \"{let us look together|I will help you}!\" said $fname.", "a {kind |}$fkind named $fname {saw|heard} $him. \"do not {cry|worry},\" said $fname. \"{we will find it together|two can search better than one}.\""],
            ["they looked {high and low|everywhere}. at last, $fname saw something $colour {near|behind|under} $spot. it was the $thing!", "they walked {slowly|along} and looked at every {corner|stone}. {suddenly|at last} $name {shouted|called}, \"there it is!\" the $thing was {near|behind|under} $spot2."],
            ["$name {hugged|thanked} $fname. \"thank you! you are a {true|good|real} friend,\" $he said. {from that day on, they looked after the $thing together.|they {played|laughed} together until {the sun went down|it was dark}.}", "\"thank you, $fname,\" said $name{ happily|}. {$name learned that|now $he knew that} it is easier to search together."],
        ],
        "short": "one day $he lost $his $thing. $fname the $fkind helped $him look {everywhere|for it}, and they found it near $spot. {they became best friends|$name was very happy}.",
        "sequel": "the next day, $fname lost {a hat|a shoe|a basket}. this time it was $name who helped, and they found it {under|behind} $spot2. {\"now we are even!\" they laughed|they laughed and ate some $food together}.",
        "answer": "$name lost the $thing, and $fname helped to find it.",
    },
    "gift": {
        "themes": ["giving", "a birthday", "kindness"],
        "lesson": "{a gift from the heart is the best gift|giving makes you as happy as getting}",
        "beats": [
            ["{soon it was|it was almost} the birthday of $his {best |}friend $fname the $fkind.", "$his best friend was a $fkind named $fname. {tomorrow was|it was nearly} $fname's birthday."],
            ["\"what can I give to $fname?\" {wondered|thought} $name. $he had no money{ at all|}.", "$name wanted to give $fname something special, but $he did not know what."],
            ["$time, $he {found|saw} an old $thing {near|behind} $spot. it was {broken and dirty|dusty and grey}.", "so $name {took some wood and some paint|sat down near $spot} and began to make a $thing."],
            ["$he {washed it, mended it|worked all day}, and painted it $colour. it {took a long time|was hard work}, but $name did not stop.", "$he worked {all night|until the stars came out}. in the end there was a {lovely|beautiful} $colour $thing."],
            ["at the party, $fname opened the box. \"a $thing! {it is just what I wanted|how beautiful}!\" $fhe {cried|shouted}.", "$fname looked at the $colour $thing and {smiled a big smile|could not speak for joy}. \"did you make it for me?\" $fhe asked. \"{yes, I did|just for you},\" said $name."],
            ["they ate $food and {danced|sang|played} until night. $name was {as happy as|even happier than} $fname.", "$fname hugged $name. \"{this is the best gift of all|I will keep it forever},\" $fhe said, and they shared {the|some} $food."],
        ],
        "short": "$his friend $fname the $fkind had a birthday. $name made a $colour $thing for $fhim. $fname loved it, and {they ate $food together|both were happy}.",
        "sequel": "a year later it was $name's birthday. $fname came with a big box, and in it was a $thing too! {\"now we both have one!\" they laughed|they danced all night}.",
        "answer": "$name made a $thing for $fname's birthday.",
    },
    "fear": {
        "themes": ["being brave", "courage", "being afraid"],
        "lesson": "{being brave means doing it even when you are afraid|you can be braver than you think}",
        "beats": [
            ["$name was afraid of $fear. {everyone|the others} knew it.", "there was one thing that $name {did not like|feared}: $fear."],
            ["$time, $his friend $fname the $fkind {did not come home|got lost {near|behind} $spot}. somebody had to go and {look|search} for $fhim.", "$time, $fname the $fkind called for help from {behind|near} $spot. \"help! I {am stuck|hurt my leg}!\""],
            ["$name took $his $thing and went out. $fearful, and $his {heart beat fast|knees shook}.", "\"I must help,\" said $name. $he held $his $thing {tight|close} and {began to walk|took one step, then one more}. $fearful."],
            ["{\"I am afraid, but I will not stop,\" $he said.|\"one step, and one more,\" $he whispered.|$he thought of $his friend and did not turn back.}"],
            ["at last $he found $fname. with the $thing, $name {pulled $fhim out|showed $fhim the way|made $fhim smile again}. \"you came!\" said $fname.", "there was $fname! $name used the $thing to {help $fhim|pull $fhim free}, and {hand in hand|side by side} they went home."],
            ["{since then|from that day on}, $name was {not so|no longer} afraid of $fear. {\"you are the bravest $kind I know,\" said $fname.|$he knew that $he could be brave.}", "\"you are so brave,\" said $fname. \"I was afraid {the whole time|all the way},\" said $name. \"that is {what brave means|why you are brave},\" said $fname."],
        ],
        "short": "$he was afraid of $fear. but when $fname the $fkind needed help, $name took $his $thing and went. $he saved $fname and was {not afraid anymore|proud}.",
        "sequel": "some days later, there was {a noise|a cry} near $spot2. this time $name was not afraid at all. $he went with $his $thing and found a little {mouse|bird} that needed a friend. {now they were three|the three of them had $food together}.",
        "answer": "$name was afraid of $fear, but took the $thing and saved $fname.",
    },
    "share": {
        "themes": ["sharing", "friendship", "being selfish"],
        "lesson": "{things are more fun when you share them|sharing makes friends}",
        "beats": [
            ["$name had a {new|shiny|wonderful} $colour $thing. {nobody else had one|it was the best one {far and wide|in the whole $place}}.", "$time, $name got a $colour $thing from $his grandmother."],
            ["$fname the $fkind came by. \"may I {hold|try|see} your $thing?\" $fhe asked. \"no! it is mine,\" said $name.", "\"what a {nice|beautiful} $thing!\" said $fname the $fkind. \"can we play together?\" but $name {shook $his head|said no}. $he did not want to share."],
            ["so $fname went away, and $name {played|sat} alone {near|behind} $spot.", "$fname was sad and went home. $name {stayed|was} all alone with $his $thing."],
            ["{soon|after a while} it was not fun anymore. the $thing was still $colour, but $name was {lonely|bored}.", "\"why {am I not happy|is it so quiet}?\" $name {wondered|asked $himself}. \"I have the $thing, but I have no friend.\""],
            ["$name {ran|went} to $fname's house. \"I am sorry,\" $he said. \"{would you like to|please come and} play with me and the $thing{?|. it is yours too.}\"", "so $he {took the $thing and |}went to find $fname. \"I am sorry that I {was not kind|did not share},\" said $name. \"let us play together.\""],
            ["$fname {smiled|laughed}, and they played until {the stars came out|dinner}. {the $thing was much more fun with two|$name learned that sharing is fun}.", "they {took turns|played} all day, and then they shared some $food. $name had never been so happy."],
        ],
        "short": "$he had a $colour $thing and did not want to share it. soon $he was lonely, so $he shared it with $fname the $fkind. {playing together was much more fun|after that they were friends}.",
        "sequel": "the next day, $fname brought $fhis own toys. they put them beside the $thing and invited {everybody|all the others}. {it was the best day of the year|nobody was alone that day}.",
        "answer": "$name did not want to share the $thing, but then shared it with $fname.",
    },
    "discover": {
        "themes": ["an adventure", "a treasure", "a secret"],
        "lesson": "{curious eyes find wonderful things|the best treasures are for sharing}",
        "beats": [
            ["$time, $name {found|saw} an old $thing {near|behind|under} $spot.", "$time, while $name was {walking|playing} near $spot, $he {found|stumbled over} a $colour $thing."],
            ["there were {small|strange} {letters|marks} on it. \"{go|walk} to $spot2 and look down,\" they said.", "it {began to shine|made a soft sound} when $name turned towards $spot2. \"{how strange|oh}!\" said $name."],
            ["$he ran to $his friend $fname the $fkind. \"come with me! we are going on an adventure!\" {|they packed some $food and left.}", "\"look what I found!\" $he told $fname the $fkind. \"let us {find out|see} what it means,\" said $fname."],
            ["they walked {past|around} $spot and {over|across} a little bridge. {it was far|it was getting dark}, but they {did not turn back|went on}.", "they followed the $thing {step by step|all afternoon}, until they {stood|came} {near|before} $spot2."],
            ["and there, {behind $spot2|in front of them}, they {found|saw} $treasure! {\"wow!\" said $fname.|they could not believe their eyes.}", "{suddenly|then} $fname {pointed|shouted}, \"look!\" there was $treasure."],
            ["{they told nobody|it was their secret}, and they came back {every day|every week}. the $thing {had a place|hung} {above|beside} $name's bed.", "\"{this is the best day ever|what an adventure},\" said $name. and they went home {with|hand in hand, with} the $thing and a story to tell."],
        ],
        "short": "one day $he found a $colour $thing near $spot. with $fname the $fkind $he followed it and found $treasure. {it was their secret|what an adventure}!",
        "sequel": "the next week they looked at the $thing again, and it showed a new way. {\"another adventure!\" said $name|\"shall we go?\" asked $fname}. and off they went, past $spot and into the sunset.",
        "answer": "$name and $fname found $treasure with the help of the $thing.",
    },
    "honest": {
        "themes": ["honesty", "telling the truth", "saying sorry"],
        "lesson": "{it is always better to tell the truth|friends forgive you when you are honest}",
        "beats": [
            ["$his friend $fname the $fkind had a {beautiful|precious} $colour $thing. \"please be careful with it,\" $fhe said.", "$time, $name {was allowed to hold|borrowed} the $thing of $his friend $fname the $fkind."],
            ["but $name {ran too fast|was not careful}, and crash! the $thing {fell down|broke} near $spot.", "$name {stumbled|slipped} over a stone {near|behind} $spot. the $thing broke into two pieces!"],
            ["\"oh no!\" {thought|said} $name. \"I could hide it {behind|under} $spot2, and nobody would know.\"", "$name hid the pieces {behind|under} $spot2. but {that night|all day} $he {could not sleep|felt bad}."],
            ["but $he took a deep breath and went to $fname. \"I broke your $thing,\" $he said. \"I am {so|very} sorry.\"", "in the morning $he went to $fname. \"I must tell you the truth,\" said $name. \"I broke your $thing.\""],
            ["$fname was {quiet|sad} for a moment. then $fhe said, \"thank you for telling {me|the truth}. {let us mend it together|we can fix it}.\"", "{\"it is good that you told me,\" said $fname.|$fname was not angry.} \"{come, we will fix it|a thing can be mended, and you are my friend}.\""],
            ["with {some glue|a bit of string} they {fixed|mended} the $thing, and it was {as good as new|even more beautiful than before}. $name felt {light|happy} again.", "they mended the $thing together. since then, $name {always told the truth|was always honest}."],
        ],
        "short": "$he broke the $thing of $his friend $fname the $fkind. first $he wanted to hide it, but then $he told the truth. $fname {forgave $him|was not angry}, and they fixed it together.",
        "sequel": "a week later, $fname broke a cup that belonged to $name. $fname came at once and told the truth. {\"we know how to fix things,\" said $name with a smile|they laughed and took the glue}.",
        "answer": "$name broke the $thing of $fname and told the truth.",
    },
    "storm": {
        "themes": ["a storm", "rescue", "helping"],
        "lesson": "{everyone can help, even the smallest|good ideas are stronger than storms}",
        "beats": [
            ["$time, {a big storm came|the sky turned dark}. the wind {howled|blew hard} around $spot.", "{one night|one evening}, there was a {great|terrible} storm. {rain fell|it rained and rained}, and the wind shook $spot."],
            ["$name {sat at home|hid} with $his $thing. then $he heard a voice. \"help! help!\"", "from the window $name {saw|heard} someone in the rain near $spot2."],
            ["it was $fname the $fkind. $fhe could not get across the water {near|behind} $spot2.", "$fname the $fkind was {trapped|stuck} {behind|under} $spot2, and the water was {rising|getting higher}."],
            ["$name {thought fast|had an idea}. $he took $his $thing and ran out into the rain. \"hold on!\" {called|shouted} $name.", "\"what can I do? I {am only a $kind|have only this $thing}!\" but then $name had an idea."],
            ["with the $thing $he {reached|pulled} $fname {to safety|out of the water}. {both were wet, but safe|\"hold tight!\" $he shouted}.", "$he {held out|used} the $thing, and $fname {climbed|came} slowly, slowly, to the {dry side|other side}."],
            ["{at home|inside}, they drank hot tea {and ate $food |}by the fire. \"you saved me,\" said $fname. {outside, the storm went to sleep.|\"that is what friends are for,\" said $name.}", "when the sun came {out|back}, there was a rainbow over the $place. {$fname and $name|they} were friends {forever|from that day on}."],
        ],
        "short": "one night a storm came, and $fname the $fkind was stuck near $spot2. $name used $his $thing to save $fhim. in the morning there was a rainbow, and they were friends.",
        "sequel": "after the storm, the whole $place had to be cleaned. $name and $fname worked side by side, and in the evening they {shared some $food|watched the stars}.",
        "answer": "$name saved $fname from the storm with the $thing.",
    },
    "garden": {
        "themes": ["patience", "a garden", "growing something"],
        "lesson": "{good things take time|patience makes things grow}",
        "beats": [
            ["$time, $name planted a $seed seed {near|behind} $spot. $he put $his $thing beside it{ to mark the place|}.", "$name traded $his {old |}$thing for a {tiny|small} $seed seed{, and $he planted it near $spot|}."],
            ["$he {waited|looked} one day. nothing. $he {waited|looked} two days. nothing{ at all|}.", "every morning $he gave it water, but {nothing happened|there was only dark earth}."],
            ["\"{it does not work|why does it not grow}!\" said $name. $he wanted to give up.", "\"grow faster!\" $name {shouted at it|told the seed}. but the seed {did not listen|stayed quiet}."],
            ["$fname the $fkind {laughed kindly|came by}. \"good things take time,\" said $fname. \"{sing to it and wait|water it and wait}.\"", "\"be patient,\" said $his friend $fname the $fkind. \"{the seed is working under the ground|it is sleeping now}.\""],
            ["so $name waited. {after many days|one morning}, there was a tiny green leaf! {\"it is growing!\" $he shouted.|$name danced around it.}", "$name watered it and waited. the rain came, the sun came, and {at last|then} a green leaf {came out|looked out} of the ground."],
            ["{in summer|soon} the $seed was {big|tall} and {beautiful|strong}. $name and $fname {sat beside it|had a party there} and ate $food. {$name had learned to wait.|}", "{by and by|day by day} it grew {taller than $name|very tall}. \"it was worth the wait,\" said $name{ to $fname|}, and $he hung $his {new |}$thing beside it."],
        ],
        "short": "$he planted a $seed seed beside $his $thing, and nothing happened. $fname the $fkind told $him to be patient. $name waited, and one day it {was tall and beautiful|had grown}.",
        "sequel": "in autumn there were many new seeds. $name gave one to $fname and one to everyone $prep the $place. {the next year, the whole $place was green|\"be patient,\" $he told them with a smile}.",
        "answer": "$name planted a $seed seed and learned to be patient.",
    },
    "race": {
        "themes": ["a race", "a contest", "playing fair"],
        "lesson": "{a friend is worth more than a prize|helping is better than winning}",
        "beats": [
            ["$time, there was a {big |}race $prep the $place. the prize was a $colour $thing.", "{everyone|all} $prep the $place {talked about|got ready for} the great race. who would win the $colour $thing?"],
            ["$name {wanted to win|wanted the $thing} more than anything. {so did $fname the $fkind|but $fname the $fkind wanted it too}.", "\"I will win that $thing,\" said $name. \"we will see,\" said $fname the $fkind."],
            ["one, two, three, go! they ran past $spot. $name was {first|in front}.", "they ran {past $spot|and ran}. {first $fname was in front, then $name|$name was very fast}."],
            ["but near $spot2, $fname fell {down|over a root}. \"ouch! my foot!\" $fhe cried.", "suddenly $name heard a cry. $fname {had fallen|lay on the ground} near $spot2."],
            ["$name could see the {end of the race|prize}. but $he {stopped|turned around}. \"{lean on me|come}, we will go together,\" $he said.", "$name stopped. \"winning can wait,\" $he said, and $he helped $fname {stand up|to walk}."],
            ["they came in last, but everyone {clapped|cheered}. and {they both got the $thing, to share|the judge gave the $thing to both of them}.", "they {walked|crossed} the line together{, the last of all|}. \"the $thing goes to the {kindest|best} heart,\" said the judge, and gave it to $name. $name shared it with $fname."],
        ],
        "short": "there was a race for a $colour $thing. $name was in front, but $he stopped to help $fname the $fkind, who had fallen. they came in last, and everyone cheered. they shared the $thing.",
        "sequel": "the next year there was a race again. this time $name and $fname ran as a team, and {they won|they laughed so much that they came in last again}. they celebrated with $food.",
        "answer": "$name stopped in the race for the $thing to help $fname.",
    },
    "magic": {
        "themes": ["magic", "a wish", "being content"],
        "lesson": "{a friend is the best wish|wishes are best when they are for others}",
        "beats": [
            ["$time, $name found a {strange|dusty} $thing near $spot. when $he {rubbed|touched} it, it began to {glow|shine} $colour.", "$name had a {small|secret} $thing. nobody knew that it was magic{, not even $name|}."],
            ["\"{hello|good day}! you have one wish,\" said {a voice from the $thing|the $thing}. {$name nearly fell over.|}", "\"make a wish,\" {whispered|said} the $thing in a {tiny|soft} voice. \"but {think well|only one}!\""],
            ["$name thought. \"{a mountain of $food|a hundred toys|a golden house}? {no|hmm}...\"", "should $he wish for {gold|a crown}? for {a big house|endless $food}? $name {could not decide|thought and thought}."],
            ["then $he saw $fname the $fkind, who sat {near|behind} $spot2 and {cried|looked sad}. \"I {am so alone|have no friends},\" said $fname.", "just then $fname the $fkind came by. $fhe was {hungry and cold|tired and sad}."],
            ["\"I know my wish,\" said $name. \"I wish that $fname {is happy|has a warm home|never feels alone}.\" {there was a flash of $colour light.|the $thing shone like a star.}", "$name {held|took} the $thing and said, \"I wish for $fname to be {happy|warm and well}.\" {puff!|and it came true.}"],
            ["$fname {laughed|smiled}, and $name did too. the $thing {was only a $thing now|went dark}, but $name {did not mind|had a new friend}.", "\"thank you,\" said $fname. {they became best friends|and they shared some $food}, and that was {the best magic of all|better than gold}."],
        ],
        "short": "$he found a magic $thing that gave $him one wish. $he did not wish for gold. $he wished that $fname the $fkind would be happy, and so they became friends.",
        "sequel": "one evening the $thing began to glow again. \"one more wish,\" it said. {\"I have all I need,\" said $name|\"a picnic for everyone,\" said $name and $fname}. and the $thing laughed softly.",
        "answer": "$name used the wish of the magic $thing for $fname.",
    },
    "sleep": {
        "themes": ["going to sleep", "the night", "a good night"],
        "lesson": "{a friend makes the night less dark|even the busiest day needs rest}",
        "beats": [
            ["{it was late|night had come}, and the moon {stood|hung} over the $place. but $name could not sleep.", "every evening $name {lay|was} in bed with open eyes. $he could not fall asleep."],
            ["$he {counted sheep|turned left and turned right|drank some milk}. it did not help.", "\"I am not tired at all,\" $he said{ and yawned|}."],
            ["so $he took $his $thing and went outside. near $spot sat $fname the $fkind. \"can you not sleep either?\" asked $fname.", "there was a {soft|little} sound near $spot. it was $fname the $fkind{, who looked at the stars|}. $name came out with $his $thing."],
            ["\"{let us look at the stars|come and sit with me},\" said $fname. they {counted the stars|listened to the wind}: one, two, three...", "$fname sang a {soft|quiet} song about the $place. the $thing {shone softly in the moonlight|lay between them}."],
            ["slowly $name's eyes {closed|grew heavy}. \"good night, {little |}$kind,\" whispered $fname.", "$name yawned. the stars {winked|became blurry}. \"I think I am {a bit|a little} tired now,\" $he {whispered|said}."],
            ["$fname {covered $him with a blanket|brought $him home}, and {soon they both slept|$name dreamed of {$food|the stars}}. good night!", "with $his $thing in $his arms, $name fell asleep. {the moon smiled.|and all was quiet $prep the $place.}"],
        ],
        "short": "$he could not sleep, so $he took $his $thing and went out. $fname the $fkind sat near $spot and sang a soft song. soon $name slept. good night!",
        "sequel": "the next night, it was $fname who could not sleep. $name sang the same soft song, and the $thing lay between them. {one, two, three, and both were asleep|good night}.",
        "answer": "$name could not sleep, and $fname sang a song beside the $thing.",
    },
    "learn": {
        "themes": ["trying again", "practice", "making something"],
        "lesson": "{you learn by trying again|nobody can do it the first time}",
        "beats": [
            ["more than anything, $name wanted to make a $thing with $his own hands.", "$time, $name said, \"I {want to|will} build a $thing {all by myself|for the whole $place}!\""],
            ["the first $thing {fell apart|was crooked}. the second one {broke|was too small}. \"I cannot do it,\" said $name.", "$he tried, but it {broke|did not hold}. $he tried again, but it {looked like a {potato|pancake}|fell apart}."],
            ["{some laughed|the others laughed} at $him. $name {wanted to give up|sat down near $spot and was sad}.", "$name threw {everything|the pieces} behind $spot. \"I give up!\" $he {said|cried}."],
            ["\"do not stop now,\" said $fname the $fkind. \"{my first one was bad too|I fell down a hundred times before I could walk}.\"", "$fname the $fkind {picked up the pieces|came by}. \"{try once more|let me show you a trick},\" $fhe said. \"slowly this time.\""],
            ["so $name tried again, slowly and carefully. {piece by piece|bit by bit}, it {grew|came together}.", "$name took a deep breath and began {again|once more}. $he {worked|measured} with care, {all day|hour after hour}."],
            ["and {this time|at last} it {worked|was done}: a {fine|beautiful} $colour $thing! \"{you did it|I knew it},\" said $fname{ proudly|}. {they had $food to celebrate.|}", "in the evening, there it stood: a $colour $thing! everyone $prep the $place {came to see it|cheered}. \"the trick is to try again,\" said $name."],
        ],
        "short": "$he wanted to make a $thing, but it broke again and again. $fname the $fkind told $him to try once more. $name did, and at last {it was done|it worked}.",
        "sequel": "soon {everyone|all} wanted a $thing like that. $name showed them how, and when one broke, $he said, \"try again.\" {$fname smiled|so the $place was full of them}.",
        "answer": "$name made a $thing after many tries, with the help of $fname.",
    },
    "journey": {
        "themes": ["a journey", "home", "a trip"],
        "lesson": "{the world is big, but home is warm|a journey is better with a friend}",
        "beats": [
            ["$name had never {left|been away from} the $place. \"what is {behind|beyond} $spot?\" $he {asked|wondered}.", "$time, $name said, \"I want to see the world!\" $he {packed|took} $his $thing and some $food."],
            ["so $he took $his $thing and {went|walked} away, {past|around} $spot and over the hills.", "$he walked {for a day and a night|a long way}, {past|around} $spot2, until $his feet hurt."],
            ["on the way $he met $fname the $fkind. \"where are you going?\" asked $fname. \"{to the end of the world|I do not know yet},\" said $name. \"{then I will come too!|may I come with you?}\"", "under a tree sat a $fkind {named|called} $fname. {\"I am lost,\" $fhe said. \"then come with me,\" said $name.|\"are you hungry?\" asked $name, and they shared the food.}"],
            ["together they saw {a city with a hundred lights|a waterfall}, {the wide blue sea|a field of flowers}, and {a mountain with snow|a bridge made of stone}. the $thing {was always with them|helped them more than once}.", "they slept under the stars and {told stories|sang songs}. when it rained, they {hid under|sat beside} the $thing and laughed."],
            ["but one evening, $name grew quiet. \"I miss my home,\" $he said.", "after many days, $name thought of {$his bed|home}. \"{the world is beautiful|I have seen enough},\" $he said. \"but I want to go home.\""],
            ["so they went back together, and $fname {stayed|moved in next door}. {home was the best place of all|they told everyone about their journey}.", "when they came {home|back to the $place}, everyone {cheered|was waiting}. $name put the $thing {on the shelf|by the door}, ready for the next {trip|journey}."],
        ],
        "short": "$he took $his $thing and went out to see the world. on the way $he met $fname the $fkind, and they travelled together. in the end they came home, and home was the best place of all.",
        "sequel": "in spring, $name looked at the $thing by the door. \"shall we go again?\" asked $fname. {\"yes, but only until dinner,\" said $name|and the next morning they left, singing}.",
        "answer": "$name travelled with the $thing, met $fname and came home again.",
    },
}


def with_colour(text, slots):
    """The text with the colour of the thing said at least once, if the request asked for one."""
    if slots.get("colour_asked") and slots["colour"] not in text:
        text = spell(text.replace(f" {slots['thing']}", f" {slots['colour']} {slots['thing']}", 1).replace(" an " + slots["colour"], " a " + slots["colour"]))
    return text


def tell(random, slots, plot):
    """A whole story of eight to twenty sentences."""
    parts = [random.choice(OPENINGS)] + [random.choice(beat) for beat in PLOTS[plot]["beats"]]
    if maybe(random, 0.15):
        parts.append("{so remember|and so we learn}: " + PLOTS[plot]["lesson"] + ".")
    text = with_colour(expand(random, " ".join(parts), slots), slots)
    ending = expand(random, random.choice(ENDINGS), slots)
    return f"{text} {ending}".strip()


def tell_short(random, slots, plot):
    """The same story in three or four sentences."""
    return with_colour(expand(random, f"{random.choice(SHORT_OPENINGS)} {PLOTS[plot]['short']}", slots), slots)
