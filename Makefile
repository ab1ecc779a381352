# speechbrain-neuronprune: everything a newcomer types.
#
# Needs make and Python >= 3.10; `make env` brings the rest into .venv.
# Another interpreter:  make PYTHON=python3.12 test

PYTHON  ?= python3
VENV    ?= .venv
RESULTS ?= results
DEVICE  ?= cpu
WORKERS ?= 2
# How many files `make demo` transcribes, and changes to its yaml, for instance
# OVERRIDES="--number_of_epochs 2".
AUDIO   ?= 3
OVERRIDES ?=

BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
RECIPE  := recipes/LibriSpeech/ASR/CTC
MODULES := docs/api/modules
CORPUS  := $(RESULTS)/mini-corpus
RUN     := $(RESULTS)/mini
# The new domain of `make demo-adapt`: other voices, in rooms, with noise. Others
# to try: noise:15, room, phone.
VOICES  := $(RESULTS)/mini-voices
DOMAIN  := $(RESULTS)/mini-domain
START   := $(RESULTS)/mini-tfcnn
ANALYSIS := $(RESULTS)/mini-analysis
ADAPTED := $(RESULTS)/mini-adapted
# Home speech that sounds like the new domain, and the model that replays it
ALIKE   := $(RESULTS)/mini-alike
REPLAYED := $(RESULTS)/mini-replayed
CONDITION ?= room+noise:15

# The model hub is never asked: whatever is missing must fail, not download.
export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env lint test docs demo demo-adapt demo-alike corpus domain \
    report bench clean

help:  ## show this list
	@echo "Targets (variables: PYTHON VENV RESULTS DEVICE WORKERS OVERRIDES):"
	@sed -n 's/^\([a-z-]*\):[^#]*## */\1:/p' $(MAKEFILE_LIST) \
	    | awk -F: '{ printf "  make %-10s %s\n", $$1, $$2 }'

env: $(STAMP)  ## make .venv with the pinned versions

# The stamp comes last: an interrupted installation leaves none, and the next
# call begins afresh (--clear).
$(STAMP): requirements-lock.txt setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "error: '$(PYTHON)' is missing or older than Python 3.10;" \
	        "name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	    exit 1; }
	@echo "Making $(VENV) with pinned packages (some minutes, about 5 GB)"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile \
	    -c requirements-lock.txt -e ".[demo,docs,export,tensorboard,test,dev]"
	@touch $@

lint: env  ## check style and format of code and yaml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint --strict .

test: lint  ## lint, then run the tests and doctests
	$(BIN)/python -m pytest -n $(WORKERS) --timeout 600

# Pages of modules that are gone would stay, so all is made afresh.
docs: env  ## build the documentation (build/docs/index.html)
	rm -rf build/docs $(MODULES)
	$(BIN)/sphinx-apidoc -q --no-toc --templatedir docs/_templates \
	    --output-dir $(MODULES) speechbrain_neuronprune
	$(BIN)/sphinx-build -q -j $(WORKERS) -W --keep-going -c docs . build/docs
	@echo "The documentation is build/docs/index.html"

corpus: env  ## make the embedded spoken corpus
	$(BIN)/neuronprune-mini $(CORPUS)

demo: corpus  ## train, prune, compact, report and transcribe (minutes)
	$(BIN)/python $(RECIPE)/train_adaptive_dropout.py \
	    hparams/conformer_ctc_mini.yaml \
	    --data_folder $(CORPUS) --output_folder $(RUN) \
	    --device $(DEVICE) $(OVERRIDES)
	@echo "Transcribing with the compact model, in a new process:"
	$(BIN)/python -m speechbrain_neuronprune.deploy.transcribe $(RUN)/model \
	    $$(find $(CORPUS)/test-clean -name '*.flac' | sort | head -n $(AUDIO))
	@echo "The report is $(RUN)/report/report.html"

domain: corpus  ## make the new domain (other voices, rooms, noise)
	$(BIN)/neuronprune-mini $(VOICES) --seed 1
	$(BIN)/neuronprune-domain $(VOICES)/train-clean $(DOMAIN)/train \
	    $(CONDITION)
	$(BIN)/neuronprune-domain $(VOICES)/test-clean $(DOMAIN)/test $(CONDITION)

demo-adapt: domain  ## train a CNN, analyse its neurons, adapt it unsupervised
	$(BIN)/python $(RECIPE)/train_adaptive_dropout.py \
	    hparams/tfcnn_ctc_mini.yaml \
	    --data_folder $(CORPUS) --output_folder $(START) \
	    --device $(DEVICE) $(OVERRIDES)
	$(BIN)/neuronprune analyze $(START)/model --data $(RESULTS) \
	    --rank mini-corpus/train-clean --home mini-corpus/test-clean \
	    --domain mini-domain/test --criteria mi,mbp --shares 4,8,12 \
	    --layers '*linear1' --layers '*linear2' --window 4 \
	    --output $(ANALYSIS)
	$(BIN)/python $(RECIPE)/adapt_hyper_hypo.py \
	    hparams/adapt_hyper_hypo.yaml --starting_model $(START)/model \
	    --target_folder $(DOMAIN) --home_folder $(CORPUS) \
	    --home_splits "[train-clean]" --home_tests "[test-clean]" \
	    --views=6 --fraction=0.5 --epochs=5 --patience=null \
	    --output_folder $(ADAPTED) --device $(DEVICE)
	@echo "The analysis is $(ANALYSIS)/report/report.html"
	@echo "The patch is $(ADAPTED)/patch.safetensors"

demo-alike: env  ## then replay home speech that sounds like the domain
	@test -d $(START)/model || { \
	    echo "error: there is no $(START)/model; run make demo-adapt" >&2; \
	    exit 1; }
	$(BIN)/neuronprune-alike $(CORPUS)/train-clean $(DOMAIN)/train \
	    $(ALIKE)/train --copies 2
	$(BIN)/python $(RECIPE)/adapt_hyper_hypo.py \
	    hparams/adapt_hyper_hypo.yaml --starting_model $(START)/model \
	    --target_folder $(DOMAIN) --home_folder $(CORPUS) \
	    --home_splits "[train-clean]" --home_tests "[test-clean]" \
	    --replay_folder $(ALIKE) --replay_splits "[train]" \
	    --model=D --replay=1.0 --lr_all=0.0007 \
	    --views=6 --fraction=0.5 --epochs=5 --patience=null \
	    --output_folder $(REPLAYED) --device $(DEVICE)
	@echo "The adapted model is $(REPLAYED)/model"

report: env  ## draw the report of the demo's run again
	$(BIN)/neuronprune report $(RUN)

# What takes longer, because models have to be trained, has a command of its own
# in README.
bench: env  ## measure speed, each figure beside its bar
	@set -e; run() { echo "== $$*"; script=$$1; shift; \
	    $(BIN)/python benchmarks/$$script.py "$$@"; }; \
	run train_step --rounds 5; \
	run compact_speed --rounds 7; \
	run attention_speed --rounds 7; \
	run front_end_speed --rounds 7; \
	run where_time_goes --rounds 3; \
	run cost_of_places --rounds 5 --seconds 2 10 --batches 1; \
	run saliency_cost --rounds 3 --models tfcnn --passes all sampled; \
	run selective_step --rounds 5; \
	run paper_model

clean:  ## remove .venv, caches and what the demo made
	rm -rf $(VENV) $(CORPUS) $(RUN) $(VOICES) $(DOMAIN) $(START) $(ADAPTED) \
	    $(ANALYSIS) $(ALIKE) $(REPLAYED)
	rm -rf build dist *.egg-info $(MODULES)
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
