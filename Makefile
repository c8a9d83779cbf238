PYTHON ?= python3
PORT ?= 8080
SENSORS ?= 1
RECORD ?=
SOAK ?=
ECG_DATA ?= ../shared/data

# What a command needs beyond Python: Debian packages that packaging/require.sh finds or installs.
SYSTEM_PACKAGES = python3-venv
TEST_PACKAGES = $(SYSTEM_PACKAGES) chromium chromium-driver dbus mosquitto
RUNTIME_PACKAGES = mmdebstrap qemu-user
DEB_PACKAGES = $(SYSTEM_PACKAGES) debhelper lintian
REPOSITORY_PACKAGES = gnupg reprepro
MACHINE_PACKAGES = $(SYSTEM_PACKAGES) bc bison bluez dbus e2fsprogs flex gcc kmod libc6-dev make xz-utils
TEST_DEB_PACKAGES = mmdebstrap qemu-user-static systemd-container
FIRMWARE_PACKAGES = $(SYSTEM_PACKAGES) gcc libc6-dev clang gcovr libcmocka-dev libmbedtls-dev
FUZZ_PACKAGES = clang libclang-rt-14-dev libc6-dev libmbedtls-dev
CROSS_PACKAGES = gcc libc6-dev libmbedtls-dev gcc-xtensa-lx106 gcc-riscv64-unknown-elf \
    qemu-system-misc

# One package for each; make test-deb DEBS="bookworm_amd64" tries but one.
DEBS = bookworm_amd64 trixie_amd64 bookworm_arm64 trixie_arm64

# make test-deb TEST_DEB="--load-s 300" measures CPU over five minutes.
TEST_DEB =

# What `make test-debian-upgrade` goes from and to.
NEXT_DEBIAN = bookworm_amd64 trixie_amd64

# make test-bluez BLUEZ="--minutes 3 --disconnects 20 --sensors 2" is a short one.
BLUEZ = --minutes 30 --disconnects 300
POWER_CUT = --cuts 50

# What `make test-runtimes` runs the gateway's classifier on, beside .venv-dev.
RUNTIMES = build/runtimes/arm64/installed build/runtimes/tflite-runtime/installed

# A lock file for each extra; all but training's must install without a compiler on each of these.
EXTRAS = demo dev bench train
PORTABLE = gateway demo dev bench
PLATFORMS = x86_64-manylinux_2_36 aarch64-manylinux_2_36
PYTHONS = 3.11 3.12 3.13
COMPILE = .venv-lock/bin/uv pip compile -q --upgrade --group build

DEB_SOURCES = $(shell find gateway cloud_sync packaging -type f -not -path '*/__pycache__/*')

DEV = .venv-dev/bin

.DEFAULT_GOAL = help

.PHONY: help
help:  ## this list
	@awk -F ':.*## ?' '/^[a-z0-9-]+:.*##/ { printf "make %-21s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: .venv-demo/installed  ## start the gateway with virtual sensors: RECORD=wfdb/record SENSORS=4 PORT=8080
	.venv-demo/bin/ecg-gateway demo --port $(PORT) --sensors $(SENSORS) $(if $(RECORD),--record $(RECORD))

.PHONY: test
test: test-packages lint  ## what CI runs: lint, types, import contracts, tests with coverage
	$(DEV)/python -m pytest --cov --cov-report=term $(PYTEST_FLAGS)

.PHONY: test-packages
test-packages:
	PYTHON=$(PYTHON) packaging/require.sh $(TEST_PACKAGES)

.PHONY: lint
lint: .venv-dev/installed  ## format, lint, types, import contracts, the AWS template
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/cfn-lint cloud_sync/aws/template.yaml

.PHONY: format
format: .venv-dev/installed  ## format the code and mend what ruff can
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

.PHONY: bench
bench: .venv-bench/installed  ## speed, memory and latency, beside sleepecg and NeuroKit2
	.venv-bench/bin/python -m tests.bench

.PHONY: accuracy
accuracy: .venv-dev/installed  ## R peaks on MIT-BIH by the rules of EC57, and fibrillation (needs ECG_DATA)
	$(DEV)/python -m tests.accuracy.r_peaks
	$(DEV)/python -m tests.accuracy.fibrillation

.PHONY: ec57
ec57: .venv-dev/installed  ## beats, runs, episodes and heart rate by the rules of EC57 (needs ECG_DATA)
	$(DEV)/python -m tests.accuracy.ec57_report

.PHONY: score-alarms
score-alarms: .venv-dev/installed  ## true and false alarms: Challenge 2015, vfdb, MIT-BIH (needs ECG_DATA)
	$(DEV)/python -m tests.accuracy.score_alarms

# make soak-cloud SOAK="--hours 6 --kills 20" is a short one; it mounts a tmpfs to fill it.
.PHONY: soak-cloud
soak-cloud: test-packages .venv-dev/installed  ## a week offline and back to the cloud: kills, a full disk, a bad link
	$(if $(filter 0,$(shell id -u)),,unshare -rm) $(DEV)/python -m tests.soak_cloud $(SOAK)

.PHONY: test-streaming
test-streaming: .venv-dev/installed  ## 1,000 made-up streams through all stages, however they are cut
	STREAMS=1000 $(DEV)/python -m pytest --timeout=600 tests/pipeline/test_any_stream.py

.PHONY: test-runtimes
test-runtimes: .venv-dev/installed $(RUNTIMES)  ## the same labels on arm64 and tflite-runtime (needs ECG_DATA)
	$(DEV)/python -m tests.runtimes

.PHONY: firmware-test
firmware-test: .venv-dev/installed  ## the sensor's C core and ports: sanitisers, coverage, power cuts, pairing
	PYTHON=$(PYTHON) packaging/require.sh $(FIRMWARE_PACKAGES)
	$(MAKE) -C firmware test
	$(DEV)/python -m pytest tests/firmware $(PYTEST_FLAGS)

.PHONY: firmware-end-to-end
firmware-end-to-end: .venv-dev/installed  ## the end-to-end tests with the C core in the sensors (needs ECG_DATA)
	PYTHON=$(PYTHON) packaging/require.sh $(FIRMWARE_PACKAGES)
	ECG_SIMULATOR_CORE=c $(DEV)/python -m pytest tests/end_to_end $(PYTEST_FLAGS)

.PHONY: firmware-fuzz
firmware-fuzz:  ## libFuzzer on each of the firmware's parsers: SECONDS=300
	packaging/require.sh $(FUZZ_PACKAGES)
	$(MAKE) -C firmware fuzz

.PHONY: firmware-cross
firmware-cross:  ## the same core on emulated Xtensa and RISC-V; code, stack, instructions
	packaging/require.sh $(CROSS_PACKAGES)
	$(MAKE) -C firmware/cross

# make train EXPERIMENTS="shipped_ds2_1 shipped_ds2_2 …" trains these; without it, one seed of each.
.PHONY: train
train: .venv-train/installed  ## train and quantise the networks from MIT-BIH (needs ECG_DATA)
	.venv-train/bin/python -m model.dataset
	.venv-train/bin/python -m model.train $(EXPERIMENTS)
	.venv-train/bin/python -m model.quantise $(EXPERIMENTS)
	.venv-train/bin/python -m model.golden

.PHONY: evaluate
evaluate: .venv-dev/installed  ## score the committed models and hold them to their cards (needs ECG_DATA)
	$(DEV)/python -m model.evaluate

.PHONY: report
report: .venv-dev/installed  ## draw the pictures of model/README.md anew (needs ECG_DATA)
	$(DEV)/python -m model.report

.PHONY: recordings
recordings: .venv-demo/installed  ## download the recordings of real ECG that tests want into ECG_DATA
	.venv-demo/bin/python -m tests.recordings $(ECG_DATA)

.PHONY: deb
deb: $(DEBS:%=build/deb/%.built)  ## build the Debian packages into build/deb: DEBS="bookworm_amd64 …"

.PHONY: apt-repo
apt-repo: deb  ## a signed apt repository of the packages in build/apt (APT_SIGNING_KEY signs it)
	PYTHON=$(PYTHON) packaging/require.sh $(REPOSITORY_PACKAGES)
	packaging/repository.sh build/apt build/deb/*.deb

.PHONY: test-deb
test-deb: deb .venv-dev/installed $(DEBS:%=build/deb-test/%/installed)  ## the packages' life in clean Debians with systemd; needs root
	for deb in $(DEBS); do $(DEV)/python -m tests.deb $$(cat build/deb/$$deb.built) $(TEST_DEB) || exit; done

.PHONY: test-debian-upgrade
test-debian-upgrade: .venv-dev/installed $(NEXT_DEBIAN:%=build/deb/%.built) $(NEXT_DEBIAN:%=build/deb-test/%/installed)  ## a box with data goes from Debian 12 to 13; needs root
	$(DEV)/python -m tests.deb $$(cat $(NEXT_DEBIAN:%=build/deb/%.built))

.PHONY: test-reproducible
test-reproducible: $(DEBS:%=build/deb-again/%.same)  ## each package built once more has the same bytes

.PHONY: test-bluez
test-bluez: .venv-dev/installed build/machine/built  ## a real bluetoothd in a user-mode machine, five sensors: BLUEZ="--minutes 30 …"
	$(DEV)/python -m tests.bluez $(BLUEZ)

.PHONY: soak-bluez
soak-bluez: .venv-dev/installed build/machine/built  ## the same for 100 minutes with 1,000 disconnects
	$(DEV)/python -m tests.bluez --minutes 100 --disconnects 1000

.PHONY: test-power-cut
test-power-cut: .venv-dev/installed build/machine/built  ## power cuts in mid-write, nothing lost: POWER_CUT="--cuts 50"
	$(DEV)/python -m tests.power_cut $(POWER_CUT)

.PHONY: aws-package
aws-package: .venv-lock/installed  ## what `aws cloudformation package` uploads, in build/aws
	cloud_sync/aws/package.sh .venv-lock/bin/uv build/aws

.PHONY: lock
lock: .venv-lock/installed  ## upgrade every dependency and write the lock files anew
	$(COMPILE) --group lock -o requirements/lock.txt
	$(COMPILE) pyproject.toml -o requirements/gateway.txt
	$(COMPILE) --group tflite-runtime -o requirements/tflite-runtime.txt
	for extra in $(EXTRAS); do \
	    $(COMPILE) pyproject.toml --extra $$extra -o requirements/$$extra.txt || exit; \
	done
	for platform in $(PLATFORMS); do for python in $(PYTHONS); do for lock in $(PORTABLE); do \
	    .venv-lock/bin/uv pip install -q --no-config --dry-run --target .venv-lock/nowhere --no-deps \
	        --only-binary :all: --require-hashes --python-platform $$platform \
	        --python-version $$python -r requirements/$$lock.txt || exit; \
	done; done; done

.PHONY: clean
clean:  ## remove what make made
	rm -rf .venv-demo .venv-dev .venv-bench .venv-train .venv-lock .coverage *.egg-info build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# One virtual environment for each lock file, made again only when its lock changes.
.venv-%/installed: requirements/%.txt pyproject.toml
	PYTHON=$(PYTHON) packaging/require.sh $(SYSTEM_PACKAGES)
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	    "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d; choose one with make PYTHON=…" \
	    % sys.version_info[:2])'
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/pip install --require-hashes --only-binary :all: -r $<
	.venv-$*/bin/pip install --no-deps --no-build-isolation -e .
	touch $@

build/deb/%.built: requirements/gateway.txt $(DEB_SOURCES) .venv-lock/installed
	PYTHON=$(PYTHON) packaging/require.sh $(DEB_PACKAGES)
	mkdir -p $(@D)
	packaging/build.sh .venv-lock/bin/uv $(subst _, ,$*) $(@D) >$@.new
	mv $@.new $@

build/deb-again/%.same: build/deb/%.built
	mkdir -p $(@D)
	cmp $$(cat $<) $$(packaging/build.sh .venv-lock/bin/uv $(subst _, ,$*) $(@D))
	touch $@

build/deb-test/%/installed: tests/deb/root.sh requirements/demo.txt .venv-lock/installed
	PYTHON=$(PYTHON) packaging/require.sh $(TEST_DEB_PACKAGES) $(REPOSITORY_PACKAGES)
	tests/deb/root.sh .venv-lock/bin/uv $(subst _, ,$*) $(@D)
	touch $@

build/machine/built: $(addprefix tests/machine/,kernel.sh bluetooth.config card.c no_flush.c)
	PYTHON=$(PYTHON) packaging/require.sh $(MACHINE_PACKAGES)
	tests/machine/kernel.sh $(@D)
	for library in card no_flush; do gcc -O2 -Wall -Wextra -Werror -shared -fPIC \
	    -o $(@D)/$$library.so tests/machine/$$library.c || exit; done
	touch $@

build/runtimes/arm64/installed: requirements/gateway.txt tests/runtimes/arm64.sh .venv-lock/installed
	PYTHON=$(PYTHON) packaging/require.sh $(RUNTIME_PACKAGES)
	tests/runtimes/arm64.sh .venv-lock/bin/uv $(@D)
	touch $@

build/runtimes/tflite-runtime/installed: requirements/tflite-runtime.txt .venv-lock/installed
	.venv-lock/bin/uv venv --no-config --clear --python 3.11 $(@D)
	.venv-lock/bin/uv pip install --no-config --python $(@D)/bin/python --no-deps \
	    --only-binary :all: --require-hashes -r $<
	touch $@
