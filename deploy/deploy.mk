# Installing, packaging, containers. Included by the Makefile.
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share/normscope
MANDIR = $(PREFIX)/share/man/man1
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
UNITDIR = $(PREFIX)/lib/systemd/system
VERSION = $(shell sed -n 's/^.define NORMSCOPE_VERSION "\(.*\)"/\1/p' server/machine/version.h)
IMAGE ?= normscope
DOCKER ?= docker

# What `install` writes; `uninstall` removes these and nothing else.
INSTALLED = $(BINDIR)/normscope $(MANDIR)/normscope.1 $(BASHDIR)/normscope $(ZSHDIR)/_normscope \
    $(FISHDIR)/normscope.fish $(UNITDIR)/normscope.service $(UNITDIR)/normscope.socket
SHARED = $(filter-out %.md %.d.ts,$(wildcard schema/*.sql schema/*.json static/*.* static/*/*.* deploy/normscope.default LICENSE))

install: all ## program, manual, completions, unit, schema, dashboard files (PREFIX= DESTDIR=)
	@$(MAKE) --no-print-directory install-files

install-files: # what is built, as it is
	install -d $(addprefix $(DESTDIR),$(sort $(dir $(INSTALLED))))
	install -m 755 $(BUILD)/normscope $(DESTDIR)$(BINDIR)/normscope
	$(BUILD)/normscope manual >$(DESTDIR)$(MANDIR)/normscope.1
	$(BUILD)/normscope completion bash >$(DESTDIR)$(BASHDIR)/normscope
	$(BUILD)/normscope completion zsh >$(DESTDIR)$(ZSHDIR)/_normscope
	$(BUILD)/normscope completion fish >$(DESTDIR)$(FISHDIR)/normscope.fish
	sed 's|@BINDIR@|$(BINDIR)|' deploy/normscope.service >$(DESTDIR)$(UNITDIR)/normscope.service
	install -m 644 deploy/normscope.socket $(DESTDIR)$(UNITDIR)/normscope.socket
	for f in $(SHARED); do install -D -m 644 $$f $(DESTDIR)$(DATADIR)/$$f || exit 1; done
	chmod 644 $(addprefix $(DESTDIR),$(filter-out %/bin/normscope,$(INSTALLED)))

uninstall: ## remove what install wrote (same PREFIX and DESTDIR)
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(DATADIR)

dist: ## the sources of HEAD as build/normscope-VERSION.tar.gz
	@mkdir -p $(BUILD)
	@echo '$(BUILD_ID)' >$(BUILD)/.build-id
	@git archive --format=tar.gz --prefix=normscope-$(VERSION)/ --add-file=$(BUILD)/.build-id \
	    -o $(BUILD)/normscope-$(VERSION).tar.gz HEAD
	@echo $(BUILD)/normscope-$(VERSION).tar.gz

deb: ## a Debian package in build/deb, checked by lintian
	@deploy/install-deps build assets deb
	@deploy/make-deb $(BUILD)/deb $(VERSION) '$(BUILD_ID)'

docker: ## the container image $(IMAGE), and its size
	@$(DOCKER) build $(DOCKER_ARGS) --build-arg VERSION=$(VERSION) --build-arg BUILD_ID='$(BUILD_ID)' \
	    -t $(IMAGE) -f deploy/Dockerfile .
	@$(DOCKER) image inspect -f '{{.Size}}' $(IMAGE) | awk '{ printf "$(IMAGE): %.1f MB\n", $$1 / 1e6 }'

docker-test: ## build the image, run it, kill it, start it again (needs root or a running docker)
	@deploy/docker-test

docker-suites: ## the C suites inside the image's build (docker build --target test)
	@deploy/docker-test --suites

deb-test: ## install the package in build/deb in a fresh Debian, run it, purge it (needs root)
	@deploy/deb-test $(BUILD)/deb

systemd-test: ## the package in build/deb under a booted systemd: sandbox, kill, watchdog, socket (needs root)
	@deploy/systemd-test $(BUILD)/deb

# A program of that name that puts the real one under the unit; its workers are the real one.
unit-test: all ## the end-to-end suites of the daemon under what the unit allows (needs root, python3-seccomp)
	@mkdir -p $(BUILD)/under-unit
	@printf '#!/bin/sh\nexec %s %s "$$@"\n' $(abspath deploy/under-unit $(BUILD)/normscope) >$(BUILD)/under-unit/normscope
	@chmod 755 $(BUILD)/under-unit/normscope
	@NORMSCOPE_BIN=$(abspath $(BUILD)/under-unit/normscope) node --test \
	    tests/e2e/api.test.mjs tests/e2e/bad_input.test.mjs tests/e2e/crash.test.mjs

.PHONY: unit-test install install-files uninstall dist deb docker docker-test docker-suites deb-test \
    systemd-test
