"""What yaml files of models and experiments call by a dotted name.

Directories that were written once are loaded by all later versions. So these
names are a file format: each has to go on leading to what it leads to now.

Authors
 * The speechbrain-neuronprune authors 2026
"""

# Functions that narrow what a yaml has built: by widths, the same in place, by
# the file of a plan.
NARROW = "!apply:speechbrain_neuronprune.deploy.narrow"
NARROW_IN_PLACE = "!apply:speechbrain_neuronprune.deploy.narrow_in_place"
NARROW_BY_PLAN = (
    "!apply:speechbrain_neuronprune.deploy.experiment.narrow_by_plan"
)

# Functions that change how it computes.
FAST = "!apply:speechbrain_neuronprune.use_fast_layers"
INT8 = "!apply:speechbrain_neuronprune.deploy.int8_model"

# What decodes a stream.
CTC_CONTEXT = (
    "!name:speechbrain_neuronprune.deploy.streaming.CTCStreamingContext"
)
DECODE_CTC = (
    "!name:speechbrain_neuronprune.deploy.streaming.ctc_greedy_decode_streaming"
)
DECODE_WORDS = (
    "!name:speechbrain_neuronprune.deploy.streaming.decode_words_streaming"
)

# How the tags end by which recipes attach gates and steer. The yaml of an
# experiment has them, that of what is made of it does not.
ATTACH = "attach_adaptive_dropout"
STEER = ".steer_size"
