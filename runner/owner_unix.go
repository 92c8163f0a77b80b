package runner

import (
	"io/fs"
	"syscall"
)

// ownerOf gives the user id of a file on any Unix.
func ownerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
