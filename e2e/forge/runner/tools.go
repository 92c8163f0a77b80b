//go:build tools

// Package runner pins the Gitea runner that the forge tests run. It is a module
// of its own, apart from Gitea's, which replaces what this one needs as it is.
package runner

import _ "gitea.com/gitea/runner"
