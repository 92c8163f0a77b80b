package confine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// WatchInterval is how often the memory in use is looked at. A guest that
// touches fresh memory as fast as it can gets some tens of MiB further in that
// time; looking costs about 0.1 ms.
const WatchInterval = 20 * time.Millisecond

// maxBlind is how many looks in a row may miss a part: the kernel shows nothing of
// a process that is about to execute another program or to change its user, which
// takes it milliseconds, or a few hundred on a host that is very busy.
const maxBlind = int(3 * time.Second / WatchInterval)

// watchMemory returns the number of bytes in use when it has passed limit, or why
// it can't be told any more.
func watchMemory(limit int64) (int64, error) {
	blind := 0
	for tick := time.NewTicker(WatchInterval); ; <-tick.C {
		used, err := memoryInUse()
		if used > limit {
			return used, nil
		}
		if err == nil {
			blind = 0
		} else if blind++; blind > maxBlind {
			return 0, fmt.Errorf("looking at the memory in use: %w", err)
		}
	}
}

// memoryInUse adds up what the processes of this pid namespace use, this one
// left out: their private pages, and the files in memory that they hold
// (memfd_create(2)), which is where a sandbox keeps its guest's pages. With an
// error it is the sum of what could be seen.
func memoryInUse() (sum int64, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	files := map[uint64]int64{} // by inode: a file that two processes hold counts once
	for _, e := range entries {
		pid, notOne := strconv.Atoi(e.Name())
		if notOne != nil || pid == os.Getpid() {
			continue
		}
		pages, unseen := privatePages(pid)
		if unseen == nil {
			unseen = addMemoryFiles(pid, files)
		}
		if unseen != nil && !gone(unseen) {
			err = unseen
		}
		sum += pages
	}
	for _, size := range files {
		sum += size
	}
	return sum, err
}

// gone tells whether err says that the process or file has ended in between,
// which is all that may be overlooked.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// privatePages reads resident minus shared of /proc/PID/statm (proc(5)), in bytes.
func privatePages(pid int) (int64, error) {
	path := fmt.Sprintf("/proc/%d/statm", pid)
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var size, resident, shared int64
	if _, err := fmt.Fscan(bytes.NewReader(b), &size, &resident, &shared); err != nil {
		return 0, fmt.Errorf("reading %q: %w", path, err)
	}
	return (resident - shared) * int64(os.Getpagesize()), nil
}

// addMemoryFiles adds the memory files that pid holds open.
func addMemoryFiles(pid int, files map[uint64]int64) error {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, fd := range fds {
		path := dir + "/" + fd.Name()
		target, unseen := os.Readlink(path)
		var st unix.Stat_t
		if unseen == nil && strings.HasPrefix(target, "/memfd:") {
			if unseen = unix.Stat(path, &st); unseen == nil {
				files[st.Ino] = st.Blocks * 512 // stat(2): st_blocks is in units of 512 bytes
			}
		}
		if unseen != nil && !gone(unseen) {
			err = fmt.Errorf("looking at %q: %w", path, unseen)
		}
	}
	return err
}
