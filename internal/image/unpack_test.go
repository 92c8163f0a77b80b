package image

import (
	"archive/tar"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestLayersAreAppliedInOrder(t *testing.T) {
	for what, c := range map[string]struct {
		layers [][]entry
		want   string
	}{
		"a file":                           {[][]entry{{folder("a"), file("a/b", "1")}}, "a/ a/b=1"},
		"spellings of one name":            {[][]entry{{file("./a/b", "1"), file("/c//d", "2"), folder("./"), folder("/"), file("", "")}}, "a/ a/b=1 c/ c/d=2"},
		"a file over a file":               {[][]entry{{file("a", "1")}, {file("a", "2")}}, "a=2"},
		"a file over a folder":             {[][]entry{{file("a/b", "1")}, {file("a", "2")}}, "a=2"},
		"a folder over a link":             {[][]entry{{link("a", "/etc"), file("x", "")}, {folder("a"), file("a/b", "1")}}, "a/ a/b=1 x="},
		"a folder twice":                   {[][]entry{{file("a/b", "1")}, {folder("a")}}, "a/ a/b=1"},
		"a whiteout":                       {[][]entry{{file("a/b", "1"), file("a/c", "2")}, {file("a/.wh.b", "")}}, "a/ a/c=2"},
		"a whiteout of a folder":           {[][]entry{{file("a/b/c", "1")}, {file("a/.wh.b", "")}}, "a/"},
		"a whiteout of nothing":            {[][]entry{{file("a", "1")}, {file(".wh.b", "")}}, "a=1"},
		"a whiteout takes only from below": {[][]entry{{file("a", "1")}, {file("a", "2"), file(".wh.a", "")}}, "a=2"},
		"an opaque folder":                 {[][]entry{{file("a/b", "1"), file("a/c/d", "2")}, {file("a/e", "3"), file("a/c/f", "4"), file("a/.wh..wh..opq", "")}}, "a/ a/c/ a/c/f=4 a/e=3"},
		"bookkeeping of aufs":              {[][]entry{{file(".wh..wh.plnk", ""), file("a", "1")}}, "a=1"},
		"links as they stand":              {[][]entry{{link("a", "../../etc/passwd"), link("b", "/root"), file("c", "")}}, "a->../../etc/passwd b->/root c="},
		"a hard link":                      {[][]entry{{file("a/b", "1")}, {hard("c", "/a/b")}}, "a/ a/b=1 c=1"},
		"a hard link that is replaced":     {[][]entry{{file("a", "1"), hard("b", "a")}, {file("b", "2")}}, "a=1 b=2"},
		"devices are left out":             {[][]entry{{entry{name: "dev/null", kind: tar.TypeChar}, entry{name: "dev/sda", kind: tar.TypeBlock}, entry{name: "p", kind: tar.TypeFifo}}}, "dev/"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			facts, err := Unpack(t.Context(), build(t, c.layers...), dir, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := list(t, dir); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if facts.Config == "" || facts.Bytes == 0 || facts.Path != "/usr/bin" {
				t.Errorf("%+v", facts)
			}
		})
	}
}

func TestHostileEntriesAreRefused(t *testing.T) {
	outside := t.TempDir()
	for what, c := range map[string]struct {
		layers [][]entry
		want   string
	}{
		"a name that leads out":           {[][]entry{{file("../x", "1")}}, "leads elsewhere"},
		"a name that leads out and back":  {[][]entry{{file("a/../../x", "1")}}, "leads elsewhere"},
		"through a link of its own":       {[][]entry{{link("a", outside), file("a/x", "1")}}, "not a folder"},
		"through a relative link":         {[][]entry{{folder("b"), link("a", "b"), file("a/x", "1")}}, "not a folder"},
		"through a link of a lower layer": {[][]entry{{link("a", outside)}, {file("a/x", "1")}}, "not a folder"},
		"a whiteout through a link":       {[][]entry{{link("a", outside)}, {file("a/.wh.x", "")}}, "not a folder"},
		"opaque through a link":           {[][]entry{{link("a", outside)}, {file("a/.wh..wh..opq", "")}}, "not a folder"},
		"a whiteout of the folder itself": {[][]entry{{file("a/b", "1")}, {file("a/.wh..", "")}}, "whiteout of no name"},
		"a whiteout of the folder above":  {[][]entry{{file("a/b", "1")}, {file("a/.wh...", "")}}, "whiteout of no name"},
		"a whiteout of no name":           {[][]entry{{file("a/.wh.", "")}}, "whiteout of no name"},
		"a hard link that leads out":      {[][]entry{{hard("a", "../../etc/passwd")}}, "leads elsewhere"},
		"a hard link to what isn't there": {[][]entry{{hard("a", "/etc/shadow")}}, "not a folder"},
		"a hard link to the root":         {[][]entry{{hard("a", "/")}}, "not a regular file"},
		"a hard link to a link":           {[][]entry{{link("a", outside), hard("b", "a")}}, "not a regular file"},
		"a hard link through a link":      {[][]entry{{link("a", "/etc"), hard("b", "a/passwd")}}, "not a folder"},
		"a hard link over its own target": {[][]entry{{file("a/b", "1"), hard("a", "a/b")}}, "no such file"},
		"through a file":                  {[][]entry{{file("a", "1"), file("a/b", "2")}}, "not a folder"},
		"a long name":                     {[][]entry{{file(strings.Repeat("x", 256), "")}}, "leads elsewhere"},
		"a deep name":                     {[][]entry{{file(strings.Repeat("x/", 200)+"y", "")}}, "deeper than"},
		"a link to nothing":               {[][]entry{{entry{name: "a", kind: tar.TypeSymlink}}}, "not a path"},
		"a kind that no image has":        {[][]entry{{entry{name: "a", kind: '7'}}}, "no image has"},
	} {
		t.Run(what, func(t *testing.T) {
			refused(t, build(t, c.layers...), Limits{}, c.want)
			if left := list(t, outside); left != "" {
				t.Errorf("outside there is %s", left)
			}
		})
	}
}

// refused fails the test unless the image is refused with the word.
func refused(t *testing.T, img v1.Image, limits Limits, word string) {
	t.Helper()
	parent := t.TempDir()
	dir := filepath.Join(parent, "root")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Unpack(t.Context(), img, dir, limits)
	if err == nil || !strings.Contains(err.Error(), word) || term.StageOf(err, "") != term.StagePreflight || len(term.Hints(err)) == 0 {
		t.Errorf("wanted an error about %q with a hint, got %v", word, err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 1 {
		t.Errorf("beside the image there is %v", entries)
	}
}

func TestBombsAreBounded(t *testing.T) {
	var many []entry
	for range 100 {
		many = append(many, file(strings.Repeat("a", len(many)+1), ""))
	}
	for what, c := range map[string]struct {
		layers [][]entry
		limits Limits
		want   string
	}{
		"bytes":           {[][]entry{{file("a", strings.Repeat("0", 10000))}}, Limits{Bytes: 9000}, "more than 8.79 KiB"},
		"over all layers": {[][]entry{{file("a", strings.Repeat("0", 6000))}, {file("b", strings.Repeat("1", 6000))}}, Limits{Bytes: 15000}, "more than 14.6 KiB"},
		"entries":         {[][]entry{many}, Limits{Entries: 99}, "more than 99 entries"},
		"implied folders": {[][]entry{{file(strings.Repeat("a/", 100)+"b", "")}}, Limits{Entries: 50}, "more than 50 entries"},
		"layers":          {[][]entry{{}, {file("a", "")}}, Limits{Layers: 1}, "2 layers, more than 1"},
	} {
		t.Run(what, func(t *testing.T) { refused(t, build(t, c.layers...), c.limits, c.want) })
	}
}

func TestSparseFileCountsWithItsWholeSize(t *testing.T) {
	// GNU's old format (tar's manual, "Sparse Formats"): 1 byte of data at the
	// end of 8 GiB.
	raw := stream(t, file("hole", strings.Repeat("x", 512)))
	header := raw[:512]
	header[156] = 'S'
	copy(header[257:265], "ustar  \x00")
	clear(header[345:512])
	copy(header[386:], "00077777000\x00"+"00000001000\x00") // offset, length
	copy(header[483:], "77777777777\x00")                   // size of the whole
	copy(header[386:], "77777776777\x00"+"00000001000\x00")
	checksum(header)
	refused(t, of(t, thisMachine, layer(t, raw)), Limits{Bytes: 1 << 20}, "more than 1 MiB")
}

// checksum puts a tar header's checksum right.
func checksum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h[:512] {
		sum += int(b)
	}
	digits := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		digits[i] = '0' + byte(sum&7)
		sum >>= 3
	}
	copy(h[148:156], digits)
}

func TestEverybodyCanReadTheImageAndNothingIsSetuid(t *testing.T) {
	dir := t.TempDir()
	img := build(t, []entry{{name: "su", mode: 0o4755 | 0o6000}, {name: "closed", mode: 0o000}, {name: "d", kind: tar.TypeDir, mode: 0o1700}})
	if _, err := Unpack(t.Context(), img, dir, Limits{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"su": 0o755, "closed": 0o644, "d": 0o755 | fs.ModeDir} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestImageOfAnotherProcessorIsRefused(t *testing.T) {
	refused(t, of(t, "s390x", layer(t, stream(t, file("a", "1")))), Limits{}, `it is for "linux/s390x"`)
}

// lying says something else of itself than it holds.
type lying struct {
	v1.Image
	config *v1.ConfigFile
}

func (l lying) ConfigFile() (*v1.ConfigFile, error) { return l.config, nil }

func TestLayerThatIsNotTheNamedOneIsRefused(t *testing.T) {
	img := build(t, []entry{file("a", "1")})
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64)
	refused(t, lying{img, config}, Limits{}, "has the digest")
	config.RootFS.DiffIDs = nil
	refused(t, lying{img, config}, Limits{}, "its configuration names 0")
}

func TestUnpackingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if _, err := Unpack(ctx, build(t, []entry{file("a", "1")}), t.TempDir(), Limits{}); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(stream(f, folder("a"), file("a/b", "x"), link("c", "/etc"), hard("d", "a/b"), file(".wh.a", ""), file("a/.wh..wh..opq", "")))
	f.Fuzz(func(t *testing.T, tarred []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "root")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		Unpack(t.Context(), of(t, thisMachine, layer(t, tarred)), dir, Limits{Bytes: 1 << 20, Entries: 1000})
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("beside the image there is %v", entries)
		}
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() && d.Type() != fs.ModeSymlink {
				t.Errorf("%q is %v", path, d.Type())
			}
			return nil
		})
	})
}
