package config

import (
	"cmp"
	"time"

	"github.com/zclconf/go-cty/cty"
)

// defaultPolicy is what holds where neither policy nor domain say otherwise.
// There is no default store, and the default rpo follows the interval.
func defaultPolicy() Policy {
	return Policy{
		Every:       Duration(24 * time.Hour),
		Mode:        "incremental",
		Chain:       Chain{FullEvery: Duration(7 * 24 * time.Hour), MaxIncrements: 30, OnBroken: "resync"},
		Retention:   defaultRetention(),
		Quiesce:     Quiesce{Mode: "try", Timeout: Duration(10 * time.Second)},
		Disks:       Disks{Raw: "resync", Encrypted: "fail"},
		Compression: Compression{Codec: "zstd", Level: 1},
		Stream:      "v3",
		Extra:       Extra{NVRAM: true, TPM: true, Kernel: true},
		Audit:       64,
		Offline:     "backup",
	}
}

// sharedSpec is for policy blocks and for domain blocks, which hold the same
// attributes: a policy block is read as a Domain without a selector.
func sharedSpec() spec[Domain] {
	return spec[Domain]{
		fields: policyFields(),
		blocks: []block[Domain]{
			chainBlock(),
			replacing(nested("retention",
				"Which points stay. Without any `keep_` rule all of them do. A point that builds on others keeps them, too.",
				retentionFields(func(d *Domain) *Retention { return &d.Policy.Retention })...)),
			quiesceBlock(), disksBlock(), compressionBlock(), extraBlock(),
			nested("verify", "Whether what is stored is read back.",
				at("every", durationsOr(word("never", "`vbk apply` does not; `vbk verify -read-data` does.")), func(d *Domain) *Duration { return &d.Policy.Verify.Every },
					"How often `vbk apply` reads every stored byte of a point and compares it with its checksum. The points are spread over the backups of that time, so that no night reads all of them."),
			),
			copyBlock(), hookBlock(),
			laterBlock[Domain]("window", "The hours in which backups may run."),
			laterBlock[Domain]("drill", "Drills as part of the policy. `vbk drill` is one by hand."),
		},
	}
}

func policySpec() spec[Domain] {
	s := sharedSpec()
	s.fields = append(s.fields, extendsField())
	return s
}

// extendsField is evaluated before the block: it says what the block overrides.
func extendsField() field[Domain] {
	return before[Domain]("extends", "address", "The policy that this one starts from, such as `policy.base`: what this block does not set holds as it is set there. "+
		"That policy must not extend another one.").otherwise("it starts from the defaults")
}

func policyFields() []field[Domain] {
	return []field[Domain]{
		at("store", kind[string]{form: "reference", read: storeReference, show: showStore}, func(d *Domain) *string { return &d.Policy.Store },
			"Where restore points go.").otherwise("required, in the domain block or in its policy"),
		everyField(), scheduleField(),
		at("rpo", kind[Duration]{form: "duration", read: duration, show: showRPO}, func(d *Domain) *Duration { return &d.Policy.RPO },
			"How old the newest sound point may be, before `vbk status` and the metrics say that the domain is late.").
			otherwise("twice `every`; of a `schedule`, twice the largest gap in it"),
		at("mode", wordOf(
			word("incremental", "a point holds what changed since the one before it"),
			word("full", "each point stands alone; vbk makes no checkpoint of the domain"),
			word("differential", "each point holds what changed since the full").later(),
		), func(d *Domain) *string { return &d.Policy.Mode }, "What kind of points are made."),
		at("offline", wordOf(
			word("backup", "its image files are read"),
			word("start_paused", "it is started paused for the time of the backup, and ended again"),
			word("skip", "it waits until it runs"),
		), func(d *Domain) *string { return &d.Policy.Offline }, "What is done with a domain that is shut off."),
		at("min_change", sizes, func(d *Domain) *int64 { return &d.Policy.MinChange },
			"An increment that would read less than this waits, as long as `rpo` allows."),
		at("stream", wordOf(
			word("v3", "vbk's own"),
			word("virtnbdbackup", "that of virtnbdbackup, which its `virtnbdrestore` reads"),
			word("raw", "whole images; needs `mode = \"full\"`"),
		), func(d *Domain) *string { return &d.Policy.Stream }, "The format that points are written in."),
		at("audit", numbers(0, 1_000_000), func(d *Domain) *int { return &d.Policy.Audit },
			"How many grains (64 KiB each) that QEMU calls unchanged are read and compared with the chain all the same, per disk and increment. 0: none; what is zero or new is compared nevertheless."),
	}
}

func chainBlock() block[Domain] {
	return nested("chain", "When a new chain begins. A chain is a full and the increments that build on it.",
		at("full_every", durationsOr(word("never", "its age does not matter")), func(d *Domain) *Duration { return &d.Policy.Chain.FullEvery },
			"A chain that is this old is followed by a new one, with a full."),
		at("max_increments", counts, func(d *Domain) *int { return &d.Policy.Chain.MaxIncrements },
			"A chain with this many increments is followed by a new one. With `prune = \"merge\"` and a keep rule it does not count."),
		at("on_broken", wordOf(
			word("resync", "all of the disk is read, and what differs from the chain is stored"),
			word("full", "a new chain begins"),
			word("fail", "the backup fails until you ask for a new chain by `-full`"),
		), func(d *Domain) *string { return &d.Policy.Chain.OnBroken }, "What is done where a disk's bitmap is missing or cannot be trusted."),
		later[Domain]("differential", "Increments that build on the full."),
	)
}

func quiesceBlock() block[Domain] {
	return nested("quiesce", "Whether the guest's file systems are frozen for the instant of a point, so that it is more than what a power cut leaves.",
		at("mode", wordOf(
			word("try", "if its guest agent does it"),
			word("require", "the backup fails if its guest agent does not"),
			word("off", "no"),
		), func(d *Domain) *string { return &d.Policy.Quiesce.Mode }, "Whether they are frozen."),
		at("timeout", durations, func(d *Domain) *Duration { return &d.Policy.Quiesce.Timeout },
			"How long the freeze may take. Then they are thawed, and it counts as one that did not succeed."),
		at("filesystems", kind[[]string]{form: "list of absolute path", read: paths, show: showSome}, func(d *Domain) *[]string { return &d.Policy.Quiesce.Filesystems },
			"Mount points in the guest.").otherwise("all file systems"),
	)
}

func disksBlock() block[Domain] {
	return nested("disks", "Which disks take part. They are named by their target (`vda`). CD-ROMs and floppies never do.",
		at("include", patternLists, func(d *Domain) *[]string { return &d.Policy.Disks.Include }, "Only these.").otherwise("all disks"),
		at("exclude", patternsIfAny, func(d *Domain) *[]string { return &d.Policy.Disks.Exclude }, "All but these; it wins over `include`.").otherwise("no disk"),
		at("raw", wordOf(
			word("resync", "all of the disk is read for each point, and what differs from the chain is stored"),
			word("full", "all of it is read and stored"),
			word("skip", "the disk is left out"),
			word("fail", "the backup fails"),
		), func(d *Domain) *string { return &d.Policy.Disks.Raw }, "What is done with raw images and qcow2 images of version 2, which cannot hold bitmaps."),
		at("encrypted", wordOf(
			word("fail", "the backup fails"),
			word("plaintext", "you agree that the store holds in the clear what is encrypted on the host"),
		), func(d *Domain) *string { return &d.Policy.Disks.Encrypted }, "What is done with disks that QEMU decrypts (LUKS)."),
	)
}

func compressionBlock() block[Domain] {
	return nested("compression", "How points are compressed.",
		at("codec", wordOf(
			word("zstd", "with `stream = \"v3\"`"),
			word("lz4", "with `stream = \"virtnbdbackup\"`, whose default it is"),
			word("none", "not at all; the only one of `stream = \"raw\"`"),
		), func(d *Domain) *string { return &d.Policy.Compression.Codec }, "The algorithm."),
		at("level", numbers(1, 19), func(d *Domain) *int { return &d.Policy.Compression.Level },
			"More is smaller and slower. `lz4` has levels up to 9."),
	)
}

func extraBlock() block[Domain] {
	return nested("extra", "What is saved with each point besides the disks and the domain's XML: files of this host of up to 64 MiB. One that cannot be had is noted in the manifest.",
		at("nvram", flags, func(d *Domain) *bool { return &d.Policy.Extra.NVRAM }, "The variables of the firmware (UEFI)."),
		at("tpm", flags, func(d *Domain) *bool { return &d.Policy.Extra.TPM }, "The state of an emulated TPM."),
		at("kernel", flags, func(d *Domain) *bool { return &d.Policy.Extra.Kernel }, "A kernel and an initrd that the domain's XML names."),
	)
}

// everyField and scheduleField are one setting in two notations: each takes
// the place of the other.
func everyField() field[Domain] {
	f := at("every", durations, func(d *Domain) *Duration { return &d.Policy.Every },
		"A backup is due when the newest sound point is this old, less a tenth of it and at most an hour: a nightly timer with jitter must not skip nights.")
	return alternative(f, "schedule", func(d *Domain) { d.Policy.Schedule = "" }, func(d *Domain) bool { return d.Policy.Schedule != "" })
}

func scheduleField() field[Domain] {
	f := at("schedule", kind[string]{form: "schedule", read: schedule, show: showText}, func(d *Domain) *string { return &d.Policy.Schedule },
		"Instead of `every`: a backup is due at these times, in the `time_zone` of the configuration.").otherwise("`every` counts")
	return alternative(f, "every", func(d *Domain) { d.Policy.Every = 0 }, func(d *Domain) bool { return d.Policy.Schedule == "" })
}

func alternative(f field[Domain], other string, clear func(*Domain), unused func(*Domain) bool) field[Domain] {
	set, show := f.set, f.show
	f.other = other
	f.set = func(d *Domain, v cty.Value) error {
		err := set(d, v)
		if err == nil {
			clear(d)
		}
		return err
	}
	f.reset = func(d, defaults *Domain) {
		d.Policy.Every, d.Policy.Schedule = defaults.Policy.Every, defaults.Policy.Schedule
	}
	f.show = func(d *Domain) string {
		if unused(d) {
			return "null"
		}
		return show(d)
	}
	return f
}

func showStore(address string) string { return cmp.Or(address, "null") }

func showRPO(d Duration) string {
	if d == 0 {
		return "null"
	}
	return showText(d.String())
}
