// Package forge runs the action where it lives: a real Gitea with its SSH server,
// a real runner of it in host mode, and the binary of the working tree, all on
// loopback. It is a module of its own that imports nothing of ours, so that what
// it says of the action is what a stranger could see from outside.
//
// Gitea and the runner are built from source at the versions that the modules
// gitea and runner pin, and kept in $BOT_BOTTLE_TEST_CACHE or the user's cache
// folder. The first run takes some minutes longer for that.
package forge
