package confine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// WatchInterval is how often the memory in use is looked at. A guest that
// touches fresh memory as fast as it can gets some tens of MiB further in that
// time; looking costs about 0.1 ms.
const WatchInterval = 20 * time.Millisecond

// watchMemory returns the number of bytes in use when it has passed limit.
func watchMemory(limit int64) int64 {
	for tick := time.NewTicker(WatchInterval); ; <-tick.C {
		if used := memoryInUse(); used > limit {
			return used
		}
	}
}

// memoryInUse adds up what the processes of this pid namespace use, this one
// left out: their private pages, and the files in memory that they hold
// (memfd_create(2)), which is where a sandbox keeps its guest's pages.
func memoryInUse() int64 {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	var sum int64
	files := map[uint64]int64{} // by inode: a file that two processes hold counts once
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		sum += privatePages(pid)
		addMemoryFiles(pid, files)
	}
	for _, size := range files {
		sum += size
	}
	return sum
}

// privatePages reads resident minus shared of /proc/PID/statm (proc(5)).
func privatePages(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	shared, _ := strconv.ParseInt(string(fields[2]), 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}

// addMemoryFiles adds the memory files that pid holds open.
func addMemoryFiles(pid int, files map[uint64]int64) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, fd := range fds {
		path := dir + "/" + fd.Name()
		target, err := os.Readlink(path)
		if err != nil || len(target) < 7 || target[:7] != "/memfd:" {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil {
			files[st.Ino] = st.Blocks * 512 // stat(2): st_blocks is in units of 512 bytes
		}
	}
}
