package plan

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// situation is a running machine with one disk, a chain of two points whose
// newest is 25 hours old, its checkpoint, and a policy of 24 hours.
type situation struct {
	want   Want
	domain virt.Domain
	folder *store.Domain
}

func ordinary() *situation {
	s := &situation{want(), machine("vda"), folder()}
	s.chains(chain(1, daily(2, 25*time.Hour)...))
	return s
}

// chains replaces what the folder holds, and gives the domain the checkpoint of
// the newest point.
func (s *situation) chains(all ...store.Chain) {
	s.folder.Chains = all
	s.domain.Checkpoints = []virt.Checkpoint{checkpointOf(*s.open())}
}

func (s *situation) open() *store.Chain { return &s.folder.Chains[len(s.folder.Chains)-1] }

// dataFile lets the disk have an external data file, in this state then and now.
func (s *situation) dataFile(then, now string) {
	s.open().Manifest.Points[1].Disks[0].DataState = then
	s.domain.Disks[0].DataFile, s.domain.Disks[0].DataState = true, now
}

func (s *situation) full() { s.want.Full, s.want.FullAfter = true, s.open().Name }

func (s *situation) decide() Instance {
	return Decide(s.want, Seen{Domain: s.domain, Folder: s.folder}, noon)
}

// behaviours is the table of docs/behaviours.md, "One instance".
var behaviours = []struct {
	found   string
	change  func(*situation)
	actions []string // in order
	reason  string   // part of the backup's reason, of the error, or of why it idles
}{
	{"domain claimed, no folder", func(s *situation) { s.folder, s.domain.Checkpoints = nil, nil },
		[]string{"full"}, "no restore point yet"},
	{"folder without a chain", func(s *situation) { s.folder.Chains, s.domain.Checkpoints = nil, nil },
		[]string{"full"}, "no restore point yet"},
	{"newest point younger than `every`", func(s *situation) { s.chains(chain(1, daily(2, 22*time.Hour)...)) },
		nil, "not due"},
	{"newest point younger than `every` by less than a tenth, at most an hour: a timer has jitter", func(s *situation) { s.chains(chain(1, daily(2, 23*time.Hour)...)) },
		[]string{"inc"}, `the newest point is 23h old and every = "24h"`},
	{"due, and the head's checkpoint has a sound bitmap on every disk", func(*situation) {},
		[]string{"inc"}, `the newest point is 25h old and every = "24h"`},
	{"domain paused", func(s *situation) { s.domain.State = virt.Paused },
		[]string{"inc"}, "the newest point is 25h old"},
	{"chain older than `full_every`", func(s *situation) { s.chains(chain(1, daily(7, 25*time.Hour)...)) },
		[]string{"full"}, `the chain is 7d old and full_every = "7d"`},
	{"the same, with the tolerance of `every`", func(s *situation) { s.chains(chain(1, noon.Add(-7*day+time.Hour))) },
		[]string{"full"}, `the chain is 7d old and full_every = "7d"`},
	{"chain old, `full_every = \"never\"`", func(s *situation) {
		s.want.Policy.Chain.FullEvery = 0
		s.chains(chain(1, daily(20, 25*time.Hour)...))
	}, []string{"inc"}, "the newest point is 25h old"},
	{"chain as long as `max_increments`", func(s *situation) { s.want.Policy.Chain.MaxIncrements = 1 },
		[]string{"full"}, "the chain has 1 increments and max_increments = 1"},
	{"`-full`", func(s *situation) { s.full() },
		[]string{"full"}, "-full asked for a new chain"},
	{"`-full`, though not due", func(s *situation) {
		s.chains(chain(1, daily(1, time.Hour)...))
		s.full()
	}, []string{"full"}, "-full asked for a new chain"},
	{"`-full` of a saved plan that has been done", func(s *situation) {
		s.full()
		s.chains(s.folder.Chains[0], chain(2, noon.Add(-time.Minute)))
	}, nil, "not due"},
	{"bitmap of the only disk broken", func(s *situation) { s.domain.Checkpoints[0].Disks[0].Health = virt.Broken },
		[]string{"resync"}, `bitmap "..." is missing or inconsistent on vda`},
	{"checkpoint unknown to libvirt", func(s *situation) { s.domain.Checkpoints = nil },
		[]string{"resync"}, `checkpoint "..." is unknown to libvirt`},
	{"checkpoint unknown to libvirt, and the chain has its XML: it is redefined first", func(s *situation) { unknown(s) },
		[]string{"inc"}, `checkpoint "..." is unknown to libvirt`},
	{"the same with a disk resized", func(s *situation) {
		two(s)
		unknown(s)
		s.domain.Disks[1].Size = 2 * gib
	}, []string{"resync"}, `checkpoint "..." is unknown to libvirt; vdb was 1.00 GiB, is 2.00 GiB`},
	{"point without a checkpoint", func(s *situation) {
		s.open().Manifest.Points[1].Checkpoint = ""
		s.domain.Checkpoints = nil
	}, []string{"resync"}, "the newest point has no checkpoint"},
	{"a disk added", func(s *situation) { s.domain.Disks = append(s.domain.Disks, disk("vdb")) },
		[]string{"inc"}, "disk vdb is new"},
	{"a disk resized", func(s *situation) {
		two(s)
		s.domain.Disks[1].Size = 2 * gib
	}, []string{"resync"}, "vdb was 1.00 GiB, is 2.00 GiB"},
	{"a disk's image replaced", func(s *situation) {
		two(s)
		s.domain.Disks[1].Source = "/images/other.qcow2"
	}, []string{"resync"}, "the image of vdb was /images/vdb.qcow2, is /images/other.qcow2"},
	{"one of two bitmaps broken", func(s *situation) {
		two(s)
		s.domain.Checkpoints[0].Disks[1].Health = virt.Broken
	}, []string{"resync"}, `bitmap "..." is missing or inconsistent on vdb`},
	{"a disk that the checkpoint does not track", func(s *situation) {
		two(s)
		s.domain.Checkpoints[0].Disks = s.domain.Checkpoints[0].Disks[:1]
	}, []string{"resync"}, `checkpoint "..." does not track vdb`},
	{"every disk resized", func(s *situation) { s.domain.Disks[0].Size = 2 * gib },
		[]string{"resync"}, "vda was 1.00 GiB, is 2.00 GiB"},
	{"a disk removed", func(s *situation) {
		two(s)
		s.domain.Disks = s.domain.Disks[:1]
	}, []string{"inc"}, "disk vdb is gone"},
	{"one of two bitmaps broken, `on_broken = \"full\"`", func(s *situation) {
		two(s)
		s.domain.Checkpoints[0].Disks[1].Health, s.want.Policy.Chain.OnBroken = virt.Broken, "full"
	}, []string{"full"}, `bitmap "..." is missing or inconsistent on vdb`},
	{"both bitmaps broken, `on_broken = \"full\"`", func(s *situation) {
		two(s)
		s.want.Policy.Chain.OnBroken = "full"
		for n := range s.domain.Checkpoints[0].Disks {
			s.domain.Checkpoints[0].Disks[n].Health = virt.Broken
		}
	}, []string{"full"}, `bitmap "..." is missing or inconsistent on vda; bitmap "..." is missing or inconsistent on vdb`},
	{"bitmap broken, `on_broken = \"fail\"`", func(s *situation) {
		s.domain.Checkpoints[0].Disks[0].Health, s.want.Policy.Chain.OnBroken = virt.Broken, "fail"
	}, nil, `bitmap "..." is missing or inconsistent on vda`},
	{"bitmap broken, `on_broken = \"fail\"`, `-full`", func(s *situation) {
		s.domain.Checkpoints[0].Disks[0].Health, s.want.Policy.Chain.OnBroken = virt.Broken, "fail"
		s.full()
	}, []string{"full"}, "-full asked for a new chain"},
	{"a disk added, `on_broken = \"fail\"`", func(s *situation) {
		s.domain.Disks, s.want.Policy.Chain.OnBroken = append(s.domain.Disks, disk("vdb")), "fail"
	}, []string{"inc"}, "disk vdb is new"},
	{"one of two bitmaps broken, the chain's hash key is not at hand", func(s *situation) {
		two(s)
		s.domain.Checkpoints[0].Disks[1].Health, s.open().Manifest.HashKey = virt.Broken, ""
	}, []string{"inc"}, `bitmap "..." is missing or inconsistent on vdb`},
	{"both bitmaps broken, the chain's hash key is not at hand", func(s *situation) {
		s.domain.Checkpoints[0].Disks[0].Health, s.open().Manifest.HashKey = virt.Broken, ""
	}, []string{"full"}, `bitmap "..." is missing or inconsistent on vda`},
	{"all disks replaced by others", func(s *situation) { s.domain.Disks = []virt.Disk{disk("vdb")} },
		[]string{"full"}, "disk vdb is new"},
	{"adopted point, its checkpoint is the same one", adopted(0), []string{"inc"}, "the newest point is 25h old"},
	{"adopted point, its checkpoint was made anew", adopted(time.Second),
		[]string{"full"}, `checkpoint "virtnbdbackup.1" was made at 2026-11-21 11:00:01, that of the newest point at 2026-11-21 11:00:00`},
	{"adopted point in a v3 chain (`vbk convert`), its checkpoint was made anew", func(s *situation) {
		adopted(time.Second)(s)
		s.open().Manifest.Stream, s.want.Policy.Stream = store.V3, "v3"
	}, []string{"resync"}, `checkpoint "virtnbdbackup.1" was made at`},
	{"newest point that is not to be trusted", func(s *situation) {
		s.open().Manifest.Points[1].Distrusted = "it may lack zeroes"
	}, []string{"resync"}, "it may lack zeroes"},
	{"newest point that is not to be trusted, `on_broken = \"fail\"`", func(s *situation) {
		s.open().Manifest.Points[1].Distrusted, s.want.Policy.Chain.OnBroken = "it may lack zeroes", "fail"
	}, []string{"full"}, "it may lack zeroes"},
	{"newest point that is not to be trusted, `stream = \"virtnbdbackup\"`", func(s *situation) {
		adopted(0)(s)
		s.open().Manifest.Points[1].Distrusted = "it may lack zeroes"
	}, []string{"full"}, "it may lack zeroes"},
	{"`stream = \"virtnbdbackup\"`, bitmap broken", func(s *situation) {
		adopted(0)(s)
		s.domain.Checkpoints[0].Disks[0].Health = virt.Broken
	}, []string{"full"}, `bitmap "..." is missing or inconsistent on vda`},
	{"`stream = \"virtnbdbackup\"`, a disk added", func(s *situation) {
		adopted(0)(s)
		s.domain.Disks = append(s.domain.Disks, disk("vdb"))
	}, []string{"inc"}, "disk vdb is new"},
	{"`stream = \"virtnbdbackup\"`, a disk added that the chain had before", func(s *situation) {
		adopted(0)(s)
		s.open().Manifest.Points[0].Disks = append(s.open().Manifest.Points[0].Disks, store.PointDisk{Target: "vdb"})
		s.domain.Disks = append(s.domain.Disks, disk("vdb"))
	}, []string{"full"}, "disk vdb is new"},
	{"open chain of virtnbdbackup, `stream = \"v3\"`", func(s *situation) {
		adopted(0)(s)
		s.want.Policy.Stream = "v3"
	}, []string{"full"}, `the open chain has stream "virtnbdbackup" and stream = "v3" (vbk convert would keep the chain)`},
	{"`stream` changed", func(s *situation) { s.want.Policy.Stream = "virtnbdbackup" },
		[]string{"full"}, `the open chain has stream "v3" and stream = "virtnbdbackup"`},
	{"`mode = \"full\"`", func(s *situation) { s.want.Policy.Mode = "full" },
		[]string{"full"}, `the newest point is 25h old and every = "24h" and mode = "full"`},
	{"`mode = \"full\"` for some time: our checkpoint is superseded", func(s *situation) {
		s.want.Policy.Mode = "full"
		superseded := s.domain.Checkpoints
		s.chains(s.folder.Chains[0], chain(2, noon.Add(-25*time.Hour)))
		s.open().Manifest.Points[0].Checkpoint, s.domain.Checkpoints = "", superseded
	}, []string{"cleanup", "full"}, `and mode = "full"`},
	{"`mode = \"full\"` became `incremental`", func(s *situation) {
		s.chains(chain(1, noon.Add(-25*time.Hour)))
		s.open().Manifest.Points[0].Checkpoint, s.domain.Checkpoints = "", nil
	}, []string{"resync"}, "the newest point has no checkpoint"},
	{"chain as long as `max_increments`, `prune = \"merge\"`", func(s *situation) {
		s.want.Policy.Chain.MaxIncrements, s.want.Policy.Retention.Prune, s.want.Policy.Retention.KeepLast = 1, "merge", number(9)
	}, []string{"inc"}, "the newest point is 25h old"},
	{"chain older than `full_every`, its full merged into a young point", func(s *situation) {
		s.chains(chain(1, daily(7, 25*time.Hour)...))
		c := s.open()
		c.Manifest.Points = c.Manifest.Points[5:]
		c.Manifest.Points[0].Merged, c.Manifest.Points[0].Kind, c.Manifest.Points[0].Parent = 5, store.Full, -1
	}, []string{"full"}, `the chain is 7d old and full_every = "7d"`},
	{"less than `min_change` is dirty", func(s *situation) { s.waiting() },
		nil, `only 1.00 MiB changed and min_change = "16.0 MiB"`},
	{"less than `min_change` is dirty, and the next interval would exceed the `rpo`", func(s *situation) {
		s.waiting()
		s.want.Policy.RPO = config.Duration(49*time.Hour - time.Second)
	}, []string{"inc"}, "the newest point is 25h old"},
	{"less than `min_change` is dirty, and a disk is to be read whole", func(s *situation) {
		s.waiting()
		s.domain.Disks = append(s.domain.Disks, disk("vdb"))
		s.domain.Disks[1].Size = 4096
	}, []string{"inc"}, "disk vdb is new"},
	{"less than `min_change` is dirty, `-full`", func(s *situation) {
		s.waiting()
		s.full()
	}, []string{"full"}, "-full asked for a new chain"},
	{"`schedule`: no tick has passed", func(s *situation) { s.want.Policy.Schedule = "30 10 * * 6" },
		nil, "not due"},
	{"`schedule`: a tick has passed", func(s *situation) { s.want.Policy.Schedule = "30 11 * * *" },
		[]string{"inc"}, `the newest point is 25h old and schedule = "30 11 * * *" was due at 2026-11-22 11:30 UTC`},
	{"`schedule`: the newest point is older than the tick by less than a tenth of the gap, at most an hour", func(s *situation) {
		s.want.Policy.Schedule = "59 11 * * 6"
	}, nil, "not due"},
	{"`schedule` that cannot be read", func(s *situation) { s.want.Policy.Schedule = "@daily" },
		nil, `schedule = "@daily" cannot be read`},
	{"raw disk", rawDisk("resync"), []string{"resync"}, "vdb has no bitmap (raw)"},
	{"raw disk, `raw = \"full\"`", rawDisk("full"), []string{"inc"}, "vdb has no bitmap (raw)"},
	{"raw disk, `raw = \"skip\"`", rawDisk("skip"), []string{"inc"}, "the newest point is 25h old"},
	{"raw disk, `raw = \"fail\"`", rawDisk("fail"), nil, "disk vdb (/images/vdb.qcow2) has format raw: dirty bitmaps need qcow2 version 3"},
	{"qcow2 disk of version 2, which has no bitmaps", oldDisk("resync"), []string{"resync"}, "vdb has no bitmap (qcow2 version 2)"},
	{"qcow2 disk of version 2, `raw = \"full\"`", oldDisk("full"), []string{"inc"}, "vdb has no bitmap (qcow2 version 2)"},
	{"qcow2 disk of version 2, `raw = \"skip\"`", oldDisk("skip"), []string{"inc"}, "the newest point is 25h old"},
	{"qcow2 disk of version 2, `raw = \"fail\"`", oldDisk("fail"), nil, "disk vdb (/images/vdb.qcow2) has format qcow2 version 2: dirty bitmaps need version 3"},
	{"raw disk, `on_broken = \"fail\"`", func(s *situation) {
		rawDisk("resync")(s)
		s.want.Policy.Chain.OnBroken = "fail"
	}, []string{"resync"}, "vdb has no bitmap (raw)"},
	{"only raw disks, no checkpoint", func(s *situation) {
		s.domain.Disks[0].Format = "raw"
		s.open().Manifest.Points[1].Checkpoint, s.domain.Checkpoints = "", nil
	}, []string{"resync"}, "vda has no bitmap (raw)"},
	{"only raw disks, `raw = \"full\"`", func(s *situation) {
		s.domain.Disks[0].Format, s.want.Policy.Disks.Raw = "raw", "full"
	}, []string{"full"}, "vda has no bitmap (raw)"},
	{"raw disk, `stream = \"virtnbdbackup\"`", func(s *situation) {
		adopted(0)(s)
		s.domain.Disks[0].Format = "raw"
	}, []string{"full"}, "vda has no bitmap (raw)"},
	{"disk of another format", func(s *situation) { s.domain.Disks[0].Format = "vmdk" },
		nil, "disk vda (/images/vda.qcow2) has format vmdk: dirty bitmaps need qcow2 version 3"},
	{"raw disk that `disks { exclude }` leaves out", func(s *situation) {
		raw := disk("vdb")
		raw.Format = "raw"
		s.domain.Disks = append(s.domain.Disks, raw)
		s.want.Policy.Disks.Exclude = []string{"vdb"}
	}, []string{"inc"}, "the newest point is 25h old"},
	{"passed-through LUN", func(s *situation) { s.domain.Disks[0].Device = "lun" },
		nil, "disk vda ... dirty bitmaps need qcow2 version 3"},
	{"CD-ROM and empty drive", func(s *situation) {
		s.domain.Disks = append(s.domain.Disks, virt.Disk{Target: "sda", Device: "cdrom", Format: "raw", Source: "/iso"},
			virt.Disk{Target: "fda", Device: "floppy"})
	}, []string{"inc"}, "the newest point is 25h old"},
	{"no disk that `disks` selects", func(s *situation) { s.want.Policy.Disks.Include = []string{"sd*"} },
		nil, "the domain has no disk to back up"},
	{"disk of unknown size", func(s *situation) { s.domain.Disks[0].Size = 0 },
		nil, "disk vda (/images/vda.qcow2): libvirt does not tell its size"},
	{"another image at the path of a disk (its inode, its time of birth, its qcow2 header or what lies below it)", func(s *situation) {
		s.open().Manifest.Points[1].Disks[0].Identity, s.domain.Disks[0].Identity = "inode 1", "inode 2"
	}, []string{"resync"}, "/images/vda.qcow2 (vda) is another image than before: inode 2, was inode 1"},
	{"another image at the path of a disk, `on_broken = \"full\"`", func(s *situation) {
		s.open().Manifest.Points[1].Disks[0].Identity, s.domain.Disks[0].Identity = "inode 1", "inode 2"
		s.want.Policy.Chain.OnBroken = "full"
	}, []string{"full"}, "is another image than before"},
	{"disk with an external data file, which the same QEMU has had since the newest point", func(s *situation) { s.dataFile("qemu 1", "qemu 1") },
		[]string{"inc"}, "the newest point is 25h old"},
	{"disk with an external data file, and another QEMU, or none, has had it since", func(s *situation) { s.dataFile("qemu 1", "qemu 2") },
		[]string{"resync"}, "the data file of vda may have been written while no QEMU had it"},
	{"disk with an external data file, of which nothing can be told", func(s *situation) { s.dataFile("", "") },
		[]string{"resync"}, "the data file of vda may have been written while no QEMU had it"},
	{"disk with an external data file, `on_broken = \"fail\"`", func(s *situation) {
		s.dataFile("qemu 1", "qemu 2")
		s.want.Policy.Chain.OnBroken = "fail"
	}, []string{"resync"}, "the data file of vda may have been written while no QEMU had it"},
	{"encrypted disk", func(s *situation) { s.domain.Disks[0].Encrypted = true },
		nil, "disk vda (/images/vda.qcow2) is encrypted (LUKS), and the store would hold it in the clear"},
	{"encrypted disk, `disks { encrypted = \"plaintext\" }`", func(s *situation) {
		s.domain.Disks[0].Encrypted, s.want.Policy.Disks.Encrypted = true, "plaintext"
	}, []string{"inc"}, "the newest point is 25h old"},
	{"the same, shut off", func(s *situation) {
		s.domain.Disks[0].Encrypted, s.want.Policy.Disks.Encrypted = true, "plaintext"
		s.domain.State = virt.ShutOff
	}, nil, "domain is shut off, and disk vda (/images/vda.qcow2) is encrypted: only libvirt has its key"},
	{"domain shut off, the bitmaps in its images sound", func(s *situation) { s.domain.State = virt.ShutOff },
		[]string{"inc"}, "the newest point is 25h old...; domain is shut off: its image files are read"},
	{"domain shut off, nothing changed", func(s *situation) { still(s) },
		nil, "shut off, and nothing changed since the newest point"},
	{"the same, chain older than `full_every`", func(s *situation) {
		s.chains(chain(1, daily(9, 25*time.Hour)...))
		still(s)
	}, nil, "shut off, and nothing changed since the newest point"},
	{"the same, `-full`", func(s *situation) { still(s); s.full() },
		[]string{"full"}, "-full asked for a new chain"},
	{"the same, head damaged", func(s *situation) {
		still(s)
		s.open().Problems = []store.Problem{problem(1, 0)}
	}, []string{"full"}, "the open chain is damaged"},
	{"the same, a disk's image replaced", func(s *situation) {
		still(s)
		s.domain.Disks[0].Source = "/images/other.qcow2"
	}, []string{"resync"}, "the image of vda was /images/vda.qcow2, is /images/other.qcow2"},
	{"domain shut off, a bitmap in its images broken", func(s *situation) {
		still(s)
		s.domain.Checkpoints[0].Disks[0].Health = virt.Broken
	}, []string{"resync"}, `bitmap "..." is missing or inconsistent on vda`},
	{"domain shut off, a disk on the network", func(s *situation) { still(s); s.domain.Disks[0].Type = "network" },
		nil, "domain is shut off, and disk vda (/images/vda.qcow2) is of type network"},
	{"domain crashed", func(s *situation) { s.domain.State = virt.Crashed },
		nil, "domain is crashed"},
	{"domain shut off, `offline = \"start_paused\"`", func(s *situation) {
		s.domain.State, s.want.Policy.Offline = virt.ShutOff, "start_paused"
		s.domain.Checkpoints[0].Disks[0].Dirty = 5
	}, []string{"inc"}, `the newest point is 25h old and every = "24h"; domain is shut off: it is started paused while it is read`},
	{"domain shut off, `offline = \"start_paused\"`, nothing changed", func(s *situation) {
		still(s)
		s.want.Policy.Offline = "start_paused"
	}, nil, "shut off, and nothing changed since the newest point"},
	{"domain shut off, `offline = \"start_paused\"`, a disk on the network", func(s *situation) {
		s.domain.State, s.want.Policy.Offline = virt.ShutOff, "start_paused"
		s.domain.Disks[0].Type, s.domain.Disks[0].Size = "network", 0
		s.domain.Checkpoints[0].Disks[0].Health = virt.Unseen
	}, []string{"inc"}, "domain is shut off: it is started paused while it is read"},
	{"domain that an interrupted run has started paused", func(s *situation) {
		s.domain.State, s.want.Policy.Offline = virt.Paused, "start_paused"
		s.folder.Attempt = &store.Attempt{Started: new(int)}
	}, []string{"cleanup", "inc"}, "the newest point is 25h old"},
	{"domain shut off, `offline = \"skip\"`", func(s *situation) {
		s.domain.State, s.want.Policy.Offline = virt.ShutOff, "skip"
	}, nil, `domain is shut off and offline = "skip"`},
	{"domain shut off, not due", func(s *situation) {
		s.domain.State = virt.ShutOff
		s.chains(chain(1, daily(1, time.Hour)...))
	}, nil, "not due"},
	{"another job is active", func(s *situation) { s.domain.Job = &virt.Job{Operation: "block copy"} },
		nil, "another job is active on the domain: block copy"},
	{"backup job of another store's vbk", func(s *situation) {
		s.domain.Job = &virt.Job{Operation: "backup", Socket: "/var/tmp/vbk-ffffffff-12345678/nbd"}
	}, nil, "another job is active on the domain: backup (socket /var/tmp/vbk-ffffffff-12345678/nbd)"},
	{"libvirt's calls about the domain do not end", func(s *situation) {
		s.domain.Job = &virt.Job{Operation: virt.NoAnswer}
		s.folder.Leftovers = []string{"c/vda.inc.2.00000009.v3"}
	}, nil, "libvirt tells nothing of the domain: it is held by a call that does not end"},
	{"libvirt cannot describe the domain", func(s *situation) {
		s.domain = virt.Domain{Name: s.domain.Name, UUID: s.domain.UUID, State: virt.Unknown, Error: "no such thing"}
		s.want.Policy.Offline = "skip"
	}, nil, "libvirt cannot describe the domain: no such thing"},
	{"job of an interrupted run", func(s *situation) {
		s.domain.Job = &virt.Job{Operation: "backup", Socket: "/var/tmp/vbk-" + storeID + "-12345678/nbd"}
	}, []string{"cleanup", "inc"}, "the newest point is 25h old"},
	{"attempt record without a living owner", func(s *situation) { s.folder.Attempt = &store.Attempt{PID: 7} },
		[]string{"cleanup", "inc"}, "the newest point is 25h old"},
	{"files that no manifest names", func(s *situation) { s.folder.Leftovers = []string{"c/vda.inc.2.00000009.v3"} },
		[]string{"cleanup", "inc"}, "the newest point is 25h old"},
	{"superseded checkpoint of ours", func(s *situation) {
		s.domain.Checkpoints = append(s.domain.Checkpoints, virt.Checkpoint{Name: store.CheckpointName(storeID, s.open().Name, "0000000f", 0)})
	}, []string{"cleanup", "inc"}, "the newest point is 25h old"},
	{"checkpoints that are not ours", func(s *situation) {
		s.domain.Checkpoints = append(s.domain.Checkpoints, virt.Checkpoint{Name: "before-upgrade"},
			virt.Checkpoint{Name: store.CheckpointName("ffffffff", s.open().Name, "0000000f", 0)},
			virt.Checkpoint{Name: "vbk-" + storeID + "-mine"})
	}, []string{"inc"}, "the newest point is 25h old"},
	{"leftovers of a shut off domain", func(s *situation) {
		s.domain.State, s.want.Policy.Offline = virt.ShutOff, "skip"
		s.folder.Leftovers = []string{"c/vda.inc.2.00000009.v3"}
	}, []string{"cleanup"}, `domain is shut off and offline = "skip"`},
	{"superseded checkpoint of a shut off domain: once it runs", func(s *situation) {
		s.domain.State, s.want.Policy.Offline = virt.ShutOff, "skip"
		s.domain.Checkpoints = append(s.domain.Checkpoints, virt.Checkpoint{Name: store.CheckpointName(storeID, s.open().Name, "0000000f", 0)})
	}, nil, `domain is shut off and offline = "skip"`},
	{"another vbk is at work", func(s *situation) {
		s.folder.Locked, s.folder.Attempt = true, &store.Attempt{PID: 7, Host: "backup", Since: noon}
		s.folder.Leftovers = []string{"c/vda.inc.2.00000009.v3"}
	}, nil, "another vbk is at work in web01-11111111: pid 7 on backup since 2026-11-22T12:00:00Z"},
	{"folder that cannot be read", func(s *situation) {
		*s.folder = store.Domain{Folder: s.folder.Folder, Error: "survey web01-11111111: permission denied"}
	}, nil, "folder web01-11111111 cannot be read: survey web01-11111111: permission denied"},
	{"folder of another domain", func(s *situation) { s.open().Manifest.UUID = uuid2 },
		nil, "folder web01-11111111 holds chain ... of another domain, " + uuid2},
	{"head damaged", func(s *situation) { s.open().Problems = []store.Problem{problem(0, 1), problem(1, 0)} },
		[]string{"full"}, "the open chain is damaged: vda.1.v3: file is missing"},
	{"only the head damaged", func(s *situation) { s.open().Problems = []store.Problem{problem(1, 2)} },
		[]string{"full"}, "the open chain is damaged: vda.1.v3: file is missing"},
	{"what would build on the head is damaged", func(s *situation) { s.open().Problems = []store.Problem{problem(2, 0)} },
		[]string{"full"}, "the open chain is damaged: vda.2.v3: file is missing"},
	{"newest point young and damaged", func(s *situation) {
		s.chains(chain(1, noon.Add(-26*time.Hour), noon.Add(-2*time.Hour)))
		s.open().Problems = []store.Problem{problem(1, 0)}
	}, []string{"full"}, "the open chain is damaged: ...: file is missing"},
	{"older point damaged, head sound", func(s *situation) { s.open().Problems = []store.Problem{problem(0, 1)} },
		[]string{"inc"}, "the newest point is 25h old"},
	{"every point damaged", func(s *situation) { s.open().Problems = []store.Problem{problem(0, 0)} },
		[]string{"full"}, "the open chain is damaged: ...: file is missing"},
	{"chain closed for good", func(s *situation) { s.open().Manifest.Closed = "a manifest is missing" },
		[]string{"full"}, "the chain was closed: a manifest is missing"},
	{"chain without a readable manifest", func(s *situation) {
		s.open().Manifest = store.Manifest{}
		s.open().Problems = []store.Problem{{File: "chain.000002.json", Detail: "sum is wrong"}}
		s.domain.Checkpoints = nil
	}, []string{"full"}, "chain ... lists no point: chain.000002.json: sum is wrong"},
	{"newer chain without a readable manifest", func(s *situation) {
		lost := store.Chain{Name: chainName(noon, 9), Problems: []store.Problem{{File: "chain.000002.json", Detail: "sum is wrong"}}}
		s.folder.Chains = append([]store.Chain{lost}, s.folder.Chains...) // its number is lost
	}, []string{"full"}, "chain ... may be the newest: chain.000002.json: sum is wrong"},
	{"newest point from the future", func(s *situation) { s.open().Manifest.Points[1].Start = noon.Add(day) },
		[]string{"inc"}, "the newest point is 49h old"},
	{"all points from the future", func(s *situation) { s.chains(chain(1, noon.Add(day))) },
		[]string{"inc"}, "every restore point is damaged or from the future"},
	{"closed chain that no rule keeps", func(s *situation) {
		s.want.Policy.Retention.KeepLast = number(1)
		s.chains(chain(1, daily(3, 9*day)...), renumbered(*s.open(), 2))
	}, []string{"prune", "inc"}, "the newest point is 25h old"},
	{"point in the middle that no rule keeps, `prune = \"merge\"`", func(s *situation) {
		s.merging(2)
		s.chains(chain(1, daily(4, time.Hour)...))
	}, []string{"merge"}, "not due"},
	{"points that no rule keeps once there is a new one, `prune = \"merge\"`", func(s *situation) {
		s.merging(2)
	}, []string{"inc", "merge-after"}, "the newest point is 25h old"},
	{"chain that the new point makes needless", func(s *situation) {
		s.want.Policy.Retention.KeepLast = number(1)
		s.full()
	}, []string{"full", "prune-after"}, "-full asked for a new chain"},
}

// merging keeps the last n points and merges the others away.
func (s *situation) merging(n int) {
	s.want.Policy.Retention.KeepLast, s.want.Policy.Retention.Prune = number(n), "merge"
}

// waiting is a policy that has an increment of 1 MiB wait.
func (s *situation) waiting() {
	s.want.Policy.MinChange, s.want.Policy.RPO = 16<<20, config.Duration(72*time.Hour)
}

// adopted makes the chain one of virtnbdbackup, whose checkpoint libvirt has
// with another time.
func adopted(late time.Duration) func(*situation) {
	return func(s *situation) {
		s.want.Policy.Stream, s.open().Manifest.Stream = "virtnbdbackup", store.VirtNBDBackup
		head := &s.open().Manifest.Points[1]
		head.Checkpoint, head.Created = "virtnbdbackup.1", head.Start
		s.domain.Checkpoints = []virt.Checkpoint{checkpointOf(*s.open())}
		s.domain.Checkpoints[0].Created = head.Created.Add(late)
	}
}

// oldDisk gives it one in qcow2 of version 2 instead.
func oldDisk(policy string) func(*situation) {
	return func(s *situation) {
		rawDisk(policy)(s)
		s.domain.Disks[1].Format, s.domain.Disks[1].Image.Compat = "qcow2", "0.10"
	}
}

// rawDisk gives the situation a second, raw disk that is in the head.
func rawDisk(policy string) func(*situation) {
	return func(s *situation) {
		two(s)
		s.domain.Disks[1].Format, s.want.Policy.Disks.Raw = "raw", policy
		s.domain.Checkpoints[0].Disks = s.domain.Checkpoints[0].Disks[:1]
	}
}

// unknown makes libvirt forget the head's checkpoint, whose XML the chain has.
func unknown(s *situation) {
	s.domain.Checkpoints = nil
	head := &s.open().Manifest.Points[1]
	head.Files = []store.File{{Name: store.ExtraFileName(1, head.Attempt, "checkpoint.xml")}}
}

// still makes a domain that is shut off and has not changed.
func still(s *situation) {
	s.domain.State, s.domain.Checkpoints[0].Disks[0].Dirty = virt.ShutOff, 0
}

// two gives the situation a second disk that is in head and checkpoint.
func two(s *situation) {
	s.domain.Disks = append(s.domain.Disks, disk("vdb"))
	for n := range s.open().Manifest.Points {
		p := &s.open().Manifest.Points[n]
		*p = pointAt(s.open().Name, p.Sequence, p.Start, s.domain.Disks)
	}
	s.domain.Checkpoints = []virt.Checkpoint{checkpointOf(*s.open())}
}

func renumbered(c store.Chain, number int) store.Chain {
	c.Manifest.ChainNumber = number
	return c
}

// says compares with a text in which "..." stands for anything.
func says(said, want string) bool {
	for _, part := range strings.Split(want, "...") {
		n := strings.Index(said, part)
		if n < 0 {
			return false
		}
		said = said[n+len(part):]
	}
	return true
}

func TestBehaviours(t *testing.T) {
	for _, row := range behaviours {
		t.Run(row.found, func(t *testing.T) {
			s := ordinary()
			row.change(s)
			i := s.decide()
			mustEqual(t, "actions", summary(i), row.actions)
			said := reasonOf(i, KindBackup) + i.Error + i.Idle
			if !says(said, row.reason) {
				t.Errorf("said %q, want %q", said, row.reason)
			}
			if (i.Error != "") != (i.Hint != "") {
				t.Errorf("error %q with hint %q", i.Error, i.Hint)
			}
		})
	}
}

// inWords is what docs/behaviours.md says about the actions of a row.
func inWords(actions []string, i Instance) string {
	words := map[string]string{"full": "full, new chain", "inc": "increment", "resync": "increment", "cleanup": "clean up", "prune": "release the chain",
		"prune-after": "then release the chain", "merge": "merge the point", "merge-after": "then merge the point"}
	var said []string
	for _, a := range actions {
		word := words[a]
		if b := i.Backup(); word == "increment" {
			_, whole, _ := strings.Cut(b.String(), " with ")
			word = strings.TrimSuffix(word+", "+whole, ", ")
		}
		said = append(said, word)
	}
	switch {
	case len(said) > 0:
		return strings.Join(said, "; ")
	case i.Error != "":
		return "**fails**"
	}
	return "nothing"
}

// TestTableIsDocumented: docs/behaviours.md has these rows, in this order.
func TestTableIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/behaviours.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## One instance\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| found") && !strings.HasPrefix(line, "| ---") {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	var rows []string
	for _, row := range behaviours {
		s := ordinary()
		row.change(s)
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |", row.found, inWords(row.actions, s.decide()), row.reason))
	}
	for n := range max(len(rows), len(documented)) {
		if n >= len(rows) || n >= len(documented) || rows[n] != documented[n] {
			t.Fatalf("row %d differs; the test has\n%s", n+1, strings.Join(rows[min(n, len(rows)):], "\n"))
		}
	}
}

func TestDueIsTold(t *testing.T) {
	s := ordinary()
	s.chains(chain(1, noon.Add(-time.Hour)))
	if i := s.decide(); !i.Due.Equal(noon.Add(22 * time.Hour)) {
		t.Errorf("due at %s", i.Due)
	}
	s.want.Policy.Every = config.Duration(time.Hour)
	if i := s.decide(); i.Backup() == nil {
		t.Error("hourly, an hour old, and not due")
	}
}

func TestIncrementNamesItsBase(t *testing.T) {
	s := ordinary()
	two(s)
	s.domain.Checkpoints[0].Disks[1].Health = virt.Broken
	s.domain.Disks[1].Allocated = 5 << 20
	s.domain.Disks = append(s.domain.Disks, virt.Disk{Target: "sda", Device: "cdrom"})
	b := s.decide().Backup()
	head, _ := s.open().Head()
	if b.Chain != s.open().Name || b.Head != 1 || b.Checkpoint != head.Checkpoint || b.Closes != "" {
		t.Errorf("increment on %+v", b)
	}
	if b.Disks[0].Whole() || !b.Disks[1].Resync || b.Disks[1].Reason == "" || b.Kind != store.Resync {
		t.Errorf("disks %+v", b.Disks)
	}
	if b.Estimate != 6<<20 {
		t.Errorf("estimate %d", b.Estimate)
	}
	mustEqual(t, "others", b.Others, []string{"sda"})
}

func TestCleanupNamesOnlyOurs(t *testing.T) {
	s := ordinary()
	old := store.CheckpointName(storeID, s.open().Name, "0000000f", 0)
	s.domain.Checkpoints = append(s.domain.Checkpoints, virt.Checkpoint{Name: old}, virt.Checkpoint{Name: "manual"})
	s.domain.Job = &virt.Job{Operation: "backup", Socket: "/scratch/vbk-" + storeID + "-1/nbd"}
	s.folder.Attempt = &store.Attempt{RunFolder: "/scratch/vbk-" + storeID + "-1"}
	s.folder.Leftovers = []string{"c/f"}
	c := s.decide().Actions[0].Cleanup
	mustEqual(t, "checkpoints", c.Checkpoints, []string{old})
	if c.Job != s.domain.Job.Socket || c.RunFolder != s.folder.Attempt.RunFolder || !c.Record || len(c.Files) != 1 {
		t.Errorf("cleanup %+v", c)
	}
}
