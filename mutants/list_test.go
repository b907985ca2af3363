//go:build mutants

package mutants

// all is the list. Each says what would be lost, or what harm be done.
var all = []mutant{
	{"the manifest comes before the data", []edit{
		{"executor/backup.go", `	for _, f := range a.files {
		if err := f.Close(); err != nil {
			return err
		}
	}
	a.files = nil
	retention`, `	defer a.close()
	retention`},
		{"store/local/commit.go", "	if state != nil {\n", "	if state != nil && state != errOpen {\n"},
	}, "executor", "TestCrash/increment,_power_lost"},

	{"folders are not synced", []edit{
		{"store/local/fs.go", "	return errors.Join(h.Sync(), h.Close())\n", "	return h.Close()\n"},
	}, "store/local", "TestDieAtEveryEffect"},

	{"a failed sync is not told", []edit{
		{"store/local/commit.go", `		if err := w.h.Sync(); err != nil {
			w.err = err
`, `		if err := w.h.Sync(); err != nil {
			_ = err
`},
	}, "store/local", "TestSyncFailureCondemnsFile"},

	{"who takes over a lock relies on what is only visible", []edit{
		{"store/local/folder.go", "	return f.supersede(ctx, v, m)\n", "	return syncFolder(f.s.fsys, v.dir)\n"},
	}, "store/local", "TestTakeover"},

	{"files are deleted under a lock that was lost", []edit{
		{"store/local/folder.go", "	if !f.lock.Is(path.Join(f.name, lockName)) {\n", "	if false {\n"},
	}, "store/local", "TestLostLock"},

	{"a chain is deleted under its reader", []edit{
		{"store/local/release.go", "errors.Is(err, ErrBusy)", "false"},
		{"store/local/release.go", "	} else if err != nil {\n", "	} else if err != nil && !errors.Is(err, ErrBusy) {\n"},
	}, "store/local", "TestRelease"},

	{"chains are in the order of the clock", []edit{
		{"store/local/survey.go", "a.Manifest.ChainNumber - b.Manifest.ChainNumber", "a.Manifest.Written.Compare(b.Manifest.Written)"},
	}, "executor", "TestClock"},

	{"what is dirty and zero is left out", []edit{
		{"executor/source.go", "return e.Dirty }", "return e.Dirty && !e.Zero }"},
	}, "executor", "TestHistory"},

	{"a grain with a zero in it is zero", []edit{
		{"executor/source.go", "	g.data = g.data || !e.Zero\n", "	g.data = !e.Zero\n"},
	}, "executor", "TestGrains"},

	{"what a disk has grown by is left out", []edit{
		{"executor/resync.go", "	for _, e := range all {\n		if e.Zero {\n", "	for _, e := range all {\n		if e.Offset >= s.known.Size() {\n			continue\n		}\n		if e.Zero {\n"},
	}, "executor", "TestReasons/grown"},

	{"hashes of an entry count that a newer one covers", []edit{
		{"format/image.go", "	x := m.flat[m.find(offset)]\n	if x.Lost", `	x := m.flat[m.find(offset)]
	for i, e := range m.facts[0].entries {
		if !e.Zero && e.Offset <= offset && offset < e.End() {
			x = Extent{Offset: e.Offset, Length: e.Length, Layer: 0, Entry: int32(i)}
		}
	}
	if x.Lost`},
	}, "format", "TestSame"},

	{"grains are not compared", []edit{
		{"format/image.go", "	return err == nil && h == GrainHash(f.key, p), err\n", "	_ = h\n	return err == nil, err\n"},
	}, "executor", "TestReasons/replaced"},

	{"sums of chunks are not compared", []edit{
		{"format/file.go", "	if sum := xxh3.Hash(stored); sum != e.Sum {\n", "	if sum := xxh3.Hash(stored); false {\n"},
	}, "format", "TestEveryByteIsCovered"},

	{"bitmaps are believed", []edit{
		{"executor/disk.go", "		if why != \"\" {\n", "		if false {\n"},
	}, "executor", "TestAudit"},

	{"an export of another size is read", []edit{
		{"executor/disk.go", "	if export.Size() != d.Size {\n", "	if false {\n"},
	}, "executor", "TestStrangeExport"},

	{"a short reply is taken for zeroes", []edit{
		{"nbd/wire.c", "	if (s->seen != r->length) {\n", "	if (false) {\n"},
	}, "nbd", "TestReadLies"},

	{"the last checkpoint goes before the point exists", []edit{
		{"executor/backup.go", "	m := a.chain\n	m.Number++\n	m.Domain", `	if a.plan.Checkpoint != "" {
		_ = a.host.DeleteCheckpoint(ctx, a.want.UUID, a.plan.Checkpoint)
	}
	m := a.chain
	m.Number++
	m.Domain`},
	}, "executor", "TestFault/full,_increment"},

	{"checkpoints of others are deleted", []edit{
		{"plan/cleanup.go", "ok && id == w.StoreID {", "ok || id != w.StoreID {"},
	}, "plan", "TestCleanupNamesOnlyOurs"},

	{"the newest checkpoint is the base, whoever made it", []edit{
		{"executor/job.go", "b.Incremental, b.Bitmap = a.plan.Checkpoint,", "b.Incremental, b.Bitmap = d.Checkpoints[len(d.Checkpoints)-1].Name,"},
	}, "executor", "TestForeignCheckpoints"},

	{"a name is used again", []edit{
		{"executor/backup.go", "	folder, err := store.NewID(a.Random)\n", "	id = \"0000000\" + fmt.Sprint(a.chain.Next()%10)\n	folder, err := store.NewID(a.Random)\n"},
	}, "executor", "TestNamesAreNeverReused"},

	{"nothing is recorded before a job begins", []edit{
		{"executor/backup.go", "	if err := a.folder.Record(a.record); err != nil {\n", "	if err := error(nil); err != nil {\n"},
	}, "executor", "TestOrder"},

	{"the guest pays until everything is synced", []edit{
		{"executor/job.go", "	err := a.endJob(ctx)\n	switch", "	for _, f := range a.files {\n		_ = f.Close()\n	}\n	err := a.endJob(ctx)\n	switch"},
	}, "executor", "TestOrder"},

	{"a guest stays frozen where the job does not begin", []edit{
		{"executor/job.go", "	if err := errors.Join(err, thaw(), a.forgetSecret(ctx, a.record.Secret)); err != nil {\n", `	if err != nil {
		return err
	}
	if err := thaw(); err != nil {
`},
		{"executor/quiesce.go", "	if x.attempt == nil || !x.attempt.Frozen {\n", "	if true {\n"},
	}, "executor", "TestInterruption/failing,_quiesced"},

	{"a point goes that a kept one needs", []edit{
		{"plan/ledger.go", "!slices.ContainsFunc(r.held[n], hold.any)", "!r.held[n][0].any()"},
	}, "plan", "TestPrune"},

	{"a restore that fails says nothing", []edit{
		{"executor/restore.go", "			return done, fmt.Errorf(\"restore disk %s: %w\", t, err)\n", "			continue\n"},
	}, "executor", "TestRestoreDamaged"},
}
