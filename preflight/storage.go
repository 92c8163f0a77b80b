package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var (
	stateDenied = Entry{"state-denied", Fail, "The state folder can't be used, so that nothing could be undone after a crash.",
		[]Remedy{{"nixos", "give the runner's service a folder of its own (serviceConfig.StateDirectory) as home, or make {path} the user {user}'s with mode 0700"}, {"", "make {path} a folder of the user {user} with mode 0700"}}}
	stateOthers = Entry{"state-others", Fail, "Somebody else could change what is remembered of runs, and what is removed because of it.",
		[]Remedy{{"", "chown {user} {path} && chmod 0700 {path}, after a look at what is in it"}}}
	stateFull = Entry{"state-full", Fail, "The disk of the state folder is full.",
		[]Remedy{{"nixos", "free some space below {path}: `nix-collect-garbage` first, then old reports"}, {"", "free some space below {path}: `df -h {path}` and `df -i {path}`; old reports can go"}}}
	stateNetwork = Entry{"state-network", Warn, "The state folder is on a network file system, whose locks can't be relied on.",
		[]Remedy{{"", "put the home folder of the user {user}, or {path}, on a disk of this machine"}}}
	diskLow = Entry{"disk-low", Warn, "Less disk is free than the bottle may use.",
		[]Remedy{{"", "free some space, or lower the bottle's limits.disk"}}}
)

// stateSpare is what the ledger and the reports of a run need at least.
const stateSpare = 16 << 20

// State asks whether the state folder dir, or the folder that it is going to be
// made in, belongs to this user alone and takes data.
func State(h Host, dir string) Check {
	return Check{ID: "state", Subject: dir, Run: func(context.Context) Finding {
		info, err := os.Lstat(dir)
		switch {
		case err == nil && !info.IsDir():
			return h.Found(stateDenied, "not a folder", "{path}", dir)
		case err == nil && (ownerOf(info) != h.UID || info.Mode().Perm()&0o077 != 0):
			return h.Found(stateOthers, fmt.Sprintf("user %d's, mode %04o", ownerOf(info), info.Mode().Perm()), "{path}", dir)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return h.Found(stateDenied, reason(err), "{path}", dir)
		}
		return h.takesData(existing(dir), dir)
	}}
}

// takesData tries to write in the folder at, without leaving a name there.
func (h Host) takesData(at, dir string) Finding {
	if err := tryWrite(at); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return h.Found(stateFull, reason(err), "{path}", at)
	} else if err != nil {
		return h.Found(stateDenied, fmt.Sprintf("writing in %q: %s", at, reason(err)), "{path}", dir)
	}
	space, err := spaceBelow(at)
	switch {
	case err != nil:
		return h.Found(stateDenied, reason(err), "{path}", dir)
	case space.free < stateSpare:
		return h.Found(stateFull, fmt.Sprintf("%d KiB are free", space.free>>10), "{path}", at)
	case space.network:
		return h.Found(stateNetwork, "not a disk of this machine", "{path}", dir)
	}
	return Passed(fmt.Sprintf("%d MiB free", space.free>>20))
}

// Disk asks whether the need bytes that a guest may write are free below dir. It
// only warns: the limit is an upper bound, and what is free now may be gone or more
// later.
func Disk(h Host, dir string, need int64) Check {
	return Check{ID: "disk", Subject: dir, Run: func(context.Context) Finding {
		space, err := spaceBelow(existing(dir))
		if err != nil {
			return h.Found(diskLow, reason(err))
		}
		if space.free < need {
			return h.Found(diskLow, fmt.Sprintf("%d MiB are free, the bottle may use %d MiB", space.free>>20, need>>20))
		}
		return Passed(fmt.Sprintf("%d MiB free", space.free>>20))
	}}
}

// existing gives dir, or the nearest folder above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == parent(dir) {
			return dir
		}
		dir = parent(dir)
	}
}

func parent(path string) string { return filepath.Dir(path) }

func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// reason gives an error without the path and the call that it came from.
func reason(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	return err.Error()
}
