package guest

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is a tar header with what follows it.
type entry struct {
	tar.Header
	data string
}

func file(name, data string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}, data}
}

func link(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func archive(t testing.TB, entries ...entry) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestUntarMakesFilesFoldersAndLinks(t *testing.T) {
	dir := t.TempDir()
	program := file("bin/tool", "#!/bin/sh\n")
	program.Mode = 0o4755
	closed := entry{tar.Header{Typeflag: tar.TypeDir, Name: "closed/", Mode: 0o555}, ""}
	b := archive(t, closed, file("closed/inside", "in"), program, link("deep/er/link", "../../bin/tool"), entry{tar.Header{Typeflag: tar.TypeDir, Name: "./"}, ""})
	if err := Untar(b, dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "closed"), 0o755) }) // to be removable
	for name, want := range map[string]fs.FileMode{
		"bin/tool": 0o755, // without the setuid bit
		"closed":   fs.ModeDir | 0o555, "closed/inside": 0o644,
	} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "deep/er/link")); string(got) != "#!/bin/sh\n" {
		t.Errorf("through the link: %q, %v", got, err)
	}
	if b.Len() != 0 {
		t.Errorf("%d bytes were not read", b.Len())
	}
}

func TestUntarReachesNothingOutside(t *testing.T) {
	for name, entries := range map[string][]entry{
		"a name that climbs":            {file("../outside/file", "x")},
		"a name that climbs from below": {file("a/../../outside/file", "x")},
		"an absolute name":              {file("/outside/file", "x")},
		"a link to the outside":         {link("a", "../outside"), file("a/file", "x")},
		"an absolute link":              {link("a", "OUTSIDE"), file("a/file", "x")},
		"a link as the file":            {link("a", "../outside/file"), file("a", "x")},
		"a link as the folder":          {link("a", "../outside"), {tar.Header{Typeflag: tar.TypeDir, Name: "a", Mode: 0o777}, ""}},
		"a chain of links":              {link("a", "b"), link("b", ".."), file("a/outside/file", "x")},
		"a hard link":                   {{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "../outside/kept"}, ""}},
		"a device":                      {{tar.Header{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1, Devminor: 3}, ""}},
		"a named pipe":                  {{tar.Header{Typeflag: tar.TypeFifo, Name: "a"}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			world := t.TempDir()
			dir, outside := filepath.Join(world, "dir"), filepath.Join(world, "outside")
			for _, d := range []string{dir, outside} {
				if err := os.Mkdir(d, 0o750); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "kept"), []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range entries {
				entries[i].Linkname = strings.Replace(entries[i].Linkname, "OUTSIDE", outside, 1)
			}
			if err := Untar(archive(t, entries...), dir); err == nil {
				t.Error("it was unpacked")
			}
			left, err := os.ReadDir(outside)
			if err != nil || len(left) != 1 {
				t.Errorf("outside there is %v, %v", left, err)
			}
			if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o750 {
				t.Errorf("outside is %v, %v", info, err)
			}
			if _, err := os.Lstat("/outside/file"); err == nil {
				t.Error("the absolute name was taken")
			}
		})
	}
}

func TestUntarWithoutAnEndIsAnError(t *testing.T) {
	whole := archive(t, file("a", strings.Repeat("x", 2000))).Bytes()
	for _, cut := range []int{0, 100, 512, 1000, 2512, 2560, 3072} {
		if err := Untar(bytes.NewReader(whole[:cut]), t.TempDir()); err == nil {
			t.Errorf("cut after %d bytes it was taken for whole", cut)
		}
	}
	if err := Untar(bytes.NewReader(whole), filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing folder was taken")
	}
}

func TestUntarReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Untar(archive(t, file("a", "first"), file("a", "second")), dir); err == nil {
		t.Error("a file was replaced")
	}
}

func FuzzUntar(f *testing.F) {
	f.Add(archive(f, file("a/b", "x"), link("l", "../a"), file("l/../c", "y")).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		world := t.TempDir()
		dir := filepath.Join(world, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		Untar(bytes.NewReader(b), dir)
		if all, err := os.ReadDir(world); err != nil || len(all) != 1 {
			t.Errorf("outside there is %v, %v", all, err)
		}
	})
}
