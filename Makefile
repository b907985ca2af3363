# vbk: make help lists the targets.
SHELL := /bin/bash
GO ?= go
# Real peers (libvirt, QEMU, qemu-nbd, nbdkit) are installed by deps, so their
# tests must run: 1 turns a skip into a failure. VBK_REQUIRE_PEERS= allows skips.
export VBK_REQUIRE_PEERS ?= 1

PACKAGES := gcc libc6-dev pkg-config libvirt-dev libnbd-dev \
	libvirt-daemon libvirt-daemon-system libvirt-clients \
	qemu-system-x86 qemu-utils libnbd-bin nbdkit virtnbdbackup chromium xfsprogs e2fsprogs btrfs-progs exfatprogs exfat-fuse jq curl swtpm swtpm-tools ovmf dosfstools mtools p7zip-full fdisk gdisk fuse3 rsync restic rclone apparmor zsh fish mandoc groff systemd \
	polkitd dbus acl python3-apparmor

# What the packages are built and tried with.
PACKAGING := dpkg-dev rpm rpm2cpio cpio rpmlint lintian systemd-container dbus

.PHONY: help deps build static test mutants check demo e2e fuzz bench microbench docs cover

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

deps: ## install what is missing for build, tests and demo (apt; elsewhere it names the packages)
	@.ci/deps $(PACKAGES)

build: ## build ./vbk
	$(GO) build -buildvcs=auto -o vbk ./cmd/vbk

static: ## build ./vbk-static, without libvirt and libnbd
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -o vbk-static ./cmd/vbk

mutants: deps ## build versions that lose data, and see that the tests find each
	$(GO) test -tags mutants -timeout 20m ./mutants

test: deps build static ## install, build, and pass all tests
	$(GO) test -timeout 30m ./...

check: deps ## what a reviewer would ask first: gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

demo: deps build ## back up and restore a real QEMU machine in a temporary folder
	@examples/demo/run ./vbk

e2e: deps ## what CI plays in samples: the power fails at every effect, libguestfs reads a point, every fuzz target for a minute (an hour)
	VBK_E2E=1 $(GO) test -run TestPowerLoss -timeout 30m ./executor
	@.ci/deps libguestfs-tools linux-image-cloud-amd64
	VBK_E2E=1 LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg $(GO) test -run TestScripts/libguestfs ./cmd/vbk
	@.ci/fuzz 60s

fuzz: ## run every fuzz target for FUZZTIME (20s)
	@.ci/fuzz $(or $(FUZZTIME),20s)

bench: deps ## compare with virtnbdbackup, nbdcopy, qemu-img and cp on a real QEMU (TMPDIR=/dev/shm; half an hour)
	$(GO) test -tags bench -v -timeout 120m ./bench

microbench: deps ## run the benchmarks beside the code
	$(GO) test -run '^$$' -bench . -benchmem ./...

docs: deps ## write the generated pages: docs/manual.md, docs/reference.md, docs/schema/configuration.json
	UPDATE_DOCS=1 $(GO) test ./cmd/vbk -run ManualPage -count 1

cover: deps ## coverage of all packages
	$(GO) test -coverprofile=cover.out ./... && $(GO) tool cover -func=cover.out | tail -1

package: deps ## build a .deb, an .rpm and a static archive into ./dist, try them, and play a night with the .deb
	@.ci/deps $(PACKAGING)
	rm -rf dist && packaging/build dist
	packaging/twice dist
	packaging/try dist
	packaging/night dist
