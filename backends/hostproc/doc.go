// Package hostproc reads from this host's proc files what a running guest really
// has: its processes, their namespaces, interfaces and mounts. All of it is the
// kernel's word, not the guest's.
package hostproc
