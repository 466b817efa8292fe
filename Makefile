# The commands of this repository; each is a script that says what it does.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench run

help:
	@echo "make demo [VIDEO=file]  a chain, a node, a gateway that pays, a clip: the main job, end to end, checked"
	@echo "     [CHAIN=0]          the same off-chain: nobody pays"
	@echo "make run                a node on this machine, off-chain"
	@echo "make test               all tests"
	@echo "make check              format, lint, types, architecture, unit tests"
	@echo "make bench              benchmarks, as ratios to the best known way: speed of uploads, answers, frames"
	@echo "make setup              .venv with the baton command; the others do it themselves"

setup:
	@scripts/setup

demo:
	@VIDEO="$(VIDEO)" CHAIN="$(CHAIN)" scripts/demo

test:
	@scripts/test

check:
	@scripts/check

bench:
	@scripts/bench

run:
	@scripts/setup
	@.venv/bin/baton run --network offchain
