# Everything there is to do here, each by one word. `make` alone lists them.

CARGO   ?= cargo
prefix  ?= /usr
DESTDIR ?=
# Where p11-kit and programs with a bare module name look: Debian's triplet where there is one.
triplet := $(shell dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null)
libdir  ?= $(prefix)/lib$(if $(triplet),/$(triplet))
bindir  ?= $(prefix)/bin
datadir ?= $(prefix)/share
docdir  ?= $(datadir)/doc/hierarkey
mandir  ?= $(datadir)/man
dracutdir ?= $(prefix)/lib/dracut/modules.d
# Debian's two packages look nowhere else.
initramfsdir ?= $(datadir)/initramfs-tools/hooks
keyscriptdir ?= $(prefix)/lib/cryptsetup/scripts
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
sysconfdir ?= /etc
# Where the shells look for what packages bring; zsh of Debian has a place of its own.
bashdir ?= $(datadir)/bash-completion/completions
zshdir  ?= $(datadir)/zsh/$(if $(and $(triplet),$(filter /usr,$(prefix))),vendor-completions,site-functions)
fishdir ?= $(datadir)/fish/vendor_completions.d
# p11-kit reads what packages put in place from here; administrators override it in /etc/pkcs11/modules.
p11dir  ?= $(datadir)/p11-kit/modules

target := $(or $(CARGO_TARGET_DIR),target)
# What install takes: the release build, unless a test has another.
built  ?= $(target)/release

# rustup puts cargo where a non-login shell does not look.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

.DEFAULT_GOAL := help
.PHONY: help setup build release demo test unit clients suites sanitize vm packages staged deb lint doc deny fuzz bench compare soak release-check install uninstall clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install every missing tool and package (Debian 12 and relatives)
	tools/setup.sh test
	tools/setup.sh lint
	tools/setup.sh deny

build: ## the module and the tool, for debugging
	@tools/setup.sh build
	$(CARGO) build --workspace --locked

release: ## the module and the tool, as they are installed
	@tools/setup.sh build
	$(CARGO) build --workspace --locked --release

demo: ## a token, two keys and checked signatures in a TPM emulator
	@tools/setup.sh demo
	@swtpm-ci/demo.sh

test: unit clients ## every test: the crate's, its documentation's, and real clients

unit:
	@tools/setup.sh test
	$(CARGO) nextest run --workspace --locked --no-fail-fast
	$(CARGO) test --workspace --locked --doc --quiet

clients: ## real clients on a TPM emulator; one alone: swtpm-ci/run.sh NAME
	@tools/setup.sh test
	swtpm-ci/run.sh

suites: ## test suites that others wrote, against the module; one alone: swtpm-ci/suites.sh NAME
	@tools/setup.sh suites
	swtpm-ci/suites.sh

sanitize: ## the tests and two programs under valgrind: no report of ours (slow); tools/sanitize.sh FILTER
	@tools/setup.sh sanitize
	tools/sanitize.sh

vm: ## disks and boots in virtual machines with a TPM (root); one alone: swtpm-ci/vm/run.sh NAME
	@tools/setup.sh vm
	swtpm-ci/vm/run.sh

packages: ## the Debian package in a clean root: installed, used, upgraded, removed (root)
	@tools/setup.sh packages
	swtpm-ci/packages.sh

lint: ## formatting and clippy, warnings denied
	@tools/setup.sh lint
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## the source's documentation, warnings denied
	@tools/setup.sh build
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

deny: ## licences, bans and sources of the dependencies
	@tools/setup.sh deny
	$(CARGO) deny --log-level error check licenses bans sources

fuzz: ## the fuzz targets, FUZZ_SECONDS each (60; 0: their seeds only); some alone: fuzz/run.sh TARGET...
	@tools/setup.sh fuzz
	fuzz/run.sh

bench: ## each mechanism's rate and TPM commands; signatures beside the bare TPM; start and search
	@tools/setup.sh test
	$(CARGO) bench --locked --bench report --bench mechanisms

compare: ## other PKCS#11 modules measured beside this one (UPDATE_DOCS=1 writes docs/comparison.md)
	@tools/setup.sh bench
	$(CARGO) bench --locked --bench compare

soak: ## the tests at their full size: hours
	@tools/setup.sh test
	HIERARKEY_TEST_SIZE=full $(CARGO) nextest run --workspace --locked --no-fail-fast

release-check: lint doc test deny ## what a release needs beyond CI: published advisories (network)
	$(CARGO) deny check advisories
	$(CARGO) package --locked --no-verify --list

# What packages are made of. A package of another build than the release, for development: built=target/debug.
package := target/package
staged: $(if $(filter $(target)/release,$(built)),release)
	rm -rf $(package)
	$(MAKE) --no-print-directory install DESTDIR=$(package) prefix=/usr sysconfdir=/etc
	find $(package) \( -name '*.so' -o -path '*/bin/*' \) -type f -exec strip --strip-unneeded --remove-section=.comment --remove-section=.note {} +

deb: staged ## the Debian package, target/debian/hierarkey_*.deb
	@tools/setup.sh deb
	$(CARGO) deb --no-build --no-strip --locked --output target/debian/ $(if $(deb_version),--deb-version $(deb_version))

install: ## all of it, with manual, completions and configuration (DESTDIR, prefix, libdir); after make release
	install -D -m 0644 "$(built)/libhierarkey.so" "$(DESTDIR)$(libdir)/pkcs11/libhierarkey.so"
	install -D -m 0755 "$(built)/hierarkey" "$(DESTDIR)$(bindir)/hierarkey"
	install -D -m 0644 dist/p11-kit/hierarkey.module "$(DESTDIR)$(p11dir)/hierarkey.module"
	install -D -m 0755 dist/dracut/90hierarkey/module-setup.sh "$(DESTDIR)$(dracutdir)/90hierarkey/module-setup.sh"
	install -D -m 0755 dist/initramfs/hierarkey "$(DESTDIR)$(initramfsdir)/hierarkey"
	install -D -m 0755 dist/initramfs/decrypt_hierarkey "$(DESTDIR)$(keyscriptdir)/decrypt_hierarkey"
	install -D -m 0644 dist/sysusers.d/hierarkey.conf "$(DESTDIR)$(sysusersdir)/hierarkey.conf"
	install -D -m 0644 dist/tmpfiles.d/hierarkey.conf "$(DESTDIR)$(tmpfilesdir)/hierarkey.conf"
	install -d "$(DESTDIR)$(docdir)" "$(DESTDIR)$(mandir)/man1" "$(DESTDIR)$(bashdir)" "$(DESTDIR)$(zshdir)" "$(DESTDIR)$(fishdir)"
	install -m 0644 README.md LICENSE-MIT LICENSE-APACHE dist/hierarkey.toml dist/udev/60-hierarkey.rules \
		"$(DESTDIR)$(docdir)/"
	@# Under the name that distributions look for.
	install -m 0644 CHANGELOG.md "$(DESTDIR)$(docdir)/changelog"
	install -D -m 0644 dist/man/hierarkey.toml.5 "$(DESTDIR)$(mandir)/man5/hierarkey.toml.5"
	install -D -m 0644 dist/man/hierarkey.7 "$(DESTDIR)$(mandir)/man7/hierarkey.7"
	@# The tool writes its own manual and completions, under the names that they are found by.
	generated=$$(mktemp -d) && trap 'rm -rf "$$generated"' EXIT && \
		"$(built)/hierarkey" generate man "$$generated" && \
		"$(built)/hierarkey" generate completions "$$generated" && \
		install -m 0644 "$$generated"/*.1 "$(DESTDIR)$(mandir)/man1/" && \
		install -m 0644 "$$generated/hierarkey.bash" "$(DESTDIR)$(bashdir)/hierarkey" && \
		install -m 0644 "$$generated/_hierarkey" "$(DESTDIR)$(zshdir)/_hierarkey" && \
		install -m 0644 "$$generated/hierarkey.fish" "$(DESTDIR)$(fishdir)/hierarkey.fish"
	install -d "$(DESTDIR)$(sysconfdir)/hierarkey"
	@# An administrator's own settings stay.
	test -e "$(DESTDIR)$(sysconfdir)/hierarkey/hierarkey.toml" || \
		install -m 0644 dist/hierarkey.toml "$(DESTDIR)$(sysconfdir)/hierarkey/hierarkey.toml"
	@# On the machine itself, the groups and the system's store now: made at the next boot, the store would take the place
	@# of one that root had come to use meanwhile.
	if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v systemd-sysusers >/dev/null && command -v systemd-tmpfiles >/dev/null; then \
		systemd-sysusers "$(sysusersdir)/hierarkey.conf" && systemd-tmpfiles --create "$(tmpfilesdir)/hierarkey.conf"; \
	fi

uninstall: ## what install put there; configuration and stores stay
	rm -f "$(DESTDIR)$(libdir)/pkcs11/libhierarkey.so" "$(DESTDIR)$(bindir)/hierarkey" "$(DESTDIR)$(p11dir)/hierarkey.module" \
		"$(DESTDIR)$(sysusersdir)/hierarkey.conf" "$(DESTDIR)$(tmpfilesdir)/hierarkey.conf" \
		"$(DESTDIR)$(initramfsdir)/hierarkey" "$(DESTDIR)$(keyscriptdir)/decrypt_hierarkey" \
		"$(DESTDIR)$(mandir)/man1/hierarkey.1" "$(DESTDIR)$(mandir)/man1/"hierarkey-*.1 \
		"$(DESTDIR)$(mandir)/man5/hierarkey.toml.5" "$(DESTDIR)$(mandir)/man7/hierarkey.7" \
		"$(DESTDIR)$(bashdir)/hierarkey" "$(DESTDIR)$(zshdir)/_hierarkey" "$(DESTDIR)$(fishdir)/hierarkey.fish"
	rm -rf "$(DESTDIR)$(docdir)" "$(DESTDIR)$(dracutdir)/90hierarkey"

clean: ## everything that was built
	$(CARGO) clean
