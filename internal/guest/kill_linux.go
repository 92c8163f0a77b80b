package guest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// process is what /proc/PID/stat tells of one.
type process struct{ pid, parent, session int }

// killOthers kills every process of the guest but process 1 (kill(2)). Where this
// is not process 1, in tests, it kills what descends from it.
func killOthers() {
	if os.Getpid() == 1 {
		unix.Kill(-1, unix.SIGKILL)
		return
	}
	kill(func(all []process) []int { return descendants(all, os.Getpid()) })
}

// endSession kills the session that process leader began, and what descends from
// it.
func endSession(leader int) {
	unix.Kill(-leader, unix.SIGKILL) // the group at once, so that a bomb in it has no time to fork
	kill(func(all []process) []int {
		pids := append(descendants(all, leader), leader)
		for _, p := range all {
			if p.session == leader {
				pids = append(pids, p.pid)
			}
		}
		return pids
	})
}

// killRounds bounds how often kill looks for processes that were forked since it
// looked last.
const killRounds = 100

// kill kills the processes that pick gives, until it gives none that was not
// killed before.
func kill(pick func([]process) []int) {
	killed := map[int]bool{}
	for range killRounds {
		found := false
		for _, pid := range pick(processes()) {
			if !killed[pid] && pid > 1 && pid != os.Getpid() {
				unix.Kill(pid, unix.SIGKILL)
				killed[pid], found = true, true
			}
		}
		if !found {
			return
		}
	}
}

// descendants gives the children of ancestor, their children and so on.
func descendants(all []process, ancestor int) []int {
	children := map[int][]int{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p.pid)
	}
	pids := slices.Clone(children[ancestor])
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// processes lists what runs.
func processes() []process {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		panic(err) // the pattern is ours
	}
	var all []process
	for _, name := range files {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if p, ok := parseStat(stat); ok {
			all = append(all, p)
		}
	}
	return all
}

// parseStat reads a process that has not ended from proc_pid_stat(5). The name,
// which the process chooses, is in parentheses and may hold some itself.
func parseStat(stat []byte) (process, bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := bytes.Fields(stat[end+1:]) // state, ppid, pgrp, session, …
	if len(fields) < 4 || bytes.ContainsAny(fields[0], "ZX") {
		return process{}, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(stat[:open])))
	parent, err2 := strconv.Atoi(string(fields[1]))
	session, err3 := strconv.Atoi(string(fields[3]))
	return process{pid, parent, session}, err == nil && err2 == nil && err3 == nil
}
