package doors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/landlock-lsm/go-landlock/landlock"
	abi "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// resolverFiles are what Go's resolver reads, again and again (package net).
var resolverFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"}

// restrictFiles leaves the process the files that name resolution reads, and takes the
// binding of TCP ports.
//
// UDP is left alone, because Landlock has rules by port and none by purpose; so
// is connecting, which is what the egress door does.
func restrictFiles() Measure {
	if mutation.On(mutation.SidecarFiles) {
		return Measure{Name: measureLandlock}
	}
	return restrict(abi.AccessNetBindTCP, resolverRules()...)
}

// resolverRules let name resolution read what it needs.
func resolverRules() []landlock.Rule {
	read := landlock.AccessFSSet(abi.AccessFSReadFile)
	files, folders := resolverPaths(resolverFiles, "/run/")
	return []landlock.Rule{
		landlock.PathAccess(read, files...).IgnoreIfMissing(),
		landlock.PathAccess(read, folders...).IgnoreIfMissing(),
	}
}

// restrict takes from the process every file, these uses of the network, and, on newer
// kernels, signals and abstract sockets to processes outside, but for what the rules
// leave. It does what the kernel can, and tries afterwards.
func restrict(network landlock.AccessNetSet, rules ...landlock.Rule) Measure {
	m := Measure{Name: measureLandlock}
	config := landlock.MustConfig(landlock.V11.HandledAccessFS, network, landlock.V11.Scoped).BestEffort()
	if err := config.Restrict(rules...); err != nil {
		m.Detail = err.Error()
		return m
	}
	version, err := abi.LandlockGetABIVersion()
	if err != nil {
		m.Detail = fmt.Sprintf("this kernel doesn't have it: %v", err)
		return m
	}
	if m.Detail = fmt.Sprintf("version %d of the kernel's interface", version); !filesRestricted() {
		m.Detail += ", which lets us read other files"
		return m
	}
	m.Held = true
	return m
}

// resolverPaths gives the files behind names and, where a link leads below
// runtime, the folders there, in which system services put a new file in the
// place of the old.
//
// A file that somebody replaces elsewhere can't be read any more. Go then asks a
// resolver on this host, and where there is none names don't resolve: the job has
// to be run again.
func resolverPaths(names []string, runtime string) (files, folders []string) {
	for _, name := range names {
		target, err := filepath.EvalSymlinks(name)
		if err != nil {
			continue // resolvers do without it
		}
		files = append(files, target)
		if dir := filepath.Dir(target); strings.HasPrefix(dir, runtime) {
			folders = append(folders, dir)
		}
	}
	return files, folders
}

// filesRestricted tries to read what every process can read of itself.
func filesRestricted() bool {
	f, err := os.Open("/proc/self/status")
	if err == nil {
		f.Close()
	}
	return errors.Is(err, unix.EACCES)
}
