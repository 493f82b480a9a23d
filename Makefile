# Every target does its own set-up and is safe to run again. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# rustup puts cargo here; a login shell may not have been opened since.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The Python whose clients share the cache with us in the tests.
export SPEECH_FLOW_TEST_PYTHON := $(CURDIR)/.venv/bin/python

BINARY := target/release/speech-flow
# Runs of the crash tests in `make soak`.
RUNS ?= 200
# Minutes for each fuzz target in `make fuzz`.
MINUTES ?= 10
# Name and build arguments for `make image`.
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
TAG ?= speech-flow:$(VERSION)
BUILD_ARGS ?=
# Arguments for `make bench`, such as ARGS="download --size 64M".
ARGS ?= all

.PHONY: help engine engine-source demo build test page lint bench soak parity test-cuda fuzz sbom image image-test clean-venv

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

engine: ## Set up the speech engine (CTranslate2 from its wheel, and our shim) in target/engine
	@scripts/setup.sh build venv
	@scripts/engine.sh

engine-source: ## Build the engine from source instead, for the CPU only (some ten CPU minutes)
	@scripts/setup.sh build
	@scripts/engine.sh source

demo: engine ## Preload, verify, kill and resume, from an embedded hub (a few minutes the first time)
	@scripts/setup.sh build venv
	@scripts/venv.sh
	cargo build --release --locked --package speech-flow
	@SPEECH_FLOW_PYTHON=$(CURDIR)/.venv/bin/python $(BINARY) demo

build: engine ## Build target/release/speech-flow
	@scripts/setup.sh build
	cargo build --release --locked --package speech-flow

test: engine ## Run all tests, with the real Python clients
	@scripts/setup.sh test objectstore browser
	@scripts/venv.sh
	@scripts/venv.sh .venv-deploy tests/deploy/requirements.txt
	@scripts/clients.sh
	@scripts/objectstore.sh
	@scripts/deploytools.sh
	@scripts/browser.sh
	@scripts/test.sh

page: engine ## Test the cache server's status page in Chromium, and picture it for the docs
	@scripts/setup.sh test browser
	@scripts/browser.sh
	mkdir -p docs/images
	SPEECH_FLOW_SCREENSHOTS=$(CURDIR)/docs/images cargo test --locked --package speech-flow --test shows_server page::

lint: ## Check format, clippy, docs, house rules, licenses
	@scripts/setup.sh build
	@scripts/lint.sh

bench: engine ## Run the benchmarks and write docs/benchmarks.md (ARGS="download --size 64M" for one)
	@scripts/setup.sh bench
	@scripts/venv.sh
	@scripts/venv.sh target/clients/olah tests/clients/requirements-olah.txt
	cargo build --release --locked --package speech-flow
	.venv/bin/python benches/run.py $(ARGS)

soak: ## Kill the real process at random points, RUNS times (default 200)
	@scripts/setup.sh test
	@scripts/venv.sh
	SPEECH_FLOW_SOAK_RUNS=$(RUNS) scripts/test.sh --soak

parity: engine ## Load transformers' models from our cache and through the server (installs torch, several GB, in .venv-parity)
	@scripts/setup.sh build venv
	@scripts/venv.sh .venv-parity tests/clients/requirements-parity.txt
	cargo build --release --locked --package speech-flow
	.venv-parity/bin/python tests/clients/parity.py $(BINARY)
	@scripts/clients.sh --all
	SPEECH_FLOW_TEST_PYTHON=$(CURDIR)/.venv-parity/bin/python \
	  cargo test --locked --package speech-flow --test shows_server parity_ -- --ignored

test-cuda: engine ## Results and speed on an NVIDIA GPU, beside faster-whisper (installs cuBLAS in .venv-cuda)
	@scripts/setup.sh build venv
	@scripts/venv.sh .venv-cuda tests/clients/requirements-cuda.txt
	cargo build --release --locked --package speech-flow
	scripts/cuda.sh $(BINARY) .venv-cuda/bin/python

fuzz: ## Run every fuzz target for MINUTES (default 10)
	@scripts/setup.sh build
	@scripts/fuzz.sh $(MINUTES)

sbom: engine ## Write target/sbom: what the program is made of (CycloneDX), and all licenses with their texts
	@scripts/setup.sh build
	@cargo xtask sbom --out target/sbom

image: ## Build the container image with buildah, without a registry of images (TAG=… BUILD_ARGS="PRELOAD_MODELS=all")
	@scripts/setup.sh image
	@scripts/image.sh $(TAG) $(BUILD_ARGS)

image-test: ## Build the images and run them: read-only, no root, no network, volumes, compose (some ten minutes)
	@scripts/setup.sh image
	@scripts/venv.sh .venv-image tests/deploy/requirements-image.txt
	@scripts/image.sh
	@scripts/image-test.sh

clean-venv: ## Remove the Python environments
	rm -rf .venv .venv-*
