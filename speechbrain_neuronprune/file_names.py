"""The names of the files of a training run and of a model directory.

Others look for them: SpeechBrain's inference, and whoever wrote a script around
a run. So none of them may change.

Authors
 * The speechbrain-neuronprune authors 2026
"""

# The yaml: a recipe with its references resolved, or what inference loads.
RECIPE = "hyperparams.yaml"
# Which units of the dense model stayed.
PLAN = "plan.json"
# What a run of the recipes has measured.
RESULTS = "results.json"
# The SentencePiece model that a run was trained with.
TRAINED_TOKENIZER = "tokenizer.model"

# Of a model directory only: weights, statistics of the features, the
# SentencePiece model, and the model card.
WEIGHTS = "model.ckpt"
NORMALIZER = "normalizer.ckpt"
TOKENIZER = "tokenizer.ckpt"
CARD = "README.md"
