package docker

import _ "embed"

// seccompProfile is the filter of a guest's system calls, as the engine reads it
// (https://docs.docker.com/engine/security/seccomp/): Docker's default for a container
// with our capabilities, and further without what leads out of a network namespace,
// or is a rich part of the kernel that no agent needs. The tests say which, and make
// the file from Docker's own.
//
//go:embed seccomp.json
var seccompProfile string
