// Package action is the adapter between a CI runner of GitHub, Gitea or Forgejo
// and runner: inputs and event become a runner.Request, a runner.Result becomes
// outputs, a summary and annotations.
//
// What it promises: a job starts only if the forge itself says that whoever
// caused it may write, or if its cause is the repository's own schedule or
// default branch; a pull request is one of the same repository, at the commit
// that was there when somebody asked. Nothing is judged by a name. Strings of
// forge and guest never become workflow commands. Inputs come by a pipe that the
// shim keeps open, so that the end of the shim is noticed however it dies.
//
// What it does not promise: that the text of an event is harmless. It is the
// prompt, anybody may have written it, and the bottle is there for that.
//
// The shim (action/shim, JavaScript, because runners start nothing else with a
// post step) does no more than find the binary, check it and start it.
package action
