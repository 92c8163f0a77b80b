//go:build tools

// Package gitea pins the Gitea server that the forge tests run. It is a module
// of its own, because the replaces that Gitea needs must not reach ours.
package gitea

import _ "code.gitea.io/gitea"
