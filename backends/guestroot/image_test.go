package guestroot

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/testenv"
)

// tree makes files below a new folder; a name that ends in "/" is a folder, "a ->
// b" a link.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := testenv.ShortDir(t)
	for _, name := range names {
		name, link, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(link, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte("#!"), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func targets(entries []Entry, kind Kind) string {
	var list []string
	for _, e := range entries {
		if e.Kind == kind {
			list = append(list, e.Target)
		}
	}
	return strings.Join(list, " ")
}

func TestHostToolsAreProgramsOnly(t *testing.T) {
	root := tree(t, "usr/bin/sh", "usr/lib/x", "usr/local/bin/theirs", "usr/src/", "bin -> usr/bin", "lib64/ld.so", "etc/shadow", "etc/alternatives/awk", "home/me/.ssh/id", "root/", "var/lib/", "opt/tool/")
	entries, err := hostTools(root, "127.0.0.16")
	if err != nil {
		t.Fatal(err)
	}
	if got := targets(entries, KindBind); got != "/usr/bin /usr/lib /lib64 /etc/alternatives" {
		t.Errorf("binds %q", got)
	}
	if got := targets(entries, KindSymlink); got != "/bin" {
		t.Errorf("links %q", got)
	}
	if got := targets(entries, KindFile); !strings.Contains(got, "/etc/passwd") || strings.Contains(got, "shadow") || strings.Contains(got, "resolv.conf") {
		t.Errorf("files %q", got)
	}
}

func TestHostToolsOnNixOSAreRefusedWithAHint(t *testing.T) {
	_, err := hostTools(tree(t, "etc/NIXOS", "usr/bin/env"), "127.0.0.16")
	if err == nil || len(term.Hints(err)) == 0 || !strings.Contains(err.Error(), "NixOS") {
		t.Errorf("got %v", err)
	}
}

func TestImageIsRefusedWithItsReason(t *testing.T) {
	withSocket := tree(t, "bin/sh", "run/x/")
	l, err := net.Listen("unix", filepath.Join(withSocket, "run/x/docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, dir := range map[string]string{
		"no such file or directory": filepath.Join(withSocket, "nowhere"),
		"not a folder":              filepath.Join(withSocket, "bin/sh"),
		`no "/bin"`:                 tree(t, "etc/passwd"),
		`no "/usr/bin/sh"`:          tree(t, "bin -> usr/bin", "usr/bin/"),
		"too many links":            tree(t, "bin/sh -> sh"),
		"is not a program":          tree(t, "bin/sh/"),
		"is one":                    withSocket,
	} {
		_, err := rootfsEntries(dir, "127.0.0.16")
		if err == nil || !strings.Contains(err.Error(), want) || len(term.Hints(err)) == 0 {
			t.Errorf("wanted %q with a hint, got %v", want, err)
		}
	}
}

// The link would be followed on the host, and what is there handed to the guest.
func TestALinkInThePlaceOfAFolderThatIsReadIsRefused(t *testing.T) {
	hosts := tree(t, ".ssh/id_rsa", "bus/")
	for _, name := range []string{"etc", "home", "var"} {
		for _, target := range []string{hosts, "/proc/self", "usr"} {
			entries, err := rootfsEntries(tree(t, "bin/sh", "usr/", name+" -> "+target), "127.0.0.16")
			if err == nil || len(term.Hints(err)) == 0 || term.StageOf(err, "") != term.StagePreflight {
				t.Errorf("/%s -> %s: binds %q, %v", name, target, targets(entries, KindBind), err)
			}
		}
	}
}

func TestAnImageThatWasNotUnpackedIsNotTakenForTheHostsTools(t *testing.T) {
	for _, image := range []policy.Image{{Archive: "/a.tar"}, {Reference: "alpine:3.20"}} {
		if entries, err := Entries(backends.Spec{Image: image}); err == nil || !strings.Contains(err.Error(), "was not unpacked") {
			t.Errorf("%+v: %v, %v", image, entries, err)
		}
	}
}

func TestShellIsFoundThroughAbsoluteLinksOfTheImage(t *testing.T) {
	root := tree(t, "usr/bin/dash", "usr/bin/sh -> /bin/dash", "bin -> /usr/bin")
	if err := hasShell(root); err != nil {
		t.Error(err)
	}
}

func TestImageKeepsItsUsersButNotOurs(t *testing.T) {
	got := otherUsers("root:x:0:0::/root:/bin/bash\nbin:x:1:1::/:/bin/false\nagent:x:7:7::/:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\nbroken\n")
	if got != "bin:x:1:1::/:/bin/false\n" {
		t.Errorf("got %q", got)
	}
}

func TestListeningSocketBelowAShareIsFound(t *testing.T) {
	table := "Num       RefCount Protocol Flags    Type St Inode Path\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12 /run/dbus/socket\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 13 /usr/lib/evil/s\n" +
		"0000000000000000: 00000003 00000000 00000000 0001 03 14\n"
	got := boundSockets(bufio.NewScanner(strings.NewReader(table)), []string{"/usr/bin", "/usr/lib"})
	if len(got) != 1 || got[0] != "/usr/lib/evil/s" {
		t.Errorf("got %q", got)
	}
}

func TestAnImageNeedNotHaveEveryFolder(t *testing.T) {
	entries, err := bindImage(tree(t, "bin/sh", "etc/marker"), "127.0.0.16")
	if err != nil {
		t.Fatal(err)
	}
	if binds, folders := targets(entries, KindBind), targets(entries, KindDir)+" "; binds != "/bin /etc/marker" || !strings.Contains(folders, " /home/agent ") {
		t.Errorf("binds %q, folders %q", binds, folders)
	}
}
