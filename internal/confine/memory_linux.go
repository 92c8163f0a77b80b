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

// watchMemory returns the number of bytes in use when it has passed limit, or why
// it can't be told any more.
func watchMemory(limit int64) (int64, error) {
	for tick := time.NewTicker(WatchInterval); ; <-tick.C {
		used, err := memoryInUse()
		if err != nil {
			return 0, fmt.Errorf("looking at the memory in use: %w", err)
		}
		if used > limit {
			return used, nil
		}
	}
}

// memoryInUse adds up what the processes of this pid namespace use, this one
// left out: their private pages, and the files in memory that they hold
// (memfd_create(2)), which is where a sandbox keeps its guest's pages.
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
		pages, err := privatePages(pid)
		if err == nil {
			err = addMemoryFiles(pid, files)
		}
		if err != nil && !gone(err) {
			return 0, err
		}
		sum += pages
	}
	for _, size := range files {
		sum += size
	}
	return sum, nil
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
		target, err := os.Readlink(path)
		var st unix.Stat_t
		if err == nil && strings.HasPrefix(target, "/memfd:") {
			if err = unix.Stat(path, &st); err == nil {
				files[st.Ino] = st.Blocks * 512 // stat(2): st_blocks is in units of 512 bytes
			}
		}
		if err != nil && !gone(err) {
			return fmt.Errorf("looking at %q: %w", path, err)
		}
	}
	return nil
}
