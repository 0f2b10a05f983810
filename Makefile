# The commands of the README. Everything real is in CMake; this installs what
# is missing, picks the preset and runs it.

PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
BUILD   = cmake --build --preset

.PHONY: help build demo test bench install deb format lint asan tsan fuzz clean

help:
	@sed -n 's/^## //p' Makefile

## make build     every program, in build/bin
build:
	@packaging/install-packages build
	@cmake --preset release >/dev/null
	@$(BUILD) release -j $(JOBS)

## make demo      boots a microVM, runs a command in it, shows what it cost
demo: build
	@packaging/install-packages build images
	@guest-images/demo

## make test      builds and runs every test
test:
	@packaging/install-packages build test testhost images lint
	@tests/run

## make bench     wisp beside QEMU: start-up, boots, disk, network; back ends alone
bench: build
	@packaging/install-packages build testhost images bench
	@benches/run

## make install   into PREFIX (/usr/local), below DESTDIR
install: build
	cmake --install build --prefix $(PREFIX)

## make deb       a Debian package, in build/
deb: build
	cd build && cpack -G DEB

## make format    clang-format over every C file
format:
	@packaging/install-packages lint
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

## make lint      clang-format, clang-tidy, cppcheck, gcc -fanalyzer and Frama-C; changes nothing
lint: build
	@packaging/install-packages build lint
	@tests/lint
	@tests/eva/run

## make asan      build-asan: AddressSanitizer and UBSan
## make tsan      build-tsan: ThreadSanitizer
## make fuzz      build-fuzz: the libFuzzer targets
asan tsan:
	@packaging/install-packages build test
	@cmake --preset $@ >/dev/null
	@$(BUILD) $@ -j $(JOBS)

fuzz:
	@packaging/install-packages build test
	@cmake --preset fuzz >/dev/null
	@$(BUILD) fuzz -j $(JOBS) --target fuzzers

clean:
	rm -rf build build-asan build-tsan build-fuzz
